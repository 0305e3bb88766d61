//! The Elman recurrence over a window, and back through it; on a GPU in one dispatch, or step by
//! step (`recurrence_step`).

use rayon::prelude::*;

use super::activation::Activation;
use super::parallel::for_row_parts;
use super::recurrence_step;
use super::recurrent::{RecurrentSchedule, Reset, Weight, WorkSplit, dispatches, transpose_weight};
use super::transpose::Transpose;
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32};
use crate::tensor::Tensor;

/// `s(t) = f(z(t) + W s(t-1))` for every step of a window and every stream.
///
/// z(t), the part of the sum that does not depend on s(t-1), lies where s(t) is going to be.
#[derive(Debug, Clone, Copy)]
pub struct RecurrenceForward {
    /// f.
    pub activation: Activation,
    /// `[(T+1)*B, H]`: slot 0 holds s(-1); slot t+1 holds z(t) and receives s(t).
    pub states: Tensor,
    /// W, `[H to, H from]`.
    pub weight: Tensor,
    /// `[H, H]`, overwritten with W transposed, where the device reads it better so.
    pub weight_t: Tensor,
    /// Where a stream begins afresh, if anywhere.
    pub reset: Reset,
    /// How a GPU goes about it.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`RecurrenceForward`]:
/// `gradient(t) = (gradient(t) + Wᵀ gradient(t+1)) f'(s(t))`.
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
    pub schedule: RecurrentSchedule,
}

arguments! {
    time_steps: u32,
    first: u32,
    end: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

pub(super) const BINDINGS: &[(&str, Access)] = &[
    ("states", Access::Write),
    ("weight", Access::Read),
    ("tokens", Access::Read),
    ("steps", Access::Write),
    ("initial_gradient", Access::Write),
];
pub(super) static FORWARD: Shader = Shader {
    stem: "recurrence",
    source: include_str!("../../shaders/recurrence.wgsl"),
    entry_point: "forward",
    bindings: BINDINGS.split_at(4).0,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: BINDINGS,
    ..FORWARD
};

/// The constants of both directions.
pub(super) fn constants(reset: &Reset, activation: Activation) -> [(&'static str, f64); 2] {
    [("ACTIVATION", activation.constant()), reset.constant()]
}

/// The arguments of every dispatch that a window is made of, by time.
fn window_arguments(reset: &Reset, [batch, hidden_size, time_steps]: [usize; 3]) -> Vec<Arguments> {
    // An invocation computes one unit of every 256, and reads or writes it a few times.
    let turns = hidden_size.div_ceil(256) * (hidden_size / 4 + 8) + 1;
    let dispatch = |[first, end]: [u32; 2]| Arguments {
        time_steps: to_u32(time_steps),
        first,
        end,
        batch: to_u32(batch),
        hidden_size: to_u32(hidden_size),
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
    };
    dispatches(time_steps, turns)
        .into_iter()
        .map(dispatch)
        .collect()
}

impl RecurrenceForward {
    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let steps = self.reset.tokens.len();
        let batch = self.states.rows() - steps;
        [batch, self.states.columns(), steps / batch]
    }
}

impl RecurrenceBackward {
    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let (batch, size) = (
            self.initial_gradient.rows(),
            self.initial_gradient.columns(),
        );
        [batch, size, self.gradient.rows() / batch]
    }
}

impl Kernel for RecurrenceForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = self.sizes();
        let share = WorkSplit::new(cpu, batch, size);
        let transposed = transpose_weight(cpu, self.weight, self.weight_t, time_steps);
        let weight = cpu.read(if transposed {
            &self.weight_t
        } else {
            &self.weight
        });
        let weight = Weight {
            data: &weight,
            rows: size,
            columns: size,
            transposed,
        };
        let mut states = cpu.write(&self.states);
        let (tokens, mut previous) = (
            cpu.read(&self.reset.tokens),
            cpu.write(&self.reset.previous),
        );
        let tokens = &*tokens;
        let states = share.split(&mut states, size);
        let previous = share.split_previous(&self.reset, &mut previous, size);
        states.into_par_iter().zip(previous).enumerate().for_each(
            |(part, (mut states, mut previous))| {
                for t in 0..states.len() - 1 {
                    let (before, after) = states.split_at_mut(t + 1);
                    let mut used = &*before[t];
                    if self.reset.enabled {
                        self.reset.copy_used(
                            used,
                            previous[t],
                            tokens,
                            t * batch + part * share.streams,
                            size,
                        );
                        used = previous[t];
                    }
                    weight.forward(used, after[0], true, share.threads);
                    for_row_parts(share.threads, after[0], size, |_, part| {
                        self.activation.apply(part);
                    });
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.schedule == RecurrentSchedule::PerStep {
            return recurrence_step::forward(self, gpu);
        }
        Transpose {
            input: self.weight,
            output: self.weight_t,
        }
        .on_gpu(gpu);
        let sizes = self.sizes();
        for dispatch in &window_arguments(&self.reset, sizes) {
            gpu.launch(
                &FORWARD,
                &constants(&self.reset, self.activation),
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.weight_t),
                    self.reset.tokens().0,
                    Binding::whole(&self.reset.previous),
                ],
                dispatch,
                [to_u32(sizes[0]), 1, 1],
            );
        }
    }
}

impl Kernel for RecurrenceBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, _] = self.sizes();
        let share = WorkSplit::new(cpu, batch, size);
        let (states, weight) = (cpu.read(&self.states), cpu.read(&self.weight));
        let (mut gradient, mut initial_gradient) =
            (cpu.write(&self.gradient), cpu.write(&self.initial_gradient));
        let tokens = cpu.read(&self.reset.tokens);
        let (states, tokens) = (&*states, &*tokens);
        let weight = Weight {
            data: &weight,
            rows: size,
            columns: size,
            transposed: false,
        };
        let gradient = share.split(&mut gradient, size);
        let parts = gradient
            .into_par_iter()
            .zip(initial_gradient.par_chunks_mut(share.streams * size));
        parts
            .enumerate()
            .for_each(|(part, (mut gradient, initial_gradient))| {
                let first = part * share.streams;
                // What flows out of step t into the state before it.
                let mut passed = vec![0.0; initial_gradient.len()];
                let mut pass = |t: usize, from: &[f32], to: &mut [f32]| {
                    let mut source = from;
                    if self.reset.enabled {
                        passed.copy_from_slice(from);
                        self.reset.cut(&mut passed, tokens, t * batch + first, size);
                        source = &passed;
                    }
                    weight.backward(source, to, true, share.threads);
                };
                for t in (0..gradient.len()).rev() {
                    let (current, later) = gradient.split_at_mut(t + 1);
                    if let Some(next) = later.first() {
                        pass(t + 1, next, current[t]);
                    }
                    let outputs = &states[((t + 1) * batch + first) * size..][..current[t].len()];
                    for_row_parts(share.threads, current[t], size, |row, part| {
                        self.activation
                            .apply_derivative(part, &outputs[row * size..][..part.len()]);
                    });
                }
                initial_gradient.fill(0.0);
                if let Some(step) = gradient.first() {
                    pass(0, step, initial_gradient);
                }
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.schedule == RecurrentSchedule::PerStep {
            return recurrence_step::backward(self, gpu);
        }
        let sizes = self.sizes();
        for dispatch in window_arguments(&self.reset, sizes).iter().rev() {
            gpu.launch(
                &BACKWARD,
                &constants(&self.reset, self.activation),
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.weight),
                    self.reset.tokens().0,
                    Binding::whole(&self.gradient),
                    Binding::whole(&self.initial_gradient),
                ],
                dispatch,
                [to_u32(sizes[0]), 1, 1],
            );
        }
    }
}
