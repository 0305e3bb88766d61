//! Comparing a GPU with the CPU, kernel by kernel.
use crate::device::Device;
use crate::error::Result;
/// One case.
#[derive(Debug)]
pub struct CaseReport {
    /// Whether it agrees.
    pub passed: bool,
}
impl std::fmt::Display for CaseReport {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
/// Compares.
pub fn check(_: &mut Device, _: &mut Device, _: &mut dyn FnMut(&CaseReport)) -> Result<()> {
    Ok(())
}
