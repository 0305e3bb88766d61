//! A case of a kernel, and helpers for lists of cases.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Harness, Outcome, Tolerance};
use crate::device::Device;
use crate::error::Result;

/// The sizes and options of one run of a kernel. Its [`Display`](fmt::Display) is a label that no
/// other case of the kernel has, except for the seed. The tests downcast it to find the kernel's
/// equations.
pub trait KernelCase: Any + fmt::Debug + fmt::Display + Send + Sync {
    /// Allocates the kernel's tensors and runs it.
    ///
    /// # Errors
    /// If the device failed or is too small.
    fn run(&self, harness: &mut Harness<'_>) -> Result<()>;

    /// How much the results of two devices may differ in the output called `output`. By default not
    /// at all: for kernels that move values, or compute each with one rounded operation.
    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::EXACT
    }

    /// Whether a software adapter takes seconds.
    fn is_slow(&self) -> bool {
        false
    }
}

/// The cases of one kernel.
pub type Cases = Vec<Arc<dyn KernelCase>>;

/// The cases as [`Cases`].
pub(in crate::kernels) fn list<C: KernelCase>(cases: impl IntoIterator<Item = C>) -> Cases {
    let cases = cases.into_iter();
    cases
        .map(|case| Arc::new(case) as Arc<dyn KernelCase>)
        .collect()
}

/// A kernel, its sizes and options, and the seed of its inputs.
#[derive(Debug, Clone)]
pub struct Case {
    /// The kernel's name: the stem of its files.
    pub kernel: &'static str,
    /// Sizes and options.
    pub setup: Arc<dyn KernelCase>,
    /// The seed of the inputs, which are the same on every device.
    pub seed: u64,
}

impl Case {
    /// The kernel's name and the label, for messages.
    pub fn name(&self) -> String {
        format!("{}: {}", self.kernel, self.label())
    }

    /// Sizes, options and seed.
    pub fn label(&self) -> String {
        format!("{} seed {}", self.setup, self.seed)
    }

    /// Whether a software adapter takes seconds.
    pub fn is_slow(&self) -> bool {
        self.setup.is_slow()
    }

    /// Runs the kernel on inputs made from the seed, in buffers with guard bands, which are
    /// released afterwards.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn run(&self, device: &mut Device) -> Result<Outcome> {
        let mut harness = Harness::new(device, self.seed);
        self.setup.run(&mut harness)?;
        harness.finish()
    }

    /// How much the results of two devices may differ in the output called `output`.
    pub fn tolerance(&self, output: &str) -> Tolerance {
        self.setup.tolerance(output)
    }
}

/// More rows than a dispatch has workgroups in one dimension.
pub(in crate::kernels) const MANY: usize = 65_537;

/// The initial state of streams that are reset.
pub const INITIAL: f32 = 0.1;

/// A part of a label: `word` with a space in front if `on`.
pub(in crate::kernels) fn option(on: bool, word: &str) -> String {
    if on {
        format!(" {word}")
    } else {
        String::new()
    }
}

/// A number from 1 to `max` that varies irregularly with `index`.
pub(in crate::kernels) fn irregular(index: usize, factor: usize, max: usize) -> usize {
    (index * factor + index / 3) % max + 1
}
