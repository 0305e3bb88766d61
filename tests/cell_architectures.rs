//! Networks of one cell with every kind of layer around it.

use elman::model::NoiseSampler;

use super::reference::cells::Cell;
use super::reference::kernels::Activation;
use super::reference::network::{Architecture, FeedForward};
use super::reference::outputs::{Direct, Output};
use super::reference::sampled::{Objective, Sampled};

/// Networks of one cell: one-hot input and embeddings, with and without biases, layers of different
/// sizes, tied tables, a projection.
pub fn architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let same = Architecture {
        cell,
        activation: Activation::Tanh,
        vocab_size: 7,
        hidden_sizes: vec![5; num_layers],
        ..Default::default()
    };
    let hidden_sizes: Vec<usize> = [4, 6, 3].into_iter().take(num_layers).collect();
    let last = hidden_sizes[num_layers - 1];
    let differing = Architecture {
        embedding_size: last,
        hidden_sizes,
        bias: true,
        ..same.clone()
    };
    valid(vec![
        same.clone(),
        Architecture {
            bias: true,
            decoder_bias: true,
            ..same.clone()
        },
        Architecture {
            embedding_size: 3,
            bias: true,
            ..same.clone()
        },
        Architecture {
            embedding_size: 3,
            tied: true,
            projection: true,
            decoder_bias: true,
            ..same.clone()
        },
        Architecture {
            embedding_size: 6,
            projection: true,
            bias: true,
            ..same
        },
        Architecture {
            tied: true,
            ..differing.clone()
        },
        Architecture {
            embedding_size: 2,
            decoder_bias: true,
            ..differing
        },
    ])
}

/// The networks, with an embedding where the cell needs one, zoneout in some where it has it, and
/// rounds of every number and kind.
fn valid(mut architectures: Vec<Architecture>) -> Vec<Architecture> {
    for (index, one) in architectures.iter_mut().enumerate() {
        if one.reads_previous_input() && one.embedding_size == 0 {
            one.embedding_size = 2;
        }
        if one.has_zoneout() && index % 3 == 1 {
            one.zoneout = 0.25;
        }
        if one.cell == Cell::Mogrifier {
            one.embedding_size = one.embedding_size.max(2);
            one.mogrifier_rounds = 1 + (index + one.num_layers()) % 5;
            let least = one.hidden_sizes.iter().min().copied().unwrap_or(1);
            one.mogrifier_rank = (index % 3).min(one.embedding_size.min(least) - 1);
        }
    }
    architectures
}

/// Networks of one cell with classes: one class and several, classes of one word, with biases,
/// direct connections and a compression layer.
pub fn class_architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let of = |sizes: &[usize], direct| Output::Class {
        sizes: sizes.to_vec(),
        direct,
    };
    let plain = Architecture {
        cell,
        activation: Activation::Tanh,
        vocab_size: 7,
        hidden_sizes: vec![5; num_layers],
        ..Default::default()
    };
    valid(vec![
        Architecture {
            output: of(&[2, 1, 4], None),
            ..plain.clone()
        },
        Architecture {
            output: of(&[7], None),
            bias: true,
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(
                &[1, 3, 3],
                Some(Direct {
                    size: 320,
                    order: 3,
                }),
            ),
            embedding_size: 3,
            projection: true,
            ..plain.clone()
        },
        Architecture {
            output: of(&[4, 3], Some(Direct { size: 64, order: 4 })),
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(&[3, 4], Some(Direct { size: 96, order: 1 })),
            compression_size: 4,
            ..plain.clone()
        },
        Architecture {
            output: of(&[1; 7], None),
            embedding_size: 2,
            ..plain.clone()
        },
        Architecture {
            compression_size: 6,
            decoder_bias: true,
            ..plain
        },
    ])
}

/// Networks of one cell with clusters: one and several, clusters of one word, with biases,
/// projections that narrow or do not, a projection and a compression layer.
pub fn adaptive_architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let of = |cutoffs: &[usize], divisor| Output::Adaptive {
        cutoffs: cutoffs.to_vec(),
        divisor,
    };
    let plain = Architecture {
        cell,
        activation: Activation::Tanh,
        vocab_size: 7,
        hidden_sizes: vec![5; num_layers],
        ..Default::default()
    };
    valid(vec![
        Architecture {
            output: of(&[3], 2.0),
            ..plain.clone()
        },
        Architecture {
            output: of(&[1, 3, 6], 1.25),
            bias: true,
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(&[2, 4], 1.0),
            embedding_size: 3,
            projection: true,
            ..plain.clone()
        },
        Architecture {
            output: of(&[1, 2, 3, 4, 5, 6], 4.0),
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(&[6], 4.0),
            compression_size: 4,
            ..plain
        },
    ])
}

/// Networks of one cell with a mixture of softmaxes: two and many, with biases, tied tables of the
/// size of the last layer and of another.
pub fn mixture_architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let plain = Architecture {
        cell,
        activation: Activation::Tanh,
        vocab_size: 7,
        hidden_sizes: vec![5; num_layers],
        output: Output::Mixture(2),
        ..Default::default()
    };
    valid(vec![
        plain.clone(),
        Architecture {
            output: Output::Mixture(16),
            bias: true,
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: Output::Mixture(3),
            embedding_size: 3,
            tied: true,
            ..plain.clone()
        },
        Architecture {
            output: Output::Mixture(5),
            embedding_size: 6,
            tied: true,
            bias: true,
            decoder_bias: true,
            ..plain
        },
    ])
}

/// Feed-forward networks with every kind of layer around them: contexts of one word and more,
/// direct connections, tied tables, projections, every output layer.
pub fn feed_forward_architectures() -> Vec<Architecture> {
    let of = |context, skip| Architecture {
        feed_forward: Some(FeedForward { context, skip }),
        vocab_size: 7,
        embedding_size: 3,
        hidden_sizes: vec![5],
        bias: true,
        decoder_bias: true,
        ..Default::default()
    };
    let mut architectures = vec![
        of(1, false),
        of(1, true),
        Architecture {
            bias: false,
            decoder_bias: false,
            ..of(2, false)
        },
        of(4, true),
        of(9, false),
        Architecture {
            embedding_size: 5,
            tied: true,
            ..of(3, false)
        },
        Architecture {
            tied: true,
            projection: true,
            ..of(4, true)
        },
    ];
    let others = class_architectures(Cell::Elman, 1)
        .into_iter()
        .chain(adaptive_architectures(Cell::Elman, 1))
        .chain(sampled_architectures(Cell::Elman, 1))
        .chain(mixture_architectures(Cell::Elman, 1));
    architectures.extend(others.map(|other| Architecture {
        output: other.output,
        compression_size: other.compression_size,
        ..of(3, other.compression_size == 0)
    }));
    architectures
}

/// The sample that the model draws for a window whose draw index is 0.
pub fn sampled(objective: Objective, samples: usize, power: f64, counts: &[u64]) -> Output {
    let mut words: Vec<usize> = NoiseSampler::new(counts, power, 0)
        .sample(0, samples)
        .into_iter()
        .map(|word| word as usize)
        .collect();
    words.sort_unstable();
    if objective == Objective::Softmax {
        words.dedup();
    }
    Output::Sampled(Sampled {
        objective,
        counts: counts.to_vec(),
        power,
        draws: samples,
        words,
    })
}

/// Networks of one cell trained on samples: of one word and of more words than the vocabulary has,
/// with both losses, biases, tied tables, a projection and a compression layer.
pub fn sampled_architectures(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    let counts = [9, 4, 0, 3, 1, 1, 20];
    let of = |objective, samples, power| sampled(objective, samples, power, &counts);
    let plain = Architecture {
        cell,
        activation: Activation::Tanh,
        vocab_size: 7,
        hidden_sizes: vec![5; num_layers],
        ..Default::default()
    };
    valid(vec![
        Architecture {
            output: of(Objective::Softmax, 3, 0.75),
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Softmax, 40, 1.0),
            bias: true,
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Nce(0.0), 5, 0.5),
            embedding_size: 3,
            projection: true,
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Nce(1.5), 17, 0.0),
            decoder_bias: true,
            compression_size: 4,
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Softmax, 1, 0.75),
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Softmax, 4, 0.75),
            embedding_size: 5,
            tied: true,
            decoder_bias: true,
            ..plain.clone()
        },
        Architecture {
            output: of(Objective::Nce(0.5), 6, 1.0),
            embedding_size: 3,
            projection: true,
            tied: true,
            ..plain
        },
    ])
}
