//! The CPU as a device: buffers are vectors, kernels run at once on slices of them.
//!
//! A buffer is borrowed for reading or for writing while a kernel runs, and a kernel that asks for both panics: the rule that a GPU has for
//! its bindings holds here too, so a kernel that runs on the CPU is not refused on the GPU for that reason.

use std::cell::{Ref, RefCell, RefMut};

use crate::tensor::{Element, Tensor};

/// Buffers in the process's memory and the number of threads that kernels may use.
#[derive(Debug)]
pub struct Cpu {
    buffers: Vec<RefCell<Vec<u32>>>,
    threads: usize,
}

impl Cpu {
    /// A CPU device whose kernels split their work into `threads` equal parts.
    ///
    /// Results depend on `threads` only through the order of sums, so they repeat to the bit for the same number.
    pub fn new(threads: usize) -> Self {
        Self { buffers: Vec::new(), threads: threads.max(1) }
    }

    /// Number of parts that a kernel splits its work into.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn allocate(&mut self, elements: usize) -> usize {
        self.buffers.push(RefCell::new(vec![0; elements]));
        self.buffers.len() - 1
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
        Ref::map(self.buffers[tensor.buffer].borrow(), |buffer| bytemuck::cast_slice(&buffer[range]))
    }

    /// The tensor's elements, to be changed by a kernel.
    ///
    /// # Panics
    /// If the same kernel has the buffer already.
    pub fn write<T: Element>(&self, tensor: &Tensor<T>) -> RefMut<'_, [T]> {
        let range = tensor.offset..tensor.offset + tensor.len();
        RefMut::map(self.buffers[tensor.buffer].borrow_mut(), |buffer| bytemuck::cast_slice_mut(&mut buffer[range]))
    }
}
