//! Products of groups of rows, each with a run of a table's rows of its own: the words of a class,
//! say, with the states that wait for one of them.

use std::ops::Range;

use rayon::prelude::*;

use super::matmul::{Product, View, batch_invariant_rows};
use super::parallel::vectorised;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// With rows i of group g and the group's rows `first + j` of the table, one of
///
/// ```text
/// products[i, j] = rows[i] · table[first + j] + bias[first + j]      Forward
/// rows[i]        = Σ_j products[i, j] table[first + j]               Input
/// table[own + j] = Σ_i products[i, j] rows[i]                        Weight
/// ```
///
/// `Input` writes zeros to rows of no group; `Weight` also sums the bias. Products of a group lie
/// side by side, `[rows of the group, width]`.
#[derive(Debug, Clone, Copy)]
pub struct GroupedMatmul {
    /// Which of the three.
    pub product: GroupedProduct,
    /// The groups.
    pub groups: Groups,
    /// `[rows, columns]`, those of a group side by side, those of no group last.
    pub rows: Tensor,
    /// `[V, columns]`; where it is written, `[touched, columns]`, the groups' rows one group after
    /// another.
    pub table: Tensor,
    /// A number for each row of the table.
    pub bias: Option<Tensor>,
    /// As many numbers as the groups have products.
    pub products: Tensor,
    /// Whether a row's products may not depend, by rounding, on how many rows its group has: for
    /// scores that are compared.
    pub batch_invariant: bool,
}

/// What [`GroupedMatmul`] computes: the product itself, or the gradient of one of its factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupedProduct {
    /// `products` from the others.
    Forward,
    /// `rows` from the others.
    Input,
    /// `table` and `bias` from the others.
    Weight,
}

/// Which rows go with which of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// `[count + 1, 5]`: the first row, the first row of the table, how many of these, the first
    /// product, and the first row of the table's gradient. What would be the group after the last
    /// ends it.
    pub records: Tensor<u32>,
    /// Number of groups.
    pub count: usize,
    /// Rows of the table in the widest group.
    pub widest: usize,
    /// Rows of the table in all groups together.
    pub touched: usize,
}

/// Numbers of a record of [`Groups`].
pub const GROUP_FIELDS: usize = 5;

arguments! {
    count: u32,
    rows: u32,
    columns: u32,
    parts: u32,
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
pub(super) static INPUT: Shader = Shader {
    entry_point: "input",
    bindings: &[
        ("groups", Access::Read),
        ("rows_gradient", Access::Write),
        ("table", Access::Read),
        ("products_gradient", Access::Read),
    ],
    ..FORWARD
};
pub(super) static WEIGHT: Shader = Shader {
    entry_point: "weight",
    bindings: &[
        ("groups", Access::Read),
        ("rows", Access::Read),
        ("table_gradient", Access::Write),
        ("products_gradient", Access::Read),
        ("bias_gradient", Access::Write),
    ],
    ..FORWARD
};

/// A group as the CPU sees it.
struct Group {
    rows: Range<usize>,
    table: Range<usize>,
    products: Range<usize>,
    own: Range<usize>,
}

impl Group {
    /// What share of the work it is.
    fn cost(&self) -> usize {
        // Reading and writing the table is work too, not only multiplying.
        (self.rows.len() + 4) * self.table.len()
    }
}

impl Groups {
    fn on_cpu(&self, cpu: &Cpu) -> Vec<Group> {
        let records = cpu.read(&self.records);
        let group = |pair: &[u32]| {
            let field = |number: usize| pair[number] as usize;
            let next = |number: usize| pair[GROUP_FIELDS + number] as usize;
            Group {
                rows: field(0)..next(0),
                table: field(1)..field(1) + field(2),
                products: field(3)..next(3),
                own: field(4)..next(4),
            }
        };
        (0..self.count)
            .map(|number| group(&records[GROUP_FIELDS * number..GROUP_FIELDS * (number + 2)]))
            .collect()
    }
}

/// Runs of groups of about the same cost, one for each thread.
fn shares(groups: &[Group], threads: usize) -> Vec<&[Group]> {
    let whole: usize = groups.iter().map(Group::cost).sum();
    let (mut shares, mut begin, mut cost) = (Vec::new(), 0, 0);
    for (number, group) in groups.iter().enumerate() {
        cost += group.cost();
        if cost * threads >= whole * (shares.len() + 1) {
            shares.push(&groups[begin..=number]);
            begin = number + 1;
        }
    }
    shares
}

/// Cuts what the shares of groups write, one part for each; `extent` says where a group's part
/// ends.
fn parts<'a>(
    mut values: &'a mut [f32],
    shares: &[&[Group]],
    extent: impl Fn(&Group) -> Range<usize>,
) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::new();
    for share in shares {
        let length = share.iter().map(|group| extent(group).len()).sum();
        let (part, rest) = values.split_at_mut(length);
        parts.push(part);
        values = rest;
    }
    parts
}

/// The next `length` numbers of what a share writes.
fn take<'a>(values: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(values).split_at_mut(length);
    *values = rest;
    first
}

/// Runs a product in blocks of as many rows for a width, whatever rows there are, with zeros behind
/// the last: so all rows are multiplied in the same order, which `gemm` chooses by the sizes of the
/// whole.
fn run_steadily(product: &Product<'_>, products: &mut [f32]) {
    let [rows, width, columns] = product.sizes;
    let height = batch_invariant_rows(width);
    let (mut padded, mut all) = (vec![0.0; height * columns], vec![0.0; height * width]);
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
        block.run(&mut all);
        products[first * width..][..count * width].copy_from_slice(&all[..count * width]);
    }
}

impl GroupedMatmul {
    /// Calls `work` with every group and its part of `values`, the shares of threads at once.
    fn for_groups(
        cpu: &Cpu,
        groups: &[Group],
        values: &mut [f32],
        extent: impl Fn(&Group) -> Range<usize> + Sync,
        work: impl Fn(&Group, &mut [f32]) + Sync,
    ) {
        let shares = shares(groups, cpu.threads());
        let parts = parts(values, &shares, &extent);
        let one = |(share, mut part): (&[Group], &mut [f32])| {
            for group in share {
                work(group, take(&mut part, extent(group).len()));
            }
        };
        if shares.len() < 2 {
            shares.into_iter().zip(parts).for_each(one);
        } else {
            shares.into_par_iter().zip(parts).for_each(one);
        }
    }

    fn forward_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let (rows, table, mut products) = (
            cpu.read(&self.rows),
            cpu.read(&self.table),
            cpu.write(&self.products),
        );
        let bias = self.bias.map(|bias| cpu.read(&bias).to_vec());
        let (rows, table) = (&*rows, &*table);
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
                run_steadily(&product, products);
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

    fn input_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let (products, table, mut rows) = (
            cpu.read(&self.products),
            cpu.read(&self.table),
            cpu.write(&self.rows),
        );
        let (products, table) = (&*products, &*table);
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

    fn weight_on_cpu(&self, cpu: &Cpu, groups: &[Group]) {
        let columns = self.rows.columns();
        let (products, rows) = (cpu.read(&self.products), cpu.read(&self.rows));
        let (products, rows) = (&*products, &*rows);
        let extent = |group: &Group| group.own.start * columns..group.own.end * columns;
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
        let extent = |group: &Group| group.own.clone();
        Self::for_groups(cpu, groups, &mut cpu.write(&bias), extent, |group, bias| {
            bias.fill(0.0);
            vectorised(
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
        let groups = self.groups.on_cpu(cpu);
        match self.product {
            GroupedProduct::Forward => self.forward_on_cpu(cpu, &groups),
            GroupedProduct::Input => self.input_on_cpu(cpu, &groups),
            GroupedProduct::Weight => self.weight_on_cpu(cpu, &groups),
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (groups, groups_offset) = Binding::with_offset(&self.groups.records);
        let (products, products_offset) = Binding::with_offset(&self.products);
        let ((rows, rows_offset), table) = (
            Binding::with_offset(&self.rows),
            Binding::whole(&self.table),
        );
        let (columns, with_bias) = (self.rows.columns(), usize::from(self.bias.is_some()));
        // Where there is no bias, any buffer is bound in its place.
        let bias = self
            .bias
            .map_or_else(|| gpu.scratch(), |bias| Binding::whole(&bias));
        let (shader, bindings, count, wide) = match self.product {
            GroupedProduct::Forward => (
                &FORWARD,
                &[groups, rows, table, bias, products][..],
                self.rows.rows(),
                self.groups.widest,
            ),
            GroupedProduct::Input => (
                &INPUT,
                &[groups, rows, table, products][..],
                self.rows.rows(),
                columns,
            ),
            GroupedProduct::Weight => (
                &WEIGHT,
                &[groups, rows, table, products, bias][..],
                self.groups.touched,
                columns + with_bias,
            ),
        };
        let parts = wide.div_ceil(64);
        gpu.launch(
            shader,
            &[("BIAS", with_bias as f64)],
            bindings,
            &Arguments {
                count: to_u32(self.groups.count),
                rows: to_u32(self.rows.rows()),
                columns: to_u32(columns),
                parts: to_u32(parts),
                groups_offset,
                rows_offset,
                products_offset,
            },
            workgroups(count * parts, 1),
        );
    }
}
