//! Averaged SGD: the mean of the weights after every update since some update (Polyak and Juditsky
//! 1992).

use super::choices::AverageKind;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::Average;
use crate::model::{Config, Model};

/// Epochs whose losses the trigger leaves out, those just before the last one.
const LEFT_OUT: usize = 5;

impl AverageKind {
    /// Whether an epoch of this validation loss begins the average, after epochs with those of
    /// `before`.
    pub(super) fn begins(self, before: &[f64], loss: f64) -> bool {
        let earlier = &before[..before.len().saturating_sub(LEFT_OUT)];
        self == Self::Triggered && earlier.iter().any(|&earlier| loss > earlier)
    }
}

/// The averages, parameters of a model of their own.
#[derive(Debug)]
pub(super) struct Averager {
    pub(super) model: Model,
}

impl Averager {
    /// Averages of no weights yet, of the sizes of `values`.
    pub(super) fn new(device: &mut Device, config: &Config, values: &[Vec<f32>]) -> Result<Self> {
        let zeros: Vec<_> = values
            .iter()
            .map(|values| vec![0.0; values.len()])
            .collect();
        Ok(Self {
            model: Model::new(device, config.clone(), &zeros)?,
        })
    }

    /// Takes a model's weights in as the `count`th.
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
    fn the_trigger_leaves_out_the_last_five_epochs() {
        // The fourth loss is the best; the sixth epoch after it is the first that may be compared
        // with it.
        let losses = [5.0, 4.5, 4.2, 4.0, 4.1, 4.1, 4.1, 4.1, 4.1, 4.1];
        let begins = |kind: AverageKind| {
            (0..losses.len()).position(|epoch| kind.begins(&losses[..epoch], losses[epoch]))
        };
        assert_eq!(begins(AverageKind::Triggered), Some(9));
        assert_eq!(begins(AverageKind::Always), None);
        assert!(
            !AverageKind::Triggered.begins(&[4.0, 5.0, 5.0, 5.0, 5.0, 5.0], 4.0),
            "no worse than the best"
        );
        assert!(AverageKind::Triggered.begins(&[4.0, 5.0, 5.0, 5.0, 5.0, 5.0], 4.001));
    }
}
