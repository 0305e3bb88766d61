//! The Elman recurrence over a window, and back through it; on a GPU in one dispatch, or step by step (`recurrence_step`).

use rayon::prelude::*;

use super::activation::Activation;
use super::matmul::{Product, View};
use super::parallel::for_row_parts;
use super::recurrence_step;
use super::transpose::Transpose;
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, index};
use crate::tensor::Tensor;

/// `s(t) = f(z(t) + W s(t-1))` for every step of a window and every stream.
///
/// z(t), the part of the sum that does not depend on s(t-1), lies where s(t) is going to be. s(-1) is what `carry` holds, and `carry` holds
/// the last state afterwards.
#[derive(Debug, Clone, Copy)]
pub struct RecurrenceForward {
    /// f.
    pub activation: Activation,
    /// `[(T+1)*B, H]`: slot 0 receives s(-1); slot t+1 holds z(t) and receives s(t).
    pub states: Tensor,
    /// W, `[H to, H from]`.
    pub weight: Tensor,
    /// `[H, H]`, overwritten with W turned over, where the device reads it better so.
    pub turned_weight: Tensor,
    /// `[B, H]`: the state before the window, then the state after it.
    pub carry: Tensor,
    /// Where a stream begins afresh, if anywhere.
    pub reset: Reset,
    /// How a GPU goes about it.
    pub walk: Walk,
}

/// How a GPU walks a window. Both ways sum in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// One dispatch for the whole window: a workgroup walks all steps of one stream, its state in workgroup memory. Nothing is waited for
    /// between steps, but every workgroup reads the whole recurrent weight in each of them. For narrow layers.
    Window,
    /// A dispatch for each step, over all streams and units. For wide layers, where reading the weight costs more than a dispatch.
    Steps,
}

impl Walk {
    /// The way for a layer of `hidden_size` units.
    pub fn for_size(hidden_size: usize) -> Self {
        if hidden_size <= WIDEST_WINDOW { Self::Window } else { Self::Steps }
    }
}

/// The widest layer that is walked in one dispatch. An estimate: a workgroup that reads H² weights from a GPU's second cache at 100 GB/s takes
/// as long as a dispatch of some 5 µs at H = 350. `cargo bench --bench kernels` measures both ways.
const WIDEST_WINDOW: usize = 384;

/// The gradient of [`RecurrenceForward`]: `gradient(t) = (gradient(t) + Wᵀ gradient(t+1)) f'(s(t))`.
#[derive(Debug, Clone, Copy)]
pub struct RecurrenceBackward {
    /// f.
    pub activation: Activation,
    /// `[(T+1)*B, H]`, as the forward kernel left it.
    pub states: Tensor,
    /// W, `[H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of s(t) from above, then the gradient of z(t).
    pub gradient: Tensor,
    /// `[B, H]`, overwritten with the gradient of s(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub walk: Walk,
}

/// Where the state begins afresh: nowhere, or where `enabled` and the input is the boundary token 0.
#[derive(Debug, Clone, Copy)]
pub struct Reset {
    /// Whether there are such places.
    pub enabled: bool,
    /// What every unit of a fresh state is.
    pub initial: f32,
    /// The window's inputs, T*B tokens.
    pub tokens: Tensor<u32>,
    /// `[T*B, H]`: receives the previous states as they were used, where `enabled`; else of any size and untouched.
    pub previous: Tensor,
}

arguments! { time_steps: u32, first: u32, end: u32, batch: u32, hidden_size: u32, tokens_offset: u32, initial: f32 }

pub(super) static FORWARD: Shader = Shader {
    stem: "recurrence",
    source: include_str!("../../shaders/recurrence.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("states", Access::Write),
        ("weight", Access::Read),
        ("tokens", Access::Read),
        ("carry", Access::Write),
        ("steps", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader { entry_point: "backward", ..FORWARD };

/// Steps that one dispatch walks. In each, an invocation computes one unit of every 256, and reads or writes it a few times.
fn steps_per_dispatch(hidden_size: usize) -> usize {
    let turns_of_a_step = hidden_size.div_ceil(256) * (hidden_size / 4 + 8) + 1;
    (super::MOST_TURNS / turns_of_a_step).max(1)
}

impl Reset {
    /// Whether stream `stream` begins afresh at a step whose inputs are `tokens`.
    fn at(&self, tokens: &[u32], position: usize) -> bool {
        self.enabled && tokens[position] == 0
    }

    pub(super) fn constants(&self, activation: Activation) -> [(&'static str, f64); 2] {
        [("ACTIVATION", activation.constant()), ("RESET", f64::from(u8::from(self.enabled)))]
    }

    /// The tokens' binding, and the arguments of every dispatch that a window of the recurrence is made of, by time.
    fn arguments(&self, time_steps: usize, carry: &Tensor) -> (Binding, Vec<Arguments>) {
        let (tokens, tokens_offset) = Binding::with_offset(&self.tokens);
        let (batch, hidden_size) = (index(carry.rows()), index(carry.columns()));
        let part = steps_per_dispatch(carry.columns());
        let dispatch = |first: usize| Arguments {
            time_steps: index(time_steps),
            first: index(first),
            end: index((first + part).min(time_steps)),
            batch,
            hidden_size,
            tokens_offset,
            initial: self.initial,
        };
        (tokens, (0..time_steps).step_by(part).map(dispatch).collect())
    }
}

/// Units from which on the weight is larger than a core's cache: then threads share it in every step, each making its part of the units, and
/// wait for each other between steps. Below, each walks the whole window with its part of the streams.
const WIDE: usize = 512;
/// Steps beyond which the CPU turns the weight over before it walks them.
const SHORTEST_TURNED: usize = 4;

/// Streams of each part that is walked for itself, and the threads that share its steps.
fn streams_and_threads(cpu: &Cpu, batch: usize, size: usize) -> (usize, usize) {
    if size < WIDE { (batch.div_ceil(cpu.threads()), 1) } else { (batch, cpu.threads()) }
}

/// Splits `[steps*B, H]` into parts of `streams` streams: for every part, its rows of every step.
fn by_streams(data: &mut [f32], batch: usize, size: usize, streams: usize) -> Vec<Vec<&mut [f32]>> {
    let mut parts: Vec<Vec<&mut [f32]>> = (0..batch.div_ceil(streams)).map(|_| Vec::new()).collect();
    for step in data.chunks_exact_mut(batch * size) {
        for (part, rows) in parts.iter_mut().zip(step.chunks_mut(streams * size)) {
            part.push(rows);
        }
    }
    parts
}

/// `c += a W` for a few rows, or `c += a Wᵀ` where the weight comes with true.
fn add_product(a: &[f32], (weight, transpose): (&[f32], bool), c: &mut [f32], size: usize, threads: usize) {
    let a = View { data: a, strides: [size, 1] };
    let b = View { data: weight, strides: if transpose { [1, size] } else { [size, 1] } };
    Product { sizes: [c.len() / size, size, size], a, b, accumulate: true }.run_in_parts(c, threads);
}

impl Kernel for RecurrenceForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (batch, size) = (self.carry.rows(), self.carry.columns());
        let (streams, threads) = streams_and_threads(cpu, batch, size);
        // A product whose second factor lies turned needs no copy of it in every step; turning it pays after a few.
        let is_turned = self.states.rows() > SHORTEST_TURNED * batch;
        if is_turned {
            Transpose { input: self.weight, output: self.turned_weight }.on_cpu(cpu);
        }
        let weight = cpu.read(if is_turned { &self.turned_weight } else { &self.weight });
        let (mut states, mut carry) = (cpu.write(&self.states), cpu.write(&self.carry));
        let (tokens, mut previous) = (cpu.read(&self.reset.tokens), cpu.write(&self.reset.previous));
        let (weight, tokens) = (&*weight, &*tokens);
        let states = by_streams(&mut states, batch, size, streams);
        let mut previous = if self.reset.enabled { by_streams(&mut previous, batch, size, streams) } else { Vec::new() };
        previous.resize_with(states.len(), Vec::new);
        let parts = states.into_par_iter().zip(previous).zip(carry.par_chunks_mut(streams * size));
        parts.enumerate().for_each(|(part, ((mut states, mut previous), carry))| {
            states[0].copy_from_slice(carry);
            for t in 0..states.len() - 1 {
                let (before, after) = states.split_at_mut(t + 1);
                let mut used = &*before[t];
                if self.reset.enabled {
                    previous[t].copy_from_slice(used);
                    for (stream, row) in previous[t].chunks_exact_mut(size).enumerate() {
                        if self.reset.at(tokens, t * batch + part * streams + stream) {
                            row.fill(self.reset.initial);
                        }
                    }
                    used = previous[t];
                }
                add_product(used, (weight, !is_turned), after[0], size, threads);
                for_row_parts(threads, after[0], size, |_, part| self.activation.apply(part));
            }
            carry.copy_from_slice(states[states.len() - 1]);
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.walk == Walk::Steps {
            return recurrence_step::forward(self, gpu);
        }
        Transpose { input: self.weight, output: self.turned_weight }.on_gpu(gpu);
        let (tokens, arguments) = self.reset.arguments(self.states.rows() / self.carry.rows() - 1, &self.carry);
        for dispatch in &arguments {
            gpu.launch(
                &FORWARD,
                &self.reset.constants(self.activation),
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.turned_weight),
                    tokens,
                    Binding::whole(&self.carry),
                    Binding::whole(&self.reset.previous),
                ],
                dispatch,
                [index(self.carry.rows()), 1, 1],
            );
        }
    }
}

impl Kernel for RecurrenceBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (batch, size) = (self.initial_gradient.rows(), self.initial_gradient.columns());
        let (streams, threads) = streams_and_threads(cpu, batch, size);
        let (states, weight) = (cpu.read(&self.states), cpu.read(&self.weight));
        let (mut gradient, mut initial_gradient) = (cpu.write(&self.gradient), cpu.write(&self.initial_gradient));
        let tokens = cpu.read(&self.reset.tokens);
        let (states, weight, tokens) = (&*states, &*weight, &*tokens);
        let gradient = by_streams(&mut gradient, batch, size, streams);
        let parts = gradient.into_par_iter().zip(initial_gradient.par_chunks_mut(streams * size));
        parts.enumerate().for_each(|(part, (mut gradient, initial_gradient))| {
            let first = part * streams;
            // What flows out of step t into the state before it: nothing where that state was not used.
            let mut passed = vec![0.0; initial_gradient.len()];
            let mut pass = |t: usize, from: &[f32], to: &mut [f32]| {
                let mut source = from;
                if self.reset.enabled {
                    passed.copy_from_slice(from);
                    for (stream, row) in passed.chunks_exact_mut(size).enumerate() {
                        if self.reset.at(tokens, t * batch + first + stream) {
                            row.fill(0.0);
                        }
                    }
                    source = &passed;
                }
                add_product(source, (weight, false), to, size, threads);
            };
            for t in (0..gradient.len()).rev() {
                let (current, later) = gradient.split_at_mut(t + 1);
                if let Some(next) = later.first() {
                    pass(t + 1, next, current[t]);
                }
                let outputs = &states[((t + 1) * batch + first) * size..][..current[t].len()];
                for_row_parts(threads, current[t], size, |row, part| {
                    self.activation.apply_derivative(part, &outputs[row * size..][..part.len()]);
                });
            }
            initial_gradient.fill(0.0);
            if let Some(step) = gradient.first() {
                pass(0, step, initial_gradient);
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.walk == Walk::Steps {
            return recurrence_step::backward(self, gpu);
        }
        let (tokens, arguments) = self.reset.arguments(self.states.rows() / self.initial_gradient.rows() - 1, &self.initial_gradient);
        for dispatch in arguments.iter().rev() {
            gpu.launch(
                &BACKWARD,
                &self.reset.constants(self.activation),
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.weight),
                    tokens,
                    Binding::whole(&self.initial_gradient),
                    Binding::whole(&self.gradient),
                ],
                dispatch,
                [index(self.initial_gradient.rows()), 1, 1],
            );
        }
    }
}
