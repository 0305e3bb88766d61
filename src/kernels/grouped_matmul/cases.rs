//! Test cases of [`GroupedMatmul`].

use std::fmt;

use super::{GROUP_FIELDS, GroupedMatmul, GroupedProduct, Groups};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, Place, Tolerance, irregular, list, option,
};
use crate::tensor::Tensor;

/// Sizes and options of [`GroupedMatmul`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupedMatmulCase {
    /// Which product.
    pub product: GroupedProduct,
    /// Number of groups.
    pub groups: usize,
    /// Rows of the table in the widest group.
    pub widest: usize,
    /// Columns of rows and table.
    pub columns: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether a row's result must not depend on the other rows.
    pub batch_invariant: bool,
}

/// One group and many, widths around a workgroup.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
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
            let case = GroupedMatmulCase {
                product,
                groups,
                widest,
                columns,
                bias,
                batch_invariant: false,
            };
            all.push(case);
            if product == GroupedProduct::Forward {
                all.push(GroupedMatmulCase {
                    batch_invariant: true,
                    ..case
                });
            }
        }
    }
    list(all)
}

/// The groups' records and the sums of their sizes.
struct DrawnGroups {
    records: Vec<u32>,
    /// Rows of all groups.
    rows: usize,
    /// Products of all groups.
    products: usize,
    /// Rows of the table that groups touch, counted once for each group.
    touched: usize,
}

impl GroupedMatmulCase {
    /// Groups of irregular sizes, over a table of `table_rows` rows.
    fn draw(&self, table_rows: usize) -> DrawnGroups {
        let mut drawn = DrawnGroups {
            records: Vec::new(),
            rows: 0,
            products: 0,
            touched: 0,
        };
        for group in 0..self.groups {
            let height = irregular(group, 7, 5);
            let width = irregular(group, 5, self.widest);
            let first = (group * 11) % (table_rows - width + 1);
            drawn.push(first, width);
            drawn.rows += height;
            drawn.products += height * width;
            drawn.touched += width;
        }
        drawn.push(0, 0);
        drawn
    }

    /// A tensor that this product writes, or one that it reads.
    fn tensor(
        &self,
        harness: &mut Harness<'_>,
        written_by: GroupedProduct,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
    ) -> Result<Tensor> {
        if self.product == written_by {
            harness.output(name, place, shape)
        } else {
            harness.random_input(name, place, shape)
        }
    }
}

impl DrawnGroups {
    /// Adds the record of a group that comes after those before.
    fn push(&mut self, first: usize, width: usize) {
        let record = [self.rows, first, width, self.products, self.touched];
        self.records.extend(record.map(|field| field as u32));
    }
}

impl KernelCase for GroupedMatmulCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let Self {
            product,
            groups: count,
            widest,
            columns,
            batch_invariant,
            ..
        } = *self;
        let drawn = self.draw(3 * widest);
        let records = harness
            .tokens("groups", drawn.records)?
            .reshape(count + 1, GROUP_FIELDS);
        // Two more rows, of no group.
        let shape = [drawn.rows + 2, columns];
        let rows = self.tensor(
            harness,
            GroupedProduct::InputGradient,
            "rows",
            Place::Part,
            shape,
        )?;
        let shape = [1, drawn.products];
        let forward = GroupedProduct::Forward;
        let products = self.tensor(harness, forward, "products", Place::Part, shape)?;
        let table_rows = if product == GroupedProduct::WeightGradient {
            drawn.touched
        } else {
            3 * widest
        };
        let shape = [table_rows, columns];
        let weight = GroupedProduct::WeightGradient;
        let table = self.tensor(harness, weight, "table", Place::Whole, shape)?;
        let bias = if self.bias {
            Some(self.tensor(harness, weight, "bias", Place::Whole, [table_rows, 1])?)
        } else {
            None
        };
        harness.run(&GroupedMatmul {
            product,
            groups: Groups {
                records,
                count,
                max_width: widest,
                total_width: drawn.touched,
            },
            rows,
            table,
            bias,
            products,
            batch_invariant,
        });
        Ok(())
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        match self.product {
            GroupedProduct::Forward => Tolerance::sum_of(self.columns + 1),
            GroupedProduct::InputGradient => Tolerance::sum_of(self.widest),
            GroupedProduct::WeightGradient => Tolerance::sum_of(5),
        }
    }
}

impl fmt::Display for GroupedMatmulCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            groups,
            widest,
            columns,
            ..
        } = self;
        let product = match self.product {
            GroupedProduct::Forward => "forward",
            GroupedProduct::InputGradient => "input",
            GroupedProduct::WeightGradient => "weight",
        };
        let bias = option(self.bias, "bias");
        let batch_invariant = option(self.batch_invariant, "batch_invariant");
        write!(
            f,
            "{product} {groups} groups of up to {widest} x {columns}{bias}{batch_invariant}"
        )
    }
}
