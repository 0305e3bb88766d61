//! What is measured at the last update of an epoch: how far it moves each parameter, and how many
//! gates are saturated.
//!
//! It takes two downloads of each parameter, about as long as the checkpoint after the epoch. Large
//! parameters and windows are measured in part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::numbers::number_or_infinity;
use crate::device::Device;
use crate::error::Result;
use crate::model::Gates;
use crate::tensor::Tensor;

/// The most values of a parameter that are measured, in whole rows from the first one: of a table
/// in the order of frequency, those of frequent types.
const MAX_VALUES: usize = 1 << 24;
/// The most activations of a layer that are measured, in whole rows at the end of the window.
const MAX_ACTIVATIONS: usize = 1 << 20;
/// Sums that are added at the same time.
const LANES: usize = 8;

/// What is measured at the last update of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastUpdate {
    /// Each parameter by its name in files.
    pub parameters: BTreeMap<String, ParameterChange>,
    /// For each recurrent layer, the share of its gates that are saturated in the last window:
    /// below 0.1 or above 0.9. Of Elman cells, the share of units in the outer tenths of their
    /// activation's range; empty where they have no limits, as ReLU, and without a recurrent layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saturation: Vec<f32>,
}

/// How far an update moves a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParameterChange {
    /// The L2 norm of the parameter before the update.
    #[serde(deserialize_with = "number_or_infinity")]
    pub norm: f64,
    /// The L2 norm of the update, weight decay included, relative to it; none where it is 0.
    pub update_ratio: Option<f32>,
}

/// A parameter before an update.
#[derive(Debug)]
pub(super) struct Before {
    part: Tensor,
    values: Vec<f32>,
}

impl Before {
    pub(super) fn new(device: &mut Device, parameter: Tensor) -> Result<Self> {
        let part = parameter.slice_rows(0..rows_at_most(&parameter, MAX_VALUES));
        let values = device.download(&part)?;
        Ok(Self { part, values })
    }

    /// Compares it with the parameter after the update.
    pub(super) fn change(self, device: &mut Device) -> Result<ParameterChange> {
        let after = device.download(&self.part)?;
        let [norm, update] = squares(&self.values, &after).map(f64::sqrt);
        Ok(ParameterChange {
            norm,
            update_ratio: (norm > 0.0).then_some((update / norm) as f32),
        })
    }
}

/// The number of whole rows with at most this many values; at least 1.
fn rows_at_most(tensor: &Tensor, values: usize) -> usize {
    (values / tensor.columns()).clamp(1, tensor.rows())
}

/// The sums of the squares of `before` and of the differences.
fn squares(before: &[f32], after: &[f32]) -> [f64; 2] {
    let mut sums = [[0.0_f64; LANES]; 2];
    for (before, after) in before.chunks(LANES).zip(after.chunks(LANES)) {
        for (lane, (&before, &after)) in before.iter().zip(after).enumerate() {
            let [before, after] = [before, after].map(f64::from);
            sums[0][lane] += before * before;
            sums[1][lane] += (after - before) * (after - before);
        }
    }
    sums.map(|lanes| lanes.iter().sum())
}

/// The share of each layer's gates that are saturated.
pub(super) fn saturation(device: &mut Device, layers: &[Gates]) -> Result<Vec<f32>> {
    layers
        .iter()
        .map(|gates| saturated(device, gates))
        .collect()
}

fn saturated(device: &mut Device, gates: &Gates) -> Result<f32> {
    let (rows, columns) = (gates.values.rows(), gates.values.columns());
    let measured = rows_at_most(&gates.values, MAX_ACTIVATIONS);
    let values = device.download(&gates.values.slice_rows(rows - measured..rows))?;
    let [low, high] = gates.range;
    let mut count = 0;
    for row in values.chunks_exact(columns) {
        for block in gates.blocks {
            let block = &row[block * gates.size..(block + 1) * gates.size];
            count += block
                .iter()
                .filter(|value| !(low..=high).contains(value))
                .count();
        }
    }
    Ok(count as f32 / (measured * gates.blocks.len() * gates.size) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_parameters_are_measured_in_part() {
        let tensor = Tensor::new(0, 6, 10);
        assert_eq!(rows_at_most(&tensor, 60), 6);
        assert_eq!(rows_at_most(&tensor, 59), 5);
        assert_eq!(rows_at_most(&tensor, 1), 1);
    }

    #[test]
    fn sums_are_those_of_squares() {
        let before: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let after: Vec<f32> = before.iter().map(|value| value + 0.5).collect();
        assert_eq!(squares(&before, &after), [2109.0, 4.75]);
    }
}
