//! What runs kernels: the CPU's memory or a GPU's command stream behind one interface.
//!
//! In: tensors' sizes, numbers to upload, kernels. Out: numbers downloaded. This module says what a
//! [`Kernel`] is and knows none of them, and no model.

mod cpu;
mod gpu;
mod select;

pub use cpu::{Cpu, check_memory};
pub(crate) use gpu::arguments;
pub use gpu::{
    Access, AdapterReport, Argument, Arguments, Binding, Gpu, GpuOptions, Piece, SHARED, Shader,
    adapters, index, workgroups,
};
pub use select::DeviceChoice;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::Result;
use crate::tensor::{Element, Tensor};

/// One function on tensors, with a face for each kind of device. Both faces compute the same thing
/// from the same handles.
pub trait Kernel {
    /// The stem that the shader, the Rust file and the test share.
    fn name(&self) -> &'static str;

    /// Runs on the CPU's memory, now.
    fn on_cpu(&self, cpu: &Cpu);

    /// Appends one dispatch or several to the GPU's current submission.
    fn on_gpu(&self, gpu: &mut Gpu);
}

#[derive(Debug)]
enum Backend {
    Cpu(Cpu),
    Gpu(Box<Gpu>),
}

/// A place that holds tensors and runs kernels.
///
/// On a GPU, [`Device::run`] only records: the work starts at [`Device::submit`], and its results
/// are there after [`Device::download`], which waits.
#[derive(Debug)]
pub struct Device {
    backend: Backend,
    name: String,
    /// Bytes of every buffer, by its number.
    sizes: BTreeMap<usize, usize>,
    /// What [`Device::shared`] hands out.
    shared: Option<Tensor>,
    /// Seconds by kernel, where they are being measured.
    profile: Option<Profile>,
}

/// Seconds and runs of every kernel, by its stem.
pub type Profile = BTreeMap<&'static str, (f64, u64)>;

/// A tensor's numbers, asked for and perhaps not there yet; for [`Device::end_download`] of the
/// same device.
#[derive(Debug)]
pub struct Download<T: Element>(Arrival<T>);

impl<T: Element> Download<T> {
    /// Whether there is nothing to wait for: always on the CPU, never on a GPU.
    pub fn is_ready(&self) -> bool {
        matches!(self.0, Arrival::Here(_))
    }
}

#[derive(Debug)]
enum Arrival<T: Element> {
    Here(Vec<T>),
    OnItsWay(Vec<gpu::Transfer>),
}

impl Device {
    /// The CPU, with kernels split into `threads` parts.
    pub fn cpu(threads: usize) -> Self {
        Self {
            name: format!(
                "CPU ({threads} thread{})",
                if threads == 1 { "" } else { "s" }
            ),
            backend: Backend::Cpu(Cpu::new(threads)),
            sizes: BTreeMap::new(),
            shared: None,
            profile: None,
        }
    }

    /// A GPU that was opened before.
    pub fn gpu(gpu: Gpu) -> Self {
        let sizes = BTreeMap::from([(gpu.scratch().buffer, 4 * Gpu::SCRATCH)]);
        Self {
            name: gpu.name().to_owned(),
            backend: Backend::Gpu(Box::new(gpu)),
            sizes,
            shared: None,
            profile: None,
        }
    }

    /// The device in words: the adapter's name, backend and driver, or the CPU and its threads.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether kernels run as compute shaders.
    pub fn is_gpu(&self) -> bool {
        matches!(self.backend, Backend::Gpu(_))
    }

    /// Whether the device has f16 for mixed precision: never the CPU, which would only be slower.
    pub fn has_f16(&self) -> bool {
        matches!(&self.backend, Backend::Gpu(gpu) if gpu.has_f16())
    }

    /// Bytes that a block of logits should have beside a weight of `weight_bytes`.
    pub fn logits_block_bytes(&self, weight_bytes: usize) -> usize {
        match &self.backend {
            // A product packs both its matrices anew for every block: blocks of some hundred rows
            // repay that, and it costs more than logits that leave the caches (measured in
            // benches/RESULTS.md). As large as the weight it is multiplied by at least: a block of
            // few rows would pack a weight of millions of numbers for each.
            Backend::Cpu(_) => weight_bytes.max(44 << 20),
            Backend::Gpu(gpu) => gpu.largest_binding().min(64 << 20),
        }
    }

    /// A new matrix of zeros in one piece.
    ///
    /// # Errors
    /// If the matrix is larger than the adapter's limits or the memory that is left; `what` names
    /// it in the message.
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
        Ok(self.count(buffer, rows, columns))
    }

    /// A new matrix of zeros that may lie in several pieces, each of whole rows and within the
    /// adapter's limits: for parameters and what has their shape. Only kernels that say so take it.
    ///
    /// # Errors
    /// If one row is larger than the adapter's limits, or the matrix than the memory that is left.
    pub fn table(&mut self, what: &str, rows: usize, columns: usize) -> Result<Tensor> {
        let buffer = match &mut self.backend {
            Backend::Cpu(cpu) => cpu.allocate(what, rows, columns)?,
            Backend::Gpu(gpu) => gpu.allocate_table(what, rows, columns)?,
        };
        Ok(self.count(buffer, rows, columns))
    }

    /// A matrix that holds nothing between two steps of whoever uses it: everyone who asks shares
    /// one buffer, as far as it is large enough.
    ///
    /// # Errors
    /// As [`Device::tensor`].
    pub fn scratch(&mut self, what: &str, rows: usize, columns: usize) -> Result<Tensor> {
        match self.shared {
            Some(shared) if shared.len() >= rows * columns => Ok(shared.reshape(rows, columns)),
            _ => {
                let tensor = self.tensor(what, rows, columns)?;
                self.shared = Some(tensor);
                Ok(tensor)
            }
        }
    }

    /// Gives the memory behind [`Device::shared`] back to the system until it is used again, where
    /// that is the CPU's: for moments that need much memory for something else.
    pub fn release_scratch(&mut self) {
        if let (Backend::Cpu(cpu), Some(shared)) = (&mut self.backend, self.shared) {
            cpu.rest(shared.buffer);
        }
    }

    fn count<T: Element>(&mut self, buffer: usize, rows: usize, columns: usize) -> Tensor<T> {
        self.sizes.insert(buffer, 4 * rows * columns);
        Tensor::new(buffer, rows, columns)
    }

    /// Bytes that the tensors on this device take now.
    pub fn allocated(&self) -> usize {
        self.sizes.values().sum()
    }

    /// A new matrix with the numbers of `values`, row by row.
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

    /// Gives the tensor's whole buffer back. Other tensors in the same buffer are gone with it.
    pub fn release<T: Element>(&mut self, tensor: Tensor<T>) {
        self.sizes.remove(&tensor.buffer);
        self.shared = self.shared.filter(|shared| shared.buffer != tensor.buffer);
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.release(tensor.buffer),
            Backend::Gpu(gpu) => gpu.release(tensor.buffer),
        }
    }

    /// Overwrites the tensor. Work recorded before sees the old numbers.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn upload<T: Element>(&mut self, tensor: &Tensor<T>, values: &[T]) {
        assert_eq!(tensor.len(), values.len(), "upload of another length");
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.write(tensor).copy_from_slice(values),
            Backend::Gpu(gpu) => gpu.upload(tensor, values),
        }
    }

    /// Waits for all work recorded so far and copies the tensor's numbers out.
    ///
    /// # Errors
    /// If the driver failed in this work or was lost.
    pub fn download<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Vec<T>> {
        let download = self.begin_download(tensor);
        self.end_download(download)
    }

    /// Asks for the tensor's numbers as all work recorded so far leaves them, and goes on.
    pub fn begin_download<T: Element>(&mut self, tensor: &Tensor<T>) -> Download<T> {
        match &mut self.backend {
            Backend::Cpu(cpu) => Download(Arrival::Here(cpu.read(tensor).to_vec())),
            Backend::Gpu(gpu) => Download(Arrival::OnItsWay(gpu.begin_download(tensor))),
        }
    }

    /// Waits for the numbers asked for, and for no work recorded since.
    ///
    /// # Errors
    /// As [`Device::download`].
    pub fn end_download<T: Element>(&mut self, download: Download<T>) -> Result<Vec<T>> {
        match (&mut self.backend, download.0) {
            (_, Arrival::Here(values)) => Ok(values),
            (Backend::Gpu(gpu), Arrival::OnItsWay(transfers)) => gpu.end_download(transfers),
            (Backend::Cpu(_), Arrival::OnItsWay(_)) => panic!("a download of another device"),
        }
    }

    /// Measures every kernel from now on, or no longer; hands out what was measured so far. On a
    /// GPU its own clock is read around every dispatch; where it has none, each kernel is waited
    /// for, so that the whole is slower than its parts.
    ///
    /// # Errors
    /// If the device failed.
    pub fn profile(&mut self, on: bool) -> Result<Profile> {
        if let Backend::Gpu(gpu) = &mut self.backend
            && let Some(seconds) = gpu.time(on)?
        {
            return Ok(seconds);
        }
        self.wait()?;
        let measured = std::mem::take(&mut self.profile).unwrap_or_default();
        self.profile = on.then(Profile::new);
        Ok(measured)
    }

    /// Waits until everything recorded so far is done.
    ///
    /// # Errors
    /// If the driver failed in this work or was lost.
    pub fn wait(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Cpu(_) => Ok(()),
            Backend::Gpu(gpu) => gpu.wait(),
        }
    }

    /// Runs a kernel: at once on the CPU, in the current submission on a GPU.
    pub fn run(&mut self, kernel: &dyn Kernel) {
        if self.profile.is_none() {
            return self.dispatch(kernel);
        }
        let start = Instant::now();
        self.dispatch(kernel);
        // A failure is seen again, with its message, at the next download.
        let _ = self.wait();
        let seconds = start.elapsed().as_secs_f64();
        let entry = self
            .profile
            .get_or_insert_default()
            .entry(kernel.name())
            .or_default();
        *entry = (entry.0 + seconds, entry.1 + 1);
    }

    fn dispatch(&mut self, kernel: &dyn Kernel) {
        match &mut self.backend {
            Backend::Cpu(cpu) => kernel.on_cpu(cpu),
            Backend::Gpu(gpu) => kernel.on_gpu(gpu),
        }
    }

    /// Hands the recorded work to the GPU without waiting for it. Nothing to do on the CPU.
    pub fn submit(&mut self) {
        if let Backend::Gpu(gpu) = &mut self.backend {
            gpu.submit();
        }
    }
}
