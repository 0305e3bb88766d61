//! The weights that a run keeps: those of the best epoch, unless the recipe keeps the last.

use std::sync::Arc;

use crate::model::ParameterValues;

/// Parameters in the file's order and layout, shared with snapshots.
pub(super) type SharedValues = Arc<ParameterValues>;

/// The kept weights, and which weights the device had when the last epoch ended.
#[derive(Debug, Default)]
pub(super) enum KeptWeights {
    /// No epoch has ended.
    #[default]
    None,
    /// The device had the kept weights.
    OnDevice(SharedValues),
    /// The device had other weights, from which training continues: the epoch was not an
    /// improvement and the schedule does not roll back, or the kept weights are averages.
    Apart(SharedValues),
    /// Training has finished, and the kept weights have replaced `last` on the device.
    Restored {
        kept: SharedValues,
        /// The weights from which training would continue.
        last: SharedValues,
    },
}

impl KeptWeights {
    /// `on_device`: whether the device has these weights.
    pub(super) fn new(kept: SharedValues, on_device: bool) -> Self {
        if on_device {
            Self::OnDevice(kept)
        } else {
            Self::Apart(kept)
        }
    }

    /// The kept weights.
    pub(super) fn values(&self) -> Option<&SharedValues> {
        match self {
            Self::None => None,
            Self::OnDevice(kept) | Self::Apart(kept) | Self::Restored { kept, .. } => Some(kept),
        }
    }
}
