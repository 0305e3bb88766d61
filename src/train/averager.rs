//! Averaged SGD (Polyak and Juditsky 1992): the mean of the weights after every update from some
//! update on.

use super::choices::AverageKind;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Average;
use crate::model::{Config, Model, ParameterValues};

/// The number of most recent previous epochs that the trigger ignores.
const NON_MONOTONE_INTERVAL: usize = 5;

impl AverageKind {
    /// Whether an epoch with this validation loss starts averaging; `before` are the losses of the
    /// previous epochs.
    pub(super) fn is_triggered(self, before: &[f64], loss: f64) -> bool {
        let earlier = &before[..before.len().saturating_sub(NON_MONOTONE_INTERVAL)];
        self == Self::Triggered && earlier.iter().any(|&earlier| loss > earlier)
    }
}

/// The averaged weights, as a second model.
#[derive(Debug)]
pub(super) struct Averager {
    pub(super) model: Model,
}

impl Averager {
    /// Averages of no weights yet, with the sizes of `values`.
    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        values: &ParameterValues,
    ) -> Result<Self> {
        Ok(Self {
            model: Model::new(device, config.clone(), &values.zeros_like())?,
        })
    }

    /// Adds a model's weights, the `count`th of the average.
    pub(super) fn add(&self, device: &mut Device, model: &Model, count: u32) {
        for (&average, &values) in self
            .model
            .parameters()
            .tensors()
            .iter()
            .zip(model.parameters().tensors())
        {
            device.run(&Average {
                average,
                values,
                weight: 1.0 / count as f32,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trigger_ignores_the_last_five_epochs() {
        // The fourth loss is the best; the sixth epoch after it is the first one that is compared
        // with it.
        let losses = [5.0, 4.5, 4.2, 4.0, 4.1, 4.1, 4.1, 4.1, 4.1, 4.1];
        let triggered = |kind: AverageKind| {
            (0..losses.len()).position(|epoch| kind.is_triggered(&losses[..epoch], losses[epoch]))
        };
        assert_eq!(triggered(AverageKind::Triggered), Some(9));
        assert_eq!(triggered(AverageKind::Always), None);
        assert!(
            !AverageKind::Triggered.is_triggered(&[4.0, 5.0, 5.0, 5.0, 5.0, 5.0], 4.0),
            "no worse than the best"
        );
        assert!(AverageKind::Triggered.is_triggered(&[4.0, 5.0, 5.0, 5.0, 5.0, 5.0], 4.001));
    }
}
