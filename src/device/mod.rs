//! The device interface: memory for tensors and execution of kernels, on the CPU or on a GPU.
//!
//! In: tensor shapes, values to upload, kernels. Out: downloaded values. This module defines the
//! [`Kernel`] trait; it depends on no kernel and on no model.

mod cpu;
mod gpu;
mod select;
mod threads;

pub use cpu::{Cpu, check_memory};
pub(crate) use gpu::arguments;
pub use gpu::{
    Access, AdapterInfo, Argument, Arguments, Binding, Gpu, GpuOptions, HalfSource,
    OPERATIONS_PER_ACCESS, SHADER_PRELUDE, Shader, Shard, SubmittedWork, Target, adapters, to_u32,
    workgroups,
};
pub use select::{AdapterUse, DeviceChoice};

use std::cell::RefMut;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::error::Result;
use crate::tensor::{Element, Tensor};

/// A function on tensors, implemented once for each kind of device. Both implementations compute
/// the same result from the same tensor handles.
pub trait Kernel: Sync {
    /// The file stem shared by the shader, the Rust module and the test cases.
    fn name(&self) -> &'static str;

    /// Runs on the CPU immediately.
    fn on_cpu(&self, cpu: &Cpu);

    /// Records one or more dispatches for the next GPU submission.
    fn on_gpu(&self, gpu: &mut Gpu);
}

#[derive(Debug)]
enum Backend {
    Cpu(Cpu),
    Gpu(Box<Gpu>),
}

/// A device that holds tensors and runs kernels.
///
/// On a GPU, [`Device::run`] only records: the work starts at [`Device::submit`], and
/// [`Device::download`] waits for its results.
#[derive(Debug)]
pub struct Device {
    backend: Backend,
    name: String,
    /// Size of every buffer in bytes, by buffer index.
    buffer_bytes: BTreeMap<usize, usize>,
    /// The buffer behind [`Device::scratch`].
    scratch: Option<Tensor>,
    /// Time by kernel, while profiling is on.
    profile: Option<Profile>,
}

/// Total seconds and number of runs of every kernel, by kernel name.
pub type Profile = BTreeMap<&'static str, (f64, u64)>;

/// A download in progress. [`Device::finish_download`] of the same device returns its values.
#[derive(Debug)]
pub struct Download<T: Element>(DownloadState<T>);

impl<T: Element> Download<T> {
    /// Whether the values are available without waiting: always on the CPU, never on a GPU.
    pub fn is_ready(&self) -> bool {
        matches!(self.0, DownloadState::Ready(_))
    }
}

#[derive(Debug)]
enum DownloadState<T: Element> {
    Ready(Vec<T>),
    Pending(Vec<gpu::Transfer>),
}

impl Device {
    /// A CPU device. Kernels run on a pool of `threads` threads, at least 1, which belongs to the
    /// device and is started on first use. Devices with different numbers of threads can be used
    /// side by side.
    ///
    /// Results are bit-identical for the same number of threads.
    pub fn cpu(threads: usize) -> Self {
        Self {
            name: format!(
                "CPU ({threads} thread{})",
                if threads == 1 { "" } else { "s" }
            ),
            backend: Backend::Cpu(Cpu::new(threads)),
            buffer_bytes: BTreeMap::new(),
            scratch: None,
            profile: None,
        }
    }

    /// A device for an open GPU.
    pub fn gpu(gpu: Gpu) -> Self {
        let buffer_bytes = BTreeMap::from([(gpu.scratch().buffer, 4 * Gpu::SCRATCH_ELEMENTS)]);
        Self {
            name: gpu.name().to_owned(),
            backend: Backend::Gpu(Box::new(gpu)),
            buffer_bytes,
            scratch: None,
            profile: None,
        }
    }

    /// A description for people: the adapter's name, backend and kind, or the CPU and its threads.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether kernels run as compute shaders.
    pub fn is_gpu(&self) -> bool {
        matches!(self.backend, Backend::Gpu(_))
    }

    /// The number of threads of a CPU device; none for a GPU.
    pub fn threads(&self) -> Option<usize> {
        match &self.backend {
            Backend::Cpu(cpu) => Some(cpu.threads()),
            Backend::Gpu(_) => None,
        }
    }

    /// Whether the device supports f16 for mixed precision. Always false on the CPU, where f16
    /// would be slower than f32.
    pub fn has_f16(&self) -> bool {
        matches!(&self.backend, Backend::Gpu(gpu) if gpu.has_f16())
    }

    /// What the device's results depend on, by name.
    pub fn capabilities(&self) -> Vec<(&'static str, String)> {
        match &self.backend {
            Backend::Cpu(_) => vec![("vector instructions", cpu::vector_instructions())],
            Backend::Gpu(gpu) => gpu.capabilities(),
        }
    }

    /// Recommended size in bytes of a block of logits, computed with a weight of `weight_bytes`.
    pub fn logits_block_bytes(&self, weight_bytes: usize) -> usize {
        match &self.backend {
            // A matrix product packs both operands for every block. Blocks of a few hundred rows
            // amortize the packing, which costs more than logits that do not fit the caches
            // (measured in benches/RESULTS.md). A block is at least as large as the weight:
            // otherwise a weight of millions of elements is packed for every few rows.
            Backend::Cpu(_) => weight_bytes.max(44 << 20),
            Backend::Gpu(gpu) => gpu.logits_block_bytes(),
        }
    }

    /// Allocates a matrix of zeros in one buffer.
    ///
    /// # Errors
    /// If the matrix exceeds the adapter's limits or the available memory; the message calls it
    /// `what`.
    pub fn tensor<T: Element>(
        &mut self,
        what: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Tensor<T>> {
        let buffer = match &mut self.backend {
            Backend::Cpu(cpu) => cpu.allocate(what, rows, columns)?,
            Backend::Gpu(gpu) => gpu.allocate(what, rows, columns)?,
        };
        Ok(self.register(buffer, rows, columns))
    }

    /// Allocates a matrix of zeros that may be split into shards: buffers of whole rows, each
    /// within the adapter's limits. For parameters and tensors of the same shape. Only kernels
    /// documented to accept sharded tables can use it.
    ///
    /// # Errors
    /// If one row exceeds the adapter's limits, or the matrix exceeds the available memory.
    pub fn table(&mut self, what: &str, rows: usize, columns: usize) -> Result<Tensor> {
        let buffer = match &mut self.backend {
            Backend::Cpu(cpu) => cpu.allocate(what, rows, columns)?,
            Backend::Gpu(gpu) => gpu.allocate_table(what, rows, columns)?,
        };
        Ok(self.register(buffer, rows, columns))
    }

    /// A scratch matrix, whose contents are not kept from one use to the next. All callers share
    /// one buffer if it is large enough.
    ///
    /// # Errors
    /// As [`Device::tensor`].
    pub fn scratch(&mut self, what: &str, rows: usize, columns: usize) -> Result<Tensor> {
        match self.scratch {
            Some(scratch) if scratch.len() >= rows * columns => Ok(scratch.reshape(rows, columns)),
            _ => {
                let tensor = self.tensor(what, rows, columns)?;
                self.scratch = Some(tensor);
                Ok(tensor)
            }
        }
    }

    /// Returns the memory behind [`Device::scratch`] to the operating system until its next use, to
    /// make room for other allocations. Only the CPU device does so; on a GPU this does nothing.
    pub fn release_scratch(&mut self) {
        if let (Backend::Cpu(cpu), Some(scratch)) = (&mut self.backend, self.scratch) {
            cpu.discard_contents(scratch.buffer);
        }
    }

    fn register<T: Element>(&mut self, buffer: usize, rows: usize, columns: usize) -> Tensor<T> {
        self.buffer_bytes.insert(buffer, 4 * rows * columns);
        Tensor::new(buffer, rows, columns)
    }

    /// Total size of the tensors on this device in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.buffer_bytes.values().sum()
    }

    /// Allocates a matrix and fills it with `values`, row by row.
    ///
    /// # Errors
    /// As [`Device::tensor`].
    pub fn tensor_from<T: Element>(
        &mut self,
        what: &str,
        rows: usize,
        columns: usize,
        values: &[T],
    ) -> Result<Tensor<T>> {
        let tensor = self.tensor(what, rows, columns)?;
        self.upload(&tensor, values);
        Ok(tensor)
    }

    /// Frees the tensor's whole buffer. Other tensors in the same buffer become invalid.
    pub fn release<T: Element>(&mut self, tensor: Tensor<T>) {
        self.buffer_bytes.remove(&tensor.buffer);
        self.scratch = self
            .scratch
            .filter(|scratch| scratch.buffer != tensor.buffer);
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.release(tensor.buffer),
            Backend::Gpu(gpu) => gpu.release(tensor.buffer),
        }
    }

    /// Runs `work`, then frees the buffers that it allocated and did not free.
    pub fn release_afterwards<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let before: BTreeSet<usize> = self.buffer_bytes.keys().copied().collect();
        let result = work(self);
        let after: BTreeSet<usize> = self.buffer_bytes.keys().copied().collect();
        for &buffer in after.difference(&before) {
            self.release(Tensor::<f32>::new(buffer, 1, 1));
        }
        result
    }

    /// The tensor's elements themselves, where they are in the memory of the host: on the CPU.
    pub fn host_values(&mut self, tensor: &Tensor) -> Option<RefMut<'_, [f32]>> {
        match &mut self.backend {
            Backend::Cpu(cpu) => Some(cpu.write(tensor)),
            Backend::Gpu(_) => None,
        }
    }

    /// Overwrites the tensor's elements. Work recorded earlier reads the old values.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upload<T: Element>(&mut self, tensor: &Tensor<T>, values: &[T]) {
        assert_eq!(tensor.len(), values.len(), "length of an upload");
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.write(tensor).copy_from_slice(values),
            Backend::Gpu(gpu) => gpu.upload(tensor, values),
        }
    }

    /// Waits for all work recorded so far and returns the tensor's values.
    ///
    /// # Errors
    /// If the driver failed in this work or the device was lost.
    pub fn download<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Vec<T>> {
        let download = self.start_download(std::slice::from_ref(tensor));
        self.finish_download(download)
    }

    /// Starts copying the values of tensors, one after the other, as they are after all work
    /// recorded so far, and returns without waiting.
    pub fn start_download<T: Element>(&mut self, tensors: &[Tensor<T>]) -> Download<T> {
        Download(match &mut self.backend {
            Backend::Cpu(cpu) => {
                let mut values = Vec::with_capacity(tensors.iter().map(Tensor::len).sum());
                for tensor in tensors {
                    values.extend_from_slice(&cpu.read(tensor));
                }
                DownloadState::Ready(values)
            }
            Backend::Gpu(gpu) => DownloadState::Pending(gpu.start_download(tensors)),
        })
    }

    /// Waits for the values of a download, but not for work recorded after it.
    ///
    /// # Errors
    /// As [`Device::download`].
    pub fn finish_download<T: Element>(&mut self, download: Download<T>) -> Result<Vec<T>> {
        match (&mut self.backend, download.0) {
            (_, DownloadState::Ready(values)) => Ok(values),
            (Backend::Gpu(gpu), DownloadState::Pending(transfers)) => {
                gpu.finish_download(transfers)
            }
            (Backend::Cpu(_), DownloadState::Pending(_)) => panic!("a download of another device"),
        }
    }

    /// Turns profiling on or off and returns the measurements made so far.
    ///
    /// A GPU with timestamp queries measures each dispatch with its clock. Elsewhere the host waits
    /// for each kernel, so the whole run is slower while profiling.
    ///
    /// # Errors
    /// If the driver failed or the device was lost.
    pub fn set_profiling(&mut self, on: bool) -> Result<Profile> {
        if let Backend::Gpu(gpu) = &mut self.backend
            && let Some(seconds) = gpu.set_timing(on)?
        {
            return Ok(seconds);
        }
        self.wait()?;
        let measured = std::mem::take(&mut self.profile).unwrap_or_default();
        self.profile = on.then(Profile::new);
        Ok(measured)
    }

    /// Waits until all work recorded so far is done.
    ///
    /// # Errors
    /// If the driver failed in this work or the device was lost.
    pub fn wait(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Cpu(_) => Ok(()),
            Backend::Gpu(gpu) => gpu.wait(),
        }
    }

    /// What a GPU was given to do so far; none for the CPU.
    pub fn submitted_work(&self) -> Option<SubmittedWork> {
        match &self.backend {
            Backend::Cpu(_) => None,
            Backend::Gpu(gpu) => Some(gpu.work()),
        }
    }

    /// Runs a kernel: immediately on the CPU, with the next submission on a GPU.
    pub fn run(&mut self, kernel: &dyn Kernel) {
        if self.profile.is_none() {
            return self.dispatch(kernel);
        }
        let start = Instant::now();
        self.dispatch(kernel);
        // The next download reports a failure again, with its message.
        let _ = self.wait();
        let seconds = start.elapsed().as_secs_f64();
        let entry = self
            .profile
            .get_or_insert_default()
            .entry(kernel.name())
            .or_default();
        *entry = (entry.0 + seconds, entry.1 + 1);
    }

    /// Runs `work` on the device's threads, for loops over many kernels; on a GPU, calls it
    /// directly.
    ///
    /// Each kernel enters the thread pool by itself when it is run from outside, which takes
    /// several microseconds. Training, evaluation, scoring and generation already call this.
    pub fn install<R: Send>(&mut self, work: impl FnOnce(&mut Self) -> R + Send) -> R {
        match &self.backend {
            Backend::Cpu(cpu) => cpu.thread_pool().install(move || work(self)),
            Backend::Gpu(_) => work(self),
        }
    }

    fn dispatch(&mut self, kernel: &dyn Kernel) {
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.run(kernel),
            Backend::Gpu(gpu) => kernel.on_gpu(gpu),
        }
    }

    /// Submits the recorded work to the GPU without waiting for it. Does nothing on the CPU.
    pub fn submit(&mut self) {
        if let Backend::Gpu(gpu) = &mut self.backend {
            gpu.submit();
        }
    }
}
