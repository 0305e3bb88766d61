//! Faults on demand, for tests of what a run does after one: the feature `fault-injection`.
//!
//! In: `ELMAN_FAULTS`, a list such as `nan@500,device@300`. Each fault happens once, at the first
//! event after the given number of updates. List a fault twice to make it happen twice.

use std::sync::{LazyLock, Mutex, PoisonError};

use super::trainer::Trainer;
use crate::device::Device;
use crate::error::{Error, Result};

/// The faults that have not happened yet, with the updates after which they do.
static FAULTS: LazyLock<Mutex<Vec<(String, u32)>>> = LazyLock::new(|| {
    let list = std::env::var("ELMAN_FAULTS").unwrap_or_default();
    let fault = |text: &str| {
        let (name, updates) = text.split_once('@')?;
        Some((name.to_owned(), updates.parse().ok()?))
    };
    Mutex::new(list.split(',').filter_map(fault).collect())
});

/// Whether a fault happens now. It is taken from the list.
fn happens(name: &str, updates: u32) -> bool {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let due = faults
        .iter()
        .position(|(fault, after)| fault == name && *after <= updates);
    due.map(|index| faults.remove(index)).is_some()
}

impl Trainer<'_> {
    /// Makes one fault happen, if one is due: `nan` writes NaN into the first parameter, and
    /// `device`, which comes second, is the failure of a GPU, on any device.
    ///
    /// # Errors
    /// For the fault `device`.
    pub(super) fn inject_faults(&self, device: &mut Device) -> Result<()> {
        let updates = self.progress().step;
        if happens("nan", updates) {
            let parameter = self.model().parameters().tensors()[0];
            let mut values = device.download(&parameter)?;
            values[0] = f32::NAN;
            device.upload(&parameter, &values);
        } else if happens("device", updates) {
            return Err(Error::Gpu("the device was lost: a fault for tests".into()));
        }
        Ok(())
    }
}
