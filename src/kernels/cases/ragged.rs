//! Cases of the kernels for rows and runs of different lengths: products of groups, softmaxes of
//! classes, hashed features.

use std::fmt;

use super::bench::{Bench, Place::Part, Place::Whole};
use super::run::in_place_if;
use super::{Setup, option};
use crate::error::Result;
use crate::kernels::{
    AddRuns, BLOCK, Exponential, GROUP_FIELDS, GroupedMatmul, GroupedProduct, Groups, ROW_FIELDS,
    RaggedSoftmax, RunsGradient, SEGMENT_FIELDS,
};
use crate::tensor::{NONE, Tensor};

/// Sizes and options of one of these kernels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ragged {
    /// [`GroupedMatmul`].
    Product {
        /// Which product.
        product: GroupedProduct,
        /// Number of groups.
        groups: usize,
        /// Rows of the table in the widest group.
        widest: usize,
        /// Columns of rows and table.
        columns: usize,
        /// Whether there is a bias.
        bias: bool,
        /// Whether rows may not depend on each other.
        batch_invariant: bool,
    },
    /// [`RaggedSoftmax`].
    Softmax {
        /// Rows.
        rows: usize,
        /// The longest.
        widest: usize,
        /// Whether the logits become their gradient.
        gradient: bool,
        /// Factor of the gradient.
        scale: f32,
        /// Largest logit.
        bound: f32,
        /// The function that makes probabilities of logits.
        exponential: Exponential,
    },
    /// [`AddRuns`].
    AddRuns {
        /// Records.
        records: usize,
        /// Runs that each adds.
        order: usize,
        /// The longest run.
        longest: usize,
        /// Blocks of the table.
        blocks: usize,
    },
    /// [`RunsGradient`].
    RunsGradient {
        /// Blocks that runs touched.
        blocks: usize,
        /// Pieces of the block that most touched.
        most: usize,
    },
}

impl Ragged {
    /// The stem of the kernel's files.
    pub(super) fn kernel(&self) -> &'static str {
        match self {
            Self::Product { .. } => "grouped_matmul",
            Self::Softmax { .. } => "ragged_softmax",
            Self::AddRuns { .. } => "add_runs",
            Self::RunsGradient { .. } => "runs_gradient",
        }
    }

    /// Makes the tensors and runs the kernel.
    pub(super) fn run(self, bench: &mut Bench<'_>) -> Result<()> {
        match self {
            Self::Product {
                product,
                groups,
                widest,
                columns,
                bias,
                batch_invariant,
            } => grouped(
                bench,
                product,
                [groups, widest, columns],
                [bias, batch_invariant],
            ),
            Self::Softmax {
                rows,
                widest,
                gradient,
                scale,
                bound,
                exponential,
            } => {
                let mut records = Vec::with_capacity(rows * ROW_FIELDS);
                let mut begin = 0;
                for row in 0..rows {
                    let length = odd(row, 5, widest);
                    records.extend(
                        [begin, length, odd(row, 3, length) - 1, rows - 1 - row]
                            .map(|number| number as u32),
                    );
                    begin += length;
                }
                let values = bench.uniform(begin, bound);
                let logits = match gradient {
                    true => bench.changed("logits", Part, [1, begin], values)?,
                    false => bench.consumed("logits", Part, [1, begin], values)?,
                };
                let rows_on_device = bench.tokens("rows", records)?;
                let losses = in_place_if(bench, "losses", Part, [rows, 1], true)?;
                bench.run(&RaggedSoftmax {
                    logits,
                    rows: rows_on_device,
                    losses,
                    gradient,
                    scale,
                    exponential,
                });
                Ok(())
            }
            Self::AddRuns {
                records,
                order,
                longest,
                blocks,
            } => {
                let table = bench.random_input("table", Whole, [blocks, BLOCK])?;
                let mut runs = Vec::new();
                let mut place = 1;
                for record in 0..records {
                    let length = odd(record, 5, longest);
                    runs.extend([place as u32, length as u32]);
                    // The last runs go past the table's end; every fourth is none.
                    runs.extend((0..order).map(|number| match (record + number) % 4 {
                        3 => NONE,
                        _ => ((record * 37 + number * 101 + 11) % (blocks * BLOCK)) as u32,
                    }));
                    place += length + record % 2;
                }
                let output = in_place_if(bench, "output", Part, [1, place + 2], true)?;
                let runs = bench.tokens("runs", runs)?.reshape(records, 2 + order);
                bench.run(&AddRuns {
                    table,
                    runs,
                    output,
                });
                Ok(())
            }
            Self::RunsGradient { blocks, most } => runs_gradient(bench, blocks, most),
        }
    }
}

/// A number of 1 to `most` that seems to follow no rule.
fn odd(number: usize, factor: usize, most: usize) -> usize {
    (number * factor + number / 3) % most + 1
}

fn grouped(
    bench: &mut Bench<'_>,
    product: GroupedProduct,
    [count, widest, columns]: [usize; 3],
    [with_bias, batch_invariant]: [bool; 2],
) -> Result<()> {
    let table_rows = 3 * widest;
    let (mut records, mut rows, mut products, mut touched) = (Vec::new(), 0, 0, 0);
    for group in 0..count {
        let (height, width) = (odd(group, 7, 5), odd(group, 5, widest));
        let first = (group * 11) % (table_rows - width + 1);
        records.extend([rows, first, width, products, touched].map(|number| number as u32));
        (rows, products, touched) = (rows + height, products + height * width, touched + width);
    }
    records.extend([rows, 0, 0, products, touched].map(|number| number as u32));
    // Two rows more, of no group.
    let shape = [rows + 2, columns];
    let records = bench
        .tokens("groups", records)?
        .reshape(count + 1, GROUP_FIELDS);
    let groups = Groups {
        records,
        count,
        max_width: widest,
        total_width: touched,
    };
    let is = |other| product == other;
    let written = |bench: &mut Bench<'_>, name, place, shape, is_written| match is_written {
        true => bench.output(name, place, shape),
        false => bench.random_input(name, place, shape),
    };
    let rows = written(
        bench,
        "rows",
        Part,
        shape,
        is(GroupedProduct::InputGradient),
    )?;
    let products = written(
        bench,
        "products",
        Part,
        [1, products],
        is(GroupedProduct::Forward),
    )?;
    let is_weight = is(GroupedProduct::WeightGradient);
    let table_rows = if is_weight { touched } else { table_rows };
    let table = written(bench, "table", Whole, [table_rows, columns], is_weight)?;
    let bias = match with_bias {
        true => Some(written(bench, "bias", Whole, [table_rows, 1], is_weight)?),
        false => None,
    };
    bench.run(&GroupedMatmul {
        product,
        groups,
        rows,
        table,
        bias,
        products,
        batch_invariant,
    });
    Ok(())
}

fn runs_gradient(bench: &mut Bench<'_>, blocks: usize, most: usize) -> Result<()> {
    let (mut begins, mut pieces) = (vec![0_u32], Vec::new());
    let mut end = 0;
    for block in 0..blocks {
        for piece in 0..odd(block, 3, most) {
            let number = block * 5 + piece;
            // From 40 numbers before the block's first to its last, and long enough to reach it.
            let behind = (number * 7 % (40 + BLOCK)) as i32 - 40;
            let length = 1 + (-behind).max(0) as usize + number * 13 % 50;
            let place = number * 3 % 20;
            pieces.extend([place as u32, behind as u32, length as u32]);
            end = end.max(place + length);
        }
        begins.push((pieces.len() / SEGMENT_FIELDS) as u32);
    }
    let gradient = bench.random_input("gradient", Part, [1, end])?;
    let begins = bench.tokens("begins", begins)?;
    let count = pieces.len() / SEGMENT_FIELDS;
    let pieces = bench
        .tokens("pieces", pieces)?
        .reshape(count, SEGMENT_FIELDS);
    let sums: Tensor = bench.output("sums", Whole, [blocks, BLOCK])?;
    bench.run(&RunsGradient {
        gradient,
        segment_starts: begins,
        segments: pieces,
        sums,
    });
    Ok(())
}

/// One group and many, widths around a workgroup; rows of one logit and of more than a workgroup's;
/// runs past the table's end; more work than one dimension of a dispatch holds.
pub(super) fn setups(setups: &mut Vec<Setup>) {
    for product in [
        GroupedProduct::Forward,
        GroupedProduct::InputGradient,
        GroupedProduct::WeightGradient,
    ] {
        for (groups, widest, columns, bias) in [
            (1, 1, 1, false),
            (3, 5, 7, true),
            (17, 67, 65, false),
            (131, 9, 64, true),
            (5, 301, 33, true),
        ] {
            setups.push(Setup::Ragged(Ragged::Product {
                product,
                groups,
                widest,
                columns,
                bias,
                batch_invariant: false,
            }));
            if product == GroupedProduct::Forward {
                setups.push(Setup::Ragged(Ragged::Product {
                    product,
                    groups,
                    widest,
                    columns,
                    bias,
                    batch_invariant: true,
                }));
            }
        }
    }
    for exponential in [Exponential::Exact, Exponential::Rnnlm] {
        for (rows, widest, scale, bound) in [
            (1, 1, 1.0, 4.0),
            (7, 3, 0.25, 1.0),
            (67, 131, 1.0, 20.0),
            (13, 1031, 0.5, 4.0),
            (70_001, 2, 1.0, 4.0),
        ] {
            for gradient in [false, true] {
                setups.push(Setup::Ragged(Ragged::Softmax {
                    rows,
                    widest,
                    gradient,
                    scale,
                    bound,
                    exponential,
                }));
            }
        }
    }
    for (records, order, longest, blocks) in [
        (1, 1, 1, 1),
        (5, 3, 7, 2),
        (67, 4, 131, 31),
        (1031, 3, 65, 97),
    ] {
        setups.push(Setup::Ragged(Ragged::AddRuns {
            records,
            order,
            longest,
            blocks,
        }));
    }
    for (blocks, most) in [(1, 1), (3, 2), (67, 9), (1031, 5)] {
        setups.push(Setup::Ragged(Ragged::RunsGradient { blocks, most }));
    }
}

impl fmt::Display for Ragged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Product {
                product,
                groups,
                widest,
                columns,
                bias,
                batch_invariant,
            } => {
                let product = format!("{product:?}").to_lowercase();
                write!(
                    f,
                    "{product} {groups} groups of up to {widest} x {columns}{}{}",
                    option(bias, "bias"),
                    option(batch_invariant, "batch_invariant")
                )
            }
            Self::Softmax {
                rows,
                widest,
                gradient,
                scale,
                bound,
                exponential,
            } => {
                let gradient = if gradient {
                    format!(" gradient x {scale}")
                } else {
                    String::new()
                };
                let exponential = option(exponential == Exponential::Rnnlm, "rnnlm");
                write!(
                    f,
                    "{rows} rows of up to {widest} below {bound}{gradient}{exponential}"
                )
            }
            Self::AddRuns {
                records,
                order,
                longest,
                blocks,
            } => {
                write!(
                    f,
                    "{records} x {order} runs of up to {longest} of {blocks} blocks"
                )
            }
            Self::RunsGradient { blocks, most } => {
                write!(f, "{blocks} blocks of up to {most} pieces")
            }
        }
    }
}
