//! The sums of the gradients of all ranks, which each rank then uses for the same update.
//!
//! Dense gradients are summed element by element (`dense`), gradients that consist of rows by the
//! rows that any rank has (`rows`).

mod dense;
mod rows;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::Gradient;
use crate::model::Parameters;
use crate::parallel::Ranks;
use crate::tensor::Tensor;
use dense::DenseSums;
use rows::RowSums;

/// Sums gradients over ranks.
#[derive(Debug)]
pub(super) struct RankSums {
    ranks: Ranks,
    dense: DenseSums,
    rows: RowSums,
}

impl RankSums {
    /// None where there are no other ranks.
    pub(super) fn new(ranks: &Ranks, parameters: &Parameters) -> Option<Self> {
        (!ranks.is_alone()).then(|| Self {
            ranks: ranks.clone(),
            dense: DenseSums::default(),
            rows: RowSums::new(parameters),
        })
    }

    /// Prepares the sums of gradients that are complete while the device computes the others.
    pub(super) fn start<'a>(
        &mut self,
        device: &mut Device,
        gradients: impl Iterator<Item = &'a Gradient>,
    ) {
        for values in gradients.filter_map(dense_values) {
            self.dense.start(device, values);
        }
    }

    /// The sums of the gradients of all parameters. Dense ones are overwritten.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn finish(
        &mut self,
        device: &mut Device,
        parameters: &Parameters,
        gradients: &[Gradient],
    ) -> Result<Vec<Gradient>> {
        let dense: Vec<Tensor> = gradients.iter().filter_map(dense_values).collect();
        self.dense.finish(device, &self.ranks, &dense)?;
        self.rows.sum(device, &self.ranks, parameters, gradients)
    }
}

/// The values of a gradient that does not consist of rows.
fn dense_values(gradient: &Gradient) -> Option<Tensor> {
    match gradient {
        Gradient::Dense(values) => Some(*values),
        Gradient::Sparse(..) => None,
    }
}
