//! What all kernels that walk a window have in common: where streams begin afresh, how a GPU goes
//! about it, and how the CPU's threads share it. The cells' own files say what happens at a step.

use super::matmul::{Matmul, Precision, Product, View};
use super::transpose::Transpose;
use crate::device::{Binding, Cpu, Kernel, to_u32};
use crate::tensor::Tensor;

/// How a GPU walks a window. Both ways sum in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecurrentSchedule {
    /// One dispatch for the whole window: a workgroup walks all steps of one stream, its state in
    /// workgroup memory. Nothing is waited for between steps, but every workgroup reads the whole
    /// recurrent weight in each of them. For narrow layers.
    Fused,
    /// Dispatches for each step, over all streams and units. For wide layers, where reading the
    /// weight costs more than a dispatch.
    PerStep,
}

impl RecurrentSchedule {
    /// The way for a layer of `hidden_size` units.
    pub fn for_size(hidden_size: usize) -> Self {
        if hidden_size <= WIDEST_FUSED {
            Self::Fused
        } else {
            Self::PerStep
        }
    }
}

/// The widest layer that is walked in one dispatch. An estimate: a workgroup that reads H² weights
/// from a GPU's second cache at 100 GB/s takes as long as a dispatch of some 5 µs at H = 350.
/// `cargo bench --bench kernels` measures both ways.
const WIDEST_FUSED: usize = 384;

/// Where the state begins afresh: nowhere, or where `enabled` and the input is the boundary token
/// 0.
#[derive(Debug, Clone, Copy)]
pub struct Reset {
    /// Whether there are such places.
    pub enabled: bool,
    /// What every unit of a fresh state is.
    pub initial: f32,
    /// The window's inputs, T*B tokens.
    pub tokens: Tensor<u32>,
    /// `[T*B, H]`: receives the previous states as they were used, where `enabled`; else of any
    /// size and untouched.
    pub previous: Tensor,
}

impl Reset {
    /// Whether the stream of `tokens[position]` begins afresh at that step.
    pub(super) fn at(&self, tokens: &[u32], position: usize) -> bool {
        self.enabled && tokens[position] == 0
    }

    /// Copies states `[streams, size]` with fresh ones in place of those that are not used; the
    /// first stream's token is at `position`.
    pub(super) fn copy_used(
        &self,
        states: &[f32],
        used: &mut [f32],
        tokens: &[u32],
        position: usize,
        size: usize,
    ) {
        used.copy_from_slice(states);
        for (stream, row) in used.chunks_exact_mut(size).enumerate() {
            if self.at(tokens, position + stream) {
                row.fill(self.initial);
            }
        }
    }

    /// What flows back out of a step into the states before it, `[streams, size]`: nothing where a
    /// stream began afresh.
    pub(super) fn cut(&self, gradient: &mut [f32], tokens: &[u32], position: usize, size: usize) {
        for (stream, row) in gradient.chunks_exact_mut(size).enumerate() {
            if self.at(tokens, position + stream) {
                row.fill(0.0);
            }
        }
    }

    /// The constant that shaders have.
    pub(super) fn constant(&self) -> (&'static str, f64) {
        ("RESET", f64::from(u8::from(self.enabled)))
    }

    /// The tokens' binding and offset.
    pub(super) fn tokens(&self) -> (Binding, u32) {
        Binding::with_offset(&self.tokens)
    }
}

/// The dispatches that a window is walked in, by time: runs of steps `first..end`. `turns`: loop
/// turns of an invocation in a step.
pub(super) fn dispatches(time_steps: usize, turns: usize) -> Vec<[u32; 2]> {
    let part = (super::MOST_TURNS / turns).max(1);
    (0..time_steps)
        .step_by(part)
        .map(|first| [to_u32(first), to_u32((first + part).min(time_steps))])
        .collect()
}

/// A step's product with the recurrent weight, transposed for going forward, replacing or added to
/// what is there.
pub(super) fn step_product(
    a: Tensor,
    weight: Tensor,
    c: Tensor,
    [transpose_b, accumulate]: [bool; 2],
) -> Matmul {
    Matmul {
        a,
        b: weight,
        c,
        transpose_a: false,
        transpose_b,
        accumulate,
        precision: Precision::Full,
    }
}

/// Units from which on the weight is larger than a core's cache: then threads share it in every
/// step, each making its part of the units, and wait for each other between steps. Below, each
/// walks the whole window with its part of the streams.
const WIDE: usize = 512;
/// Steps from which on the CPU turns the weight over before it walks them.
const SHORTEST_TRANSPOSED: usize = 4;

/// How the CPU's threads share a window.
pub(super) struct WorkSplit {
    /// B.
    batch: usize,
    /// Streams of each part that is walked for itself.
    pub(super) streams: usize,
    /// Threads that share the steps of a part.
    pub(super) threads: usize,
}

impl WorkSplit {
    /// For B streams of layers of `units` units; a unit has a row of the weight for each gate.
    pub(super) fn new(cpu: &Cpu, batch: usize, units: usize) -> Self {
        let (streams, threads) = if units < WIDE {
            (batch.div_ceil(cpu.threads()), 1)
        } else {
            (batch, cpu.threads())
        };
        Self {
            batch,
            streams,
            threads,
        }
    }

    /// Splits `[steps*B, columns]`: for every part, its rows of every step.
    pub(super) fn split<'a>(&self, data: &'a mut [f32], columns: usize) -> Vec<Vec<&'a mut [f32]>> {
        let mut parts: Vec<Vec<&mut [f32]>> = (0..self.batch.div_ceil(self.streams))
            .map(|_| Vec::new())
            .collect();
        for step in data.chunks_exact_mut(self.batch * columns) {
            for (part, rows) in parts
                .iter_mut()
                .zip(step.chunks_mut(self.streams * columns))
            {
                part.push(rows);
            }
        }
        parts
    }

    /// The same of the previous states where they are kept, and nothing for every part where they
    /// are not.
    pub(super) fn split_previous<'a>(
        &self,
        reset: &Reset,
        previous: &'a mut [f32],
        size: usize,
    ) -> Vec<Vec<&'a mut [f32]>> {
        let mut parts = if reset.enabled {
            self.split(previous, size)
        } else {
            Vec::new()
        };
        parts.resize_with(self.batch.div_ceil(self.streams), Vec::new);
        parts
    }
}

/// Turns a recurrent weight over where that pays: a product whose second factor lies transposed
/// needs no copy of it in every step. Whether it did.
pub(super) fn transpose_weight(
    cpu: &Cpu,
    weight: Tensor,
    transposed: Tensor,
    time_steps: usize,
) -> bool {
    let pays = time_steps >= SHORTEST_TRANSPOSED;
    if pays {
        Transpose {
            input: weight,
            output: transposed,
        }
        .on_cpu(cpu);
    }
    pays
}

/// A recurrent weight in memory, `[rows, columns]`, or its transpose where `transposed`.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) transposed: bool,
}

impl Weight<'_> {
    /// `c = a Wᵀ` for a few rows: from states to gates. Added to c where `accumulate`.
    pub(super) fn forward(&self, a: &[f32], c: &mut [f32], accumulate: bool, threads: usize) {
        let strides = if self.transposed {
            [self.rows, 1]
        } else {
            [1, self.columns]
        };
        self.product(
            a,
            strides,
            c,
            [self.columns, self.rows],
            accumulate,
            threads,
        );
    }

    /// `c = a W` for a few rows: from gradients of gates to those of states. Added to c where
    /// `accumulate`.
    ///
    /// # Panics
    /// If the weight is transposed.
    pub(super) fn backward(&self, a: &[f32], c: &mut [f32], accumulate: bool, threads: usize) {
        assert!(
            !self.transposed,
            "gradients go back through the weight as it is"
        );
        self.product(
            a,
            [self.columns, 1],
            c,
            [self.rows, self.columns],
            accumulate,
            threads,
        );
    }

    fn product(
        &self,
        a: &[f32],
        strides: [usize; 2],
        c: &mut [f32],
        [k, n]: [usize; 2],
        accumulate: bool,
        threads: usize,
    ) {
        let a = View {
            data: a,
            strides: [k, 1],
        };
        let b = View {
            data: self.data,
            strides,
        };
        Product {
            sizes: [c.len() / n, n, k],
            a,
            b,
            accumulate,
        }
        .run_in_parts(c, threads);
    }
}
