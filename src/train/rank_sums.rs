//! The sums of the gradients of all ranks, which each rank then uses for the same update.
//!
//! Dense gradients are summed element by element (`dense`), gradients that consist of rows by the
//! rows that any rank has (`rows`).

mod dense;
mod rows;

use std::time::Instant;

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
    /// The time of all sums so far, with the time that this rank waited for others.
    seconds: f64,
    rows: RowSums,
}

impl RankSums {
    /// None where there are no other ranks.
    pub(super) fn new(ranks: &Ranks, parameters: &Parameters) -> Option<Self> {
        (!ranks.is_alone()).then(|| Self {
            ranks: ranks.clone(),
            dense: DenseSums::default(),
            seconds: 0.0,
            rows: RowSums::new(parameters),
        })
    }

    /// The time of all sums so far in seconds, with the time that this rank waited for others.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Prepares the sums of gradients that are complete while the device computes the others.
    pub(super) fn start<'a>(
        &mut self,
        device: &mut Device,
        gradients: impl Iterator<Item = &'a Gradient>,
    ) {
        let start = Instant::now();
        for values in gradients.filter_map(dense_values) {
            self.dense.start(device, values);
        }
        self.seconds += start.elapsed().as_secs_f64();
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
        let start = Instant::now();
        let dense: Vec<Tensor> = gradients.iter().filter_map(dense_values).collect();
        self.dense.finish(device, &self.ranks, &dense)?;
        let sums = self.rows.sum(device, &self.ranks, parameters, gradients)?;
        self.seconds += start.elapsed().as_secs_f64();
        Ok(sums)
    }
}

/// The values of a gradient that does not consist of rows.
fn dense_values(gradient: &Gradient) -> Option<Tensor> {
    match gradient {
        Gradient::Dense(values) => Some(*values),
        Gradient::Sparse(..) => None,
    }
}
