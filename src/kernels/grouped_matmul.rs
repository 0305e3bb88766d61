//! Grouped matrix products: each group of rows is multiplied by its own range of a table's rows.
//! For example, hidden states whose target is in a class, and the output vectors of the class's
//! words.

pub(super) mod cases;
mod cpu;

use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
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

impl Kernel for GroupedMatmul {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::run(self, cpu);
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
        gpu.launch_work(
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
            // Each product reads an element of the table from memory.
            (self.products.len() as u64).saturating_mul(columns as u64) * OPERATIONS_PER_ACCESS,
        );
    }
}
