//! Grouped matrix products: each group of rows is multiplied by its own range of a table's rows.
//! For example, hidden states whose target is in a class, and the output vectors of the class's
//! words.

pub(super) mod cases;

use std::ops::Range;

use rayon::prelude::*;

use super::matmul::{Product, View, batch_invariant_rows};
use super::parallel::vectorized;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For each row i of a group, whose table rows are `first + j`, one of
///
/// ```text
/// products[i, j]      = rows[i] · table[first + j] + bias[first + j]      Forward
/// rows[i]             = Σ_j products[i, j] table[first + j]               InputGradient
/// table[gradient + j] = Σ_i products[i, j] rows[i]                        WeightGradient
/// ```
///
/// `InputGradient` writes zeros to rows that are in no group. `WeightGradient` also computes the
/// bias's gradient. The products of a group are a contiguous matrix `[rows of the group, width]`.
#[derive(Debug, Clone, Copy)]
pub struct GroupedMatmul {
    /// Which of the three.
    pub product: GroupedProduct,
    /// The groups.
    pub groups: Groups,
    /// `[rows, columns]`. The rows of a group are adjacent; rows in no group come last.
    pub rows: Tensor,
    /// `[V, columns]`. For `WeightGradient`, `[total_width, columns]`: the table rows of all
    /// groups, one group after another.
    pub table: Tensor,
    /// One value per row of the table.
    pub bias: Option<Tensor>,
    /// The products of all groups, one group after another.
    pub products: Tensor,
    /// Whether the rounding of a row's products must not depend on the number of rows in its group.
    /// For scores that are compared.
    pub batch_invariant: bool,
}

/// What [`GroupedMatmul`] computes: the product, or the gradient of one of its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupedProduct {
    /// `products` from the others.
    Forward,
    /// `rows` from the others.
    InputGradient,
    /// `table` and `bias` from the others.
    WeightGradient,
}

/// The assignment of rows to ranges of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// `[count + 1, 5]`, one record per group: the first row, the first table row, the number of
    /// table rows (the width), the offset of the first product, and the first row in the table's
    /// gradient. The last record marks the end of the last group.
    pub records: Tensor<u32>,
    /// Number of groups.
    pub count: usize,
    /// The largest number of table rows of a group.
    pub max_width: usize,
    /// The number of table rows of all groups together.
    pub total_width: usize,
}

/// Number of fields in a record of [`Groups`].
pub const GROUP_FIELDS: usize = 5;

arguments! {
    count: u32,
    rows: u32,
    columns: u32,
    column_blocks: u32,
    groups_offset: u32,
    rows_offset: u32,
    products_offset: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "grouped_matmul",
    source: include_str!("../../shaders/grouped_matmul.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("groups", Access::Read),
        ("rows", Access::Read),
        ("table", Access::Read),
        ("bias", Access::Read),
        ("products", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static INPUT_GRADIENT: Shader = Shader {
    entry_point: "input_gradient",
    bindings: &[
        ("groups", Access::Read),
        ("rows_gradient", Access::Write),
        ("table", Access::Read),
        ("products_gradient", Access::Read),
    ],
    ..FORWARD
};
pub(super) static WEIGHT_GRADIENT: Shader = Shader {
    entry_point: "weight_gradient",
    bindings: &[
        ("groups", Access::Read),
        ("rows", Access::Read),
        ("table_gradient", Access::Write),
        ("products_gradient", Access::Read),
        ("bias_gradient", Access::Write),
    ],
    ..FORWARD
};

/// A decoded record of [`Groups`].
struct Group {
    rows: Range<usize>,
    table: Range<usize>,
    products: Range<usize>,
    /// Rows in the table's gradient.
    gradient: Range<usize>,
}

impl Group {
    /// The relative cost of the group.
    fn cost(&self) -> usize {
        // The constant accounts for reading and writing the table.
        (self.rows.len() + 4) * self.table.len()
    }
}

impl Groups {
    /// Decodes the records.
    fn read(&self, cpu: &Cpu) -> Vec<Group> {
        let records = cpu.read(&self.records);
        let group = |pair: &[u32]| {
            let field = |index: usize| pair[index] as usize;
            let next = |index: usize| pair[GROUP_FIELDS + index] as usize;
            Group {
                rows: field(0)..next(0),
                table: field(1)..field(1) + field(2),
                products: field(3)..next(3),
                gradient: field(4)..next(4),
            }
        };
        (0..self.count)
            .map(|index| group(&records[GROUP_FIELDS * index..GROUP_FIELDS * (index + 2)]))
            .collect()
    }
}

/// Splits the groups into chunks of similar cost, at most one per thread.
fn balanced_chunks(groups: &[Group], threads: usize) -> Vec<&[Group]> {
    let total: usize = groups.iter().map(Group::cost).sum();
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut cost = 0;
    for (index, group) in groups.iter().enumerate() {
        cost += group.cost();
        if cost * threads >= total * (chunks.len() + 1) {
            chunks.push(&groups[start..=index]);
            start = index + 1;
        }
    }
    chunks
}

/// Splits `values` into one slice per chunk of groups. `extent` is the range of a group's values.
fn split_values<'a>(
    mut values: &'a mut [f32],
    chunks: &[&[Group]],
    extent: impl Fn(&Group) -> Range<usize>,
) -> Vec<&'a mut [f32]> {
    let mut slices = Vec::new();
    for chunk in chunks {
        let length = chunk.iter().map(|group| extent(group).len()).sum();
        let (slice, rest) = values.split_at_mut(length);
        slices.push(slice);
        values = rest;
    }
    slices
}

/// Removes and returns the first `length` values.
fn take<'a>(values: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(values).split_at_mut(length);
    *values = rest;
    first
}

/// Computes a product in blocks with a number of rows that depends only on the width. The last
/// block is padded with zeros. `gemm` chooses the order of summation by the sizes of a product, so
/// the order is the same for all rows.
fn run_batch_invariant(product: &Product<'_>, products: &mut [f32]) {
    let [rows, width, columns] = product.sizes;
    let height = batch_invariant_rows(width);
    let mut padded = vec![0.0; height * columns];
    let mut block_products = vec![0.0; height * width];
    for first in (0..rows).step_by(height) {
        let count = height.min(rows - first);
        padded[..count * columns]
            .copy_from_slice(&product.a.data[first * columns..][..count * columns]);
        padded[count * columns..].fill(0.0);
        let block = Product {
            sizes: [height, width, columns],
            a: View {
                data: &padded,
                ..product.a
            },
            ..*product
        };
        block.run(&mut block_products);
        products[first * width..][..count * width]
            .copy_from_slice(&block_products[..count * width]);
    }
}

impl GroupedMatmul {
    /// Calls `work` with every group and its slice of `values`, on all threads.
    fn for_groups(
        cpu: &Cpu,
        groups: &[Group],
        values: &mut [f32],
        extent: impl Fn(&Group) -> Range<usize> + Sync,
        work: impl Fn(&Group, &mut [f32]) + Sync,
    ) {
        let chunks = balanced_chunks(groups, cpu.threads());
        let slices = split_values(values, &chunks, &extent);
        let run_chunk = |(chunk, mut slice): (&[Group], &mut [f32])| {
            for group in chunk {
                work(group, take(&mut slice, extent(group).len()));
            }
        };
        if chunks.len() < 2 {
            chunks.into_iter().zip(slices).for_each(run_chunk);
        } else {
            chunks.into_par_iter().zip(slices).for_each(run_chunk);
        }
    }

    fn forward_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let rows = cpu.read(&self.rows);
        let table = cpu.read(&self.table);
        let mut products = cpu.write(&self.products);
        let bias = self.bias.map(|bias| cpu.read(&bias).to_vec());
        let rows = &*rows;
        let table = &*table;
        let extent = |group: &Group| group.products.clone();
        Self::for_groups(cpu, groups, &mut products, extent, |group, products| {
            let width = group.table.len();
            let product = Product {
                sizes: [group.rows.len(), width, columns],
                a: View {
                    data: &rows[group.rows.start * columns..],
                    strides: [columns, 1],
                },
                b: View {
                    data: &table[group.table.start * columns..],
                    strides: [1, columns],
                },
                accumulate: false,
            };
            if self.batch_invariant {
                run_batch_invariant(&product, products);
            } else {
                product.run(products);
            }
            if let Some(bias) = &bias {
                for row in products.chunks_exact_mut(width) {
                    row.iter_mut()
                        .zip(&bias[group.table.clone()])
                        .for_each(|(value, bias)| *value += bias);
                }
            }
        });
    }

    fn input_gradient_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let products = cpu.read(&self.products);
        let table = cpu.read(&self.table);
        let mut rows = cpu.write(&self.rows);
        let products = &*products;
        let table = &*table;
        let end = groups.last().map_or(0, |group| group.rows.end);
        rows[end * columns..].fill(0.0);
        let extent = |group: &Group| group.rows.start * columns..group.rows.end * columns;
        Self::for_groups(cpu, groups, &mut rows, extent, |group, rows| {
            let width = group.table.len();
            let product = Product {
                sizes: [group.rows.len(), columns, width],
                a: View {
                    data: &products[group.products.clone()],
                    strides: [width, 1],
                },
                b: View {
                    data: &table[group.table.start * columns..],
                    strides: [columns, 1],
                },
                accumulate: false,
            };
            product.run(rows);
        });
    }

    fn weight_gradient_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let products = cpu.read(&self.products);
        let rows = cpu.read(&self.rows);
        let products = &*products;
        let rows = &*rows;
        let extent = |group: &Group| group.gradient.start * columns..group.gradient.end * columns;
        Self::for_groups(
            cpu,
            groups,
            &mut cpu.write(&self.table),
            extent,
            |group, table| {
                let width = group.table.len();
                let product = Product {
                    sizes: [width, columns, group.rows.len()],
                    a: View {
                        data: &products[group.products.clone()],
                        strides: [1, width],
                    },
                    b: View {
                        data: &rows[group.rows.start * columns..],
                        strides: [columns, 1],
                    },
                    accumulate: false,
                };
                product.run(table);
            },
        );
        let Some(bias) = self.bias else { return };
        let extent = |group: &Group| group.gradient.clone();
        Self::for_groups(cpu, groups, &mut cpu.write(&bias), extent, |group, bias| {
            bias.fill(0.0);
            vectorized(
                #[inline(always)]
                || {
                    for row in products[group.products.clone()].chunks_exact(bias.len()) {
                        bias.iter_mut()
                            .zip(row)
                            .for_each(|(sum, value)| *sum += value);
                    }
                },
            );
        });
    }
}

impl Kernel for GroupedMatmul {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let groups = self.groups.read(cpu);
        match self.product {
            GroupedProduct::Forward => self.forward_on_cpu(cpu, &groups),
            GroupedProduct::InputGradient => self.input_gradient_on_cpu(cpu, &groups),
            GroupedProduct::WeightGradient => self.weight_gradient_on_cpu(cpu, &groups),
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (groups, groups_offset) = Binding::with_offset(&self.groups.records);
        let (products, products_offset) = Binding::with_offset(&self.products);
        let (rows, rows_offset) = Binding::with_offset(&self.rows);
        let table = Binding::whole(&self.table);
        let columns = self.rows.columns();
        let bias_columns = usize::from(self.bias.is_some());
        // If there is no bias, any buffer can be bound in its place.
        let bias = self
            .bias
            .map_or_else(|| gpu.scratch(), |bias| Binding::whole(&bias));
        let (shader, bindings, rows, width) = match self.product {
            GroupedProduct::Forward => (
                &FORWARD,
                &[groups, rows, table, bias, products][..],
                self.rows.rows(),
                self.groups.max_width,
            ),
            GroupedProduct::InputGradient => (
                &INPUT_GRADIENT,
                &[groups, rows, table, products][..],
                self.rows.rows(),
                columns,
            ),
            GroupedProduct::WeightGradient => (
                &WEIGHT_GRADIENT,
                &[groups, rows, table, products, bias][..],
                self.groups.total_width,
                columns + bias_columns,
            ),
        };
        let column_blocks = width.div_ceil(64);
        gpu.launch(
            shader,
            &[("BIAS", bias_columns as f64)],
            bindings,
            &Arguments {
                count: to_u32(self.groups.count),
                rows: to_u32(self.rows.rows()),
                columns: to_u32(columns),
                column_blocks: to_u32(column_blocks),
                groups_offset,
                rows_offset,
                products_offset,
            },
            workgroups(rows * column_blocks, 1),
        );
    }
}
