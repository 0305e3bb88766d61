//! Grouped matrix products on the CPU. Threads process chunks of groups of similar cost.

use std::ops::Range;

use rayon::prelude::*;

use super::{GROUP_FIELDS, GroupedMatmul, GroupedProduct, Groups};
use crate::device::Cpu;
use crate::kernels::batch_invariant_rows;
use crate::kernels::matmul::{Product, View};
use crate::kernels::parallel::vectorized;

pub(super) fn run(kernel: &GroupedMatmul, cpu: &Cpu) {
    let groups = kernel.groups.read(cpu);
    match kernel.product {
        GroupedProduct::Forward => forward(kernel, cpu, &groups),
        GroupedProduct::InputGradient => input_gradient(kernel, cpu, &groups),
        GroupedProduct::WeightGradient => weight_gradient(kernel, cpu, &groups),
    }
}

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

fn forward(kernel: &GroupedMatmul, cpu: &Cpu, groups: &[Group]) {
    let columns = kernel.rows.columns();
    let rows = cpu.read(&kernel.rows);
    let table = cpu.read(&kernel.table);
    let mut products = cpu.write(&kernel.products);
    let bias = kernel.bias.map(|bias| cpu.read(&bias).to_vec());
    let rows = &*rows;
    let table = &*table;
    let extent = |group: &Group| group.products.clone();
    for_groups(cpu, groups, &mut products, extent, |group, products| {
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
        if kernel.batch_invariant {
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

fn input_gradient(kernel: &GroupedMatmul, cpu: &Cpu, groups: &[Group]) {
    let columns = kernel.rows.columns();
    let products = cpu.read(&kernel.products);
    let table = cpu.read(&kernel.table);
    let mut rows = cpu.write(&kernel.rows);
    let products = &*products;
    let table = &*table;
    let end = groups.last().map_or(0, |group| group.rows.end);
    rows[end * columns..].fill(0.0);
    let extent = |group: &Group| group.rows.start * columns..group.rows.end * columns;
    for_groups(cpu, groups, &mut rows, extent, |group, rows| {
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

fn weight_gradient(kernel: &GroupedMatmul, cpu: &Cpu, groups: &[Group]) {
    let columns = kernel.rows.columns();
    let products = cpu.read(&kernel.products);
    let rows = cpu.read(&kernel.rows);
    let products = &*products;
    let rows = &*rows;
    let extent = |group: &Group| group.gradient.start * columns..group.gradient.end * columns;
    for_groups(
        cpu,
        groups,
        &mut cpu.write(&kernel.table),
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
    let Some(bias) = kernel.bias else { return };
    let extent = |group: &Group| group.gradient.clone();
    for_groups(cpu, groups, &mut cpu.write(&bias), extent, |group, bias| {
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
