//! The CPU as a device: buffers are vectors, kernels run at once on slices of them.
//!
//! A buffer is borrowed for reading or for writing while a kernel runs, and a kernel that asks for
//! both panics: the rule that a GPU has for its bindings holds here too, so a kernel that runs on
//! the CPU is not refused on the GPU for that reason.

use std::cell::{Ref, RefCell, RefMut};

use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};

/// Bytes from which on it is asked whether the machine has them.
const SMALLEST_QUESTION: usize = 16 << 20;

/// Bytes that the machine can still give to this process.
fn available_memory() -> usize {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let bytes = system
        .cgroup_limits()
        .map_or(system.available_memory(), |limits| {
            limits.free_memory.min(system.available_memory())
        });
    // A system that does not say is no reason to refuse.
    if bytes == 0 {
        usize::MAX
    } else {
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// Checks that the machine can still give so many bytes to this process.
///
/// # Errors
/// If it cannot; `what` names them in the message.
pub fn check_memory(what: &str, bytes: usize) -> Result<()> {
    let available = if bytes < SMALLEST_QUESTION {
        usize::MAX
    } else {
        available_memory()
    };
    if bytes > available {
        Err(too_large(what, bytes, available))
    } else {
        Ok(())
    }
}

fn too_large(what: &str, bytes: usize, available: usize) -> Error {
    Error::invalid(
        format!("{what} of {} MiB", bytes >> 20),
        format!("the machine has {} MiB of memory left", available >> 20),
        "Take a smaller --vocab-size, --hidden, --batch or --bptt, or an optimizer that keeps less",
    )
}

/// Buffers in the process's memory and the number of threads that kernels may use.
#[derive(Debug)]
pub struct Cpu {
    buffers: Vec<RefCell<Vec<u32>>>,
    threads: usize,
}

impl Cpu {
    /// A CPU device whose kernels split their work into `threads` equal parts.
    ///
    /// Results depend on `threads` only through the order of sums, so they repeat to the bit for
    /// the same number.
    pub fn new(threads: usize) -> Self {
        Self {
            buffers: Vec::new(),
            threads: threads.max(1),
        }
    }

    /// Number of parts that a kernel splits its work into.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn allocate(&mut self, what: &str, rows: usize, columns: usize) -> Result<usize> {
        let elements = rows.saturating_mul(columns);
        let bytes = elements.saturating_mul(4);
        let mut values = Vec::new();
        let name = format!("{what} [{rows}, {columns}]");
        check_memory(&name, bytes)?;
        values
            .try_reserve_exact(elements)
            .map_err(|_| too_large(&name, bytes, available_memory()))?;
        // Written now, so that the next question sees what is left.
        values.resize(elements, 0);
        self.buffers.push(RefCell::new(values));
        Ok(self.buffers.len() - 1)
    }

    /// Forgets what a buffer holds; the system takes its pages until they are written again.
    pub(super) fn rest(&mut self, buffer: usize) {
        let values = self.buffers[buffer].get_mut();
        let elements = values.len();
        // One after the other: never both at a time.
        *values = Vec::new();
        *values = vec![0; elements];
    }

    pub(super) fn release(&mut self, buffer: usize) {
        self.buffers[buffer] = RefCell::new(Vec::new());
    }

    /// The tensor's elements, to be read by a kernel.
    ///
    /// # Panics
    /// If the same kernel has the buffer for writing.
    pub fn read<T: Element>(&self, tensor: &Tensor<T>) -> Ref<'_, [T]> {
        let range = tensor.offset..tensor.offset + tensor.len();
        Ref::map(self.buffers[tensor.buffer].borrow(), |buffer| {
            bytemuck::cast_slice(&buffer[range])
        })
    }

    /// The tensor's elements, to be changed by a kernel.
    ///
    /// # Panics
    /// If the same kernel has the buffer already.
    pub fn write<T: Element>(&self, tensor: &Tensor<T>) -> RefMut<'_, [T]> {
        let range = tensor.offset..tensor.offset + tensor.len();
        RefMut::map(self.buffers[tensor.buffer].borrow_mut(), |buffer| {
            bytemuck::cast_slice_mut(&mut buffer[range])
        })
    }
}
