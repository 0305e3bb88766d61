//! The CPU as a device: buffers are vectors, and kernels run immediately, on the device's threads.
//!
//! A buffer is borrowed for reading or for writing while a kernel runs; a kernel that borrows one
//! buffer for both panics. GPU bindings follow the same rule, so no kernel that runs on the CPU is
//! rejected on the GPU because of aliasing.

use std::cell::{Ref, RefCell, RefMut};

use super::Kernel;
use super::threads::Threads;
use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};

/// Allocations below this size in bytes are made without checking the available memory.
const MIN_CHECKED_BYTES: usize = 16 << 20;

/// Bytes of memory available to this process.
fn available_memory() -> usize {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let bytes = system
        .cgroup_limits()
        .map_or(system.available_memory(), |limits| {
            limits.free_memory.min(system.available_memory())
        });
    // 0 means that the system does not report its memory: allow the allocation.
    if bytes == 0 {
        usize::MAX
    } else {
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// The name of the vector instructions that kernels use on this processor.
pub(super) fn vector_instructions() -> String {
    struct Name;
    impl pulp::WithSimd for Name {
        type Output = &'static str;

        fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
            std::any::type_name::<S>()
        }
    }
    let name = pulp::Arch::new().dispatch(Name);
    name.rsplit(':').next().unwrap_or(name).to_owned()
}

/// Checks that `bytes` of memory are available to this process.
///
/// # Errors
/// If they are not; the message calls the allocation `what`.
pub fn check_memory(what: &str, bytes: usize) -> Result<()> {
    let available = if bytes < MIN_CHECKED_BYTES {
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
        "Use a smaller `vocab_size`, `hidden_size`, `batch` or `bptt`, or an optimizer with less \
         state; a large vocabulary needs less memory and time with `output = class`",
    )
}

/// Buffers in main memory, and the threads that run kernels.
#[derive(Debug)]
pub struct Cpu {
    buffers: Vec<RefCell<Vec<u32>>>,
    threads: Threads,
}

impl Cpu {
    /// A CPU device whose kernels split their work into `threads` equal chunks, at least 1, and run
    /// them on `threads` threads.
    ///
    /// `threads` affects results only through the order of summation: results are bit-identical
    /// for the same number of threads.
    pub fn new(threads: usize) -> Self {
        Self {
            buffers: Vec::new(),
            threads: Threads::new(threads),
        }
    }

    /// The number of threads, and of chunks that a kernel splits its work into.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// A handle of the device's thread pool.
    pub(super) fn thread_pool(&self) -> Threads {
        self.threads.clone()
    }

    /// Runs a kernel on the device's threads.
    pub(super) fn run(&mut self, kernel: &dyn Kernel) {
        self.thread_pool().install(move || kernel.on_cpu(self));
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
        // Writing commits the pages, so the next check counts them as used.
        values.resize(elements, 0);
        self.buffers.push(RefCell::new(values));
        Ok(self.buffers.len() - 1)
    }

    /// Discards the contents of a buffer. The operating system reclaims its pages until they are
    /// written again.
    pub(super) fn discard_contents(&mut self, buffer: usize) {
        let values = self.buffers[buffer].get_mut();
        let elements = values.len();
        // Free the old vector first, so that the two never exist at the same time.
        *values = Vec::new();
        *values = vec![0; elements];
    }

    pub(super) fn release(&mut self, buffer: usize) {
        self.buffers[buffer] = RefCell::new(Vec::new());
    }

    /// Copies the elements of `input` to `output`, which may be elsewhere in the same buffer.
    ///
    /// # Panics
    /// If the lengths differ or a buffer is already borrowed.
    pub fn copy(&self, input: &Tensor, output: &Tensor) {
        if input.buffer == output.buffer {
            assert_eq!(input.len(), output.len(), "lengths of a copy");
            self.buffers[input.buffer]
                .borrow_mut()
                .copy_within(input.offset..input.offset + input.len(), output.offset);
        } else {
            self.write(output).copy_from_slice(&self.read(input));
        }
    }

    /// Borrows the tensor's elements for reading.
    ///
    /// # Panics
    /// If the buffer is already borrowed for writing.
    pub fn read<T: Element>(&self, tensor: &Tensor<T>) -> Ref<'_, [T]> {
        let range = tensor.offset..tensor.offset + tensor.len();
        Ref::map(self.buffers[tensor.buffer].borrow(), |buffer| {
            bytemuck::cast_slice(&buffer[range])
        })
    }

    /// Borrows the tensor's elements for writing.
    ///
    /// # Panics
    /// If the buffer is already borrowed.
    pub fn write<T: Element>(&self, tensor: &Tensor<T>) -> RefMut<'_, [T]> {
        let range = tensor.offset..tensor.offset + tensor.len();
        RefMut::map(self.buffers[tensor.buffer].borrow_mut(), |buffer| {
            bytemuck::cast_slice_mut(&mut buffer[range])
        })
    }
}
