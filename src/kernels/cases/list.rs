//! The cases themselves.

use super::{Case, Recurrence, Setup, Step, TokenDraw, TokenPattern, UpdateCase};
use crate::kernels::{Activation, Exponential, Precision, RecurrentSchedule};

/// More rows than a dispatch has workgroups in one dimension.
const MANY: usize = 65_537;

/// Every case of every kernel, kernel by kernel; seeds count from 1 within a kernel.
pub fn all() -> Vec<Case> {
    let mut setups = Vec::new();
    matmul(&mut setups);
    matrices(&mut setups);
    activation(&mut setups);
    recurrence(&mut setups);
    super::gated::setups(&mut setups);
    tables(&mut setups);
    softmax_cross_entropy(&mut setups);
    super::ragged::setups(&mut setups);
    super::sampled::setups(&mut setups);
    reductions(&mut setups);
    optimizers(&mut setups);
    let mut cases: Vec<Case> = Vec::new();
    for setup in setups {
        let kernel = setup.kernel();
        let seed = 1 + cases.iter().filter(|case| case.kernel == kernel).count() as u64;
        cases.push(Case {
            kernel,
            setup,
            seed,
        });
    }
    cases
}

fn tokens(pattern: TokenPattern, count: usize) -> TokenDraw {
    TokenDraw { pattern, count }
}

/// All four ways to turn the factors over, with and without accumulation: a tile and one past it,
/// and a vector on either side; then rounded to f16.
fn matmul(setups: &mut Vec<Setup>) {
    let precision = Precision::Full;
    // More terms than one dispatch adds up.
    for accumulate in [false, true] {
        setups.push(Setup::Matmul {
            m: 3,
            n: 2,
            k: 70_001,
            transpose_a: false,
            transpose_b: false,
            accumulate,
            precision,
        });
    }
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for accumulate in [false, true] {
            for (m, n, k) in [(65, 63, 17), (1, 67, 5)] {
                setups.push(Setup::Matmul {
                    m,
                    n,
                    k,
                    transpose_a,
                    transpose_b,
                    accumulate,
                    precision,
                });
            }
        }
        // No terms: zeros. Few columns.
        for (m, n, k) in [
            (7, 5, 0),
            (1, 1, 1),
            (64, 64, 16),
            (131, 1, 301),
            (3, 129, 67),
            (67, 66, 65),
            (21, 15, 33),
            (403, 13, 67),
        ] {
            setups.push(Setup::Matmul {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate: false,
                precision,
            });
        }
        // Large tiles, read by fours and one by one; sums in parts, the last one shorter.
        for (m, n, k) in [
            (1412, 1284, 20),
            (1409, 1283, 19),
            (129, 132, 4100),
            (130, 131, 4099),
            (5, 65, 1030),
        ] {
            setups.push(Setup::Matmul {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate: k == 4100,
                precision,
            });
        }
        // The same for f16, with a scale as for activations and as for gradients.
        for (m, n, k, accumulate, scale) in [
            (16, 16, 16, false, 1.0),
            (64, 32, 16, false, 1024.0),
            (65, 33, 17, true, 1.0),
            (1, 1, 1, false, 64.0),
            (1412, 1284, 20, false, 1024.0),
            (130, 131, 1099, true, 0.5),
        ] {
            setups.push(Setup::Matmul {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate,
                precision: Precision::Mixed { scale },
            });
        }
    }
}

/// Turning over, biases and their gradients: the last shape of each is split between the CPU's
/// threads.
fn matrices(setups: &mut Vec<Setup>) {
    for (rows, columns) in [(1, 1), (1, 17), (17, 1), (16, 16), (15, 33), (67, 65)] {
        setups.push(Setup::Transpose { rows, columns });
    }
    for (rows, columns) in [(1, 1), (5, 3), (1, 257), (67, 65), (131, 137)] {
        setups.push(Setup::AddBias { rows, columns });
    }
    for (rows, columns) in [
        (1, 1),
        (1, 17),
        (67, 15),
        (65, 16),
        (63, 33),
        (257, 1),
        (131, 137),
    ] {
        for accumulate in [false, true] {
            setups.push(Setup::SumRows {
                rows,
                columns,
                accumulate,
            });
        }
    }
    for count in [1, 257, 20_011] {
        setups.push(Setup::Scale {
            count,
            factor: 0.999,
        });
        setups.push(Setup::Average {
            count,
            weight: 1.0 / 3.0,
        });
    }
    for (count, value) in [(1, 0.0), (257, -0.5), (4099, 0.0), (20_011, 1e30)] {
        setups.push(Setup::Fill { count, value });
    }
    // A first average is what it averages.
    setups.push(Setup::Average {
        count: 67,
        weight: 1.0,
    });
}

/// Within the slope and far beyond it.
fn activation(setups: &mut Vec<Setup>) {
    for &(_, activation) in Activation::TABLE {
        for (count, bound) in [(1, 1.0), (67, 4.0), (257, 100.0), (20_011, 16.0)] {
            setups.push(Setup::ActivationForward {
                activation,
                count,
                bound,
            });
        }
        for count in [1, 257, 20_011] {
            setups.push(Setup::ActivationBackward { activation, count });
        }
    }
}

/// Both walks. Every activation with streams that begin afresh and without; then sizes around a
/// workgroup and around a tile, more streams than threads, and a window of several dispatches.
fn recurrence(setups: &mut Vec<Setup>) {
    for schedule in [RecurrentSchedule::Fused, RecurrentSchedule::PerStep] {
        let mut push = |recurrence| {
            setups.extend([
                Setup::RecurrenceForward(recurrence),
                Setup::RecurrenceBackward(recurrence),
            ]);
        };
        for &(_, activation) in Activation::TABLE {
            for reset in [false, true] {
                push(Recurrence {
                    activation,
                    time_steps: 5,
                    batch: 3,
                    hidden_size: 7,
                    reset,
                    bound: 1.0,
                    schedule,
                });
                push(Recurrence {
                    activation,
                    time_steps: 3,
                    batch: 2,
                    hidden_size: 5,
                    reset,
                    bound: 100.0,
                    schedule,
                });
            }
        }
        let long = if schedule == RecurrentSchedule::Fused {
            (401, 2, 301)
        } else {
            (19, 2, 301)
        };
        for (activation, reset) in [(Activation::Sigmoid, false), (Activation::Tanh, true)] {
            for (time_steps, batch, hidden_size) in [
                (1, 1, 1),
                (1, 5, 63),
                (7, 1, 65),
                (3, 2, 257),
                (2, 67, 5),
                (17, 2, 64),
                (4, 33, 31),
                (2, 32, 33),
                long,
            ] {
                push(Recurrence {
                    activation,
                    time_steps,
                    batch,
                    hidden_size,
                    reset,
                    bound: 1.0,
                    schedule,
                });
            }
        }
    }
}

/// Looking rows up, and their gradient: columns around the width of a workgroup's share, runs
/// longer than its height.
fn tables(setups: &mut Vec<Setup>) {
    for (vocabulary, columns, pattern, count) in [
        (2, 1, TokenPattern::Same, 1),
        (7, 3, TokenPattern::Mixed, 5),
        (300, 65, TokenPattern::Mixed, 67),
        (5, 64, TokenPattern::Nothing, 4),
        (11, 67, TokenPattern::Same, 63),
        (301, 131, TokenPattern::Few, 137),
        (4099, 1, TokenPattern::Mixed, MANY),
    ] {
        setups.push(Setup::Gather {
            vocabulary,
            columns,
            tokens: tokens(pattern, count),
        });
    }
    for (vocabulary, columns, pattern, count) in [
        (2, 1, TokenPattern::Same, 1),
        (7, 3, TokenPattern::Mixed, 5),
        (300, 15, TokenPattern::Mixed, 67),
        (5, 64, TokenPattern::Nothing, 4),
        (11, 33, TokenPattern::Same, 63),
        (301, 17, TokenPattern::Few, 1031),
        (65_521, 1, TokenPattern::Mixed, MANY),
    ] {
        setups.push(Setup::ScatterAdd {
            vocabulary,
            columns,
            tokens: tokens(pattern, count),
        });
    }
}

/// Vocabularies around a workgroup's width, logits from small to far beyond what e^z holds.
fn softmax_cross_entropy(setups: &mut Vec<Setup>) {
    for (columns, pattern, rows, bound) in [
        (2, TokenPattern::Same, 1, 1.0),
        (3, TokenPattern::Mixed, 67, 4.0),
        (255, TokenPattern::Mixed, 5, 4.0),
        (256, TokenPattern::Few, 3, 4.0),
        (257, TokenPattern::Same, 7, 4.0),
        (1031, TokenPattern::Mixed, 17, 4.0),
        (40_013, TokenPattern::Mixed, 3, 40.0),
        (301, TokenPattern::Mixed, 13, 100.0),
        (67, TokenPattern::Mixed, 11, 1e4),
        (65, TokenPattern::Nothing, 3, 4.0),
        (2, TokenPattern::Mixed, MANY, 4.0),
    ] {
        let targets = tokens(pattern, rows);
        for gradient in [false, true] {
            let scale = if rows % 2 == 1 {
                1.0 / rows as f32
            } else {
                1.0
            };
            setups.push(Setup::SoftmaxCrossEntropy {
                columns,
                targets,
                gradient,
                scale,
                bound,
                exponential: Exponential::Exact,
            });
            if (257..1000).contains(&columns) {
                setups.push(Setup::SoftmaxCrossEntropy {
                    columns,
                    targets,
                    gradient,
                    scale,
                    bound: 20.0,
                    exponential: Exponential::Rnnlm,
                });
            }
        }
    }
}

/// Up to more values than one round of all workgroups sums; clipping above the norm, below it, and
/// of nothing; clamping some and none.
fn reductions(setups: &mut Vec<Setup>) {
    let counts = [1, 255, 257, 2048, 2049, 4099, 600_011];
    setups.extend(counts.map(|count| Setup::Sum { count }));
    setups.extend(counts.map(|count| Setup::SumOfSquares { count }));
    for (count, bound, maximum) in [
        (1, 4.0, 1.0),
        (1, 0.0, 1.0),
        (7, 4.0, 100.0),
        (13, 1e-6, 0.25),
        (257, 4.0, 0.5),
    ] {
        setups.push(Setup::ClipGradNorm {
            count,
            bound,
            maximum,
        });
    }
    for (count, bound, maximum) in [
        (1, 4.0, 0.001),
        (67, 1.0, 2.0),
        (257, 4.0, 1.0),
        (20_011, 100.0, 5.0),
    ] {
        setups.push(Setup::ClipGradValue {
            count,
            bound,
            maximum,
        });
    }
}

/// Whole gradients, and those of tables with few rows touched, all of them, or none.
fn optimizers(setups: &mut Vec<Setup>) {
    let dense = [(1, 1), (7, 3), (67, 65), (131, 137)].map(|(rows, columns)| UpdateCase {
        rows,
        columns,
        tokens: None,
    });
    let looked_up = [
        (2, 1, TokenPattern::Same, 1),
        (7, 3, TokenPattern::Mixed, 5),
        (300, 65, TokenPattern::Mixed, 67),
        (5, 64, TokenPattern::Nothing, 4),
        (11, 67, TokenPattern::Same, 63),
        (5, 7, TokenPattern::Few, 1031),
        (65_521, 1, TokenPattern::Mixed, MANY),
    ]
    .map(|(rows, columns, pattern, count)| UpdateCase {
        rows,
        columns,
        tokens: Some(tokens(pattern, count)),
    });
    for update in dense.into_iter().chain(looked_up) {
        setups.extend([
            Setup::Sgd(update),
            Setup::Adagrad(update),
            Setup::Adam(update, Step(1)),
            Setup::Adam(update, Step(7)),
        ]);
        setups.extend([false, true].map(|nesterov| Setup::Momentum { update, nesterov }));
        setups.push(Setup::Rmsprop(update));
        setups.extend([Setup::Add(update), Setup::AddSquares(update)]);
    }
    setups.push(Setup::Adam(dense[1], Step(100_000)));
}
