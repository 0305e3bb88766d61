//! Faults of training, for tests: see [`crate::faults`].

use super::trainer::Trainer;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::faults::{die, hang, happens};

impl Trainer<'_> {
    /// Makes one fault happen, if one is due: `nan` writes NaN into the first parameter, `device`
    /// is the failure of a GPU, on any device, `die` is the death of the process, `panic` is
    /// a panic, and in `hang` it waits forever. They come in this order.
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
        die("die", updates);
        assert!(!happens("panic", updates), "a fault for tests");
        hang("hang", updates);
        Ok(())
    }
}
