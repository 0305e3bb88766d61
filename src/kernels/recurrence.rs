//! The Elman recurrence over a window, forward and backward. On a GPU either in one dispatch or
//! step by step (`recurrence_step`).

pub(super) mod cases;
pub(super) mod recurrence_step;

use rayon::prelude::*;

use super::activation::Activation;
use super::parallel::for_row_chunks;
use super::recurrent::{
    Carried, CarriedArguments, RecurrentSchedule, Reset, StepProduct, WorkSplit, fused_dispatches,
    product_constants,
};
use super::transpose::Transpose;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `s(t) = f(z(t) + W s(t-1))` for every step of a window and every stream.
///
/// z(t) is the part of the pre-activation that does not depend on s(t-1). It is stored where s(t)
/// is written.
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 2048.
#[derive(Debug, Clone, Copy)]
pub struct RecurrenceForward {
    /// f.
    pub activation: Activation,
    /// `[(T+1)*B, H]`: slot 0 receives s(-1); slot t+1 holds z(t) and receives s(t).
    pub states: Tensor,
    /// The state before the window, and where the next window starts.
    pub carried: Carried<1>,
    /// W, `[H to, H from]`.
    pub weight: Tensor,
    /// `[H, H]`, scratch space for a copy of W in the order in which the device reads it
    /// fastest.
    pub weight_t: Tensor,
    /// Where streams are reset.
    pub reset: Reset,
    /// How a GPU processes the window.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`RecurrenceForward`]:
/// `gradient(t) = (gradient(t) + Wᵀ gradient(t+1)) f'(s(t))`.
///
/// # Panics
/// If `schedule` is [`RecurrentSchedule::Fused`] and H is above 2048.
#[derive(Debug, Clone, Copy)]
pub struct RecurrenceBackward {
    /// f.
    pub activation: Activation,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub states: Tensor,
    /// W, `[H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of s(t) from the layer above, overwritten with the gradient of
    /// z(t).
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
    first_step: u32,
    end_step: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    previous_offset: u32,
    advance: u32,
}

pub(super) const FORWARD_BINDINGS: &[(&str, Access)] = &[
    ("states", Access::Write),
    ("weight", Access::Read),
    ("tokens", Access::Read),
    ("previous_states", Access::Write),
];
pub(super) const BACKWARD_BINDINGS: &[(&str, Access)] = &[
    ("states", Access::Write),
    ("weight", Access::Read),
    ("tokens", Access::Read),
    ("gradient", Access::Write),
    ("initial_gradient", Access::Write),
];
pub(super) static FORWARD: Shader = Shader {
    stem: "recurrence",
    source: concat!(
        include_str!("../../shaders/recurrence.wgsl"),
        include_str!("../../shaders/fused_product.wgsl")
    ),
    entry_point: "forward",
    bindings: FORWARD_BINDINGS,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: BACKWARD_BINDINGS,
    ..FORWARD
};

/// The override constants of both directions.
pub(super) fn constants(reset: &Reset, activation: Activation) -> [(&'static str, f64); 2] {
    [("ACTIVATION", activation.constant()), reset.constant()]
}

/// The override constants of a whole window, where the product has `size` rows and columns.
fn fused_constants(
    gpu: &Gpu,
    reset: &Reset,
    activation: Activation,
    size: usize,
) -> [(&'static str, f64); 5] {
    let [activation, reset] = constants(reset, activation);
    let [sums, first, second] = product_constants(gpu, size, size);
    [activation, reset, sums, first, second]
}

/// The arguments and operations of a window's dispatches, in the order of time.
fn window_dispatches(
    reset: &Reset,
    carried: CarriedArguments,
    sizes @ [batch, hidden_size, time_steps]: [usize; 3],
    max_operations: u64,
) -> Vec<(Arguments, u64)> {
    // An invocation computes every 256th unit, and reads or writes it a few times.
    let iterations_per_step = hidden_size.div_ceil(256) * (hidden_size / 4 + 8) + 1;
    let arguments = |[first_step, end_step]: [u32; 2]| Arguments {
        time_steps: to_u32(time_steps),
        first_step,
        end_step,
        batch: to_u32(batch),
        hidden_size: to_u32(hidden_size),
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
        carried_offset: carried.offset,
        previous_offset: carried.previous_offset(first_step, batch * hidden_size),
        advance: carried.advance,
    };
    fused_dispatches(sizes, 1, iterations_per_step, max_operations)
        .into_iter()
        .map(|dispatch| (arguments(dispatch.steps), dispatch.operations))
        .collect()
}

impl RecurrenceForward {
    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let steps = self.reset.tokens.len();
        let batch = self.states.rows() - steps;
        self.schedule.check_size(1, self.states.columns());
        [batch, self.states.columns(), steps / batch]
    }
}

impl RecurrenceBackward {
    /// B, H and T.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let batch = self.initial_gradient.rows();
        let size = self.initial_gradient.columns();
        self.schedule.check_size(1, size);
        [batch, size, self.gradient.rows() / batch]
    }
}

impl Kernel for RecurrenceForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = self.sizes();
        self.carried.load_on_cpu(cpu, [self.states]);
        let work = WorkSplit::new(cpu, batch, size);
        let weight = cpu.read(&self.weight);
        let mut packed = cpu.write(&self.weight_t);
        let sizes = work.step_sizes([size, size], time_steps);
        let product = StepProduct::forward(&weight, sizes, &mut packed);
        let mut all_states = cpu.write(&self.states);
        let tokens = cpu.read(&self.reset.tokens);
        let mut previous = cpu.write(&self.reset.previous);
        let tokens = &*tokens;
        let states = work.split(&mut all_states, size);
        let previous = work.split_previous(&self.reset, &mut previous, size);
        states.into_par_iter().zip(previous).enumerate().for_each(
            |(group, (mut states, mut previous))| {
                for t in 0..states.len() - 1 {
                    let (before, after) = states.split_at_mut(t + 1);
                    let mut input_states = &*before[t];
                    if self.reset.enabled {
                        self.reset.copy_with_resets(
                            input_states,
                            previous[t],
                            tokens,
                            t * batch + group * work.streams,
                            size,
                        );
                        input_states = previous[t];
                    }
                    product.run(input_states, after[0], true);
                    for_row_chunks(work.threads, after[0], size, |_, chunk| {
                        self.activation.apply(chunk);
                    });
                }
            },
        );
        drop(all_states);
        self.carried.store_on_cpu(cpu, [self.states]);
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
        let carried = self.carried.arguments(self.schedule, [self.states]);
        let dispatches = window_dispatches(&self.reset, carried, sizes, gpu.max_operations());
        let constants = fused_constants(gpu, &self.reset, self.activation, sizes[1]);
        for (arguments, operations) in &dispatches {
            gpu.launch_work(
                &FORWARD,
                &constants,
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.weight_t),
                    self.reset.tokens().0,
                    Binding::whole(&self.reset.previous),
                ],
                arguments,
                workgroups(sizes[0], 1),
                *operations,
            );
        }
    }
}

impl Kernel for RecurrenceBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = self.sizes();
        let work = WorkSplit::new(cpu, batch, size);
        let states = cpu.read(&self.states);
        let weight = cpu.read(&self.weight);
        let mut gradient = cpu.write(&self.gradient);
        let mut initial_gradient = cpu.write(&self.initial_gradient);
        let tokens = cpu.read(&self.reset.tokens);
        let states = &*states;
        let tokens = &*tokens;
        let mut packed = Vec::new();
        let sizes = work.step_sizes([size, size], time_steps);
        let product = StepProduct::backward(&weight, sizes, &mut packed);
        let gradient = work.split(&mut gradient, size);
        let groups = gradient
            .into_par_iter()
            .zip(initial_gradient.par_chunks_mut(work.streams * size));
        groups
            .enumerate()
            .for_each(|(group, (mut gradient, initial_gradient))| {
                let first = group * work.streams;
                // Adds to `to` the gradient that flows from step t to the previous state.
                let mut masked = vec![0.0; initial_gradient.len()];
                let mut propagate = |t: usize, from: &[f32], to: &mut [f32]| {
                    let mut source = from;
                    if self.reset.enabled {
                        masked.copy_from_slice(from);
                        let position = t * batch + first;
                        self.reset
                            .clear_gradients(&mut masked, tokens, position, size);
                        source = &masked;
                    }
                    product.run(source, to, true);
                };
                for t in (0..gradient.len()).rev() {
                    let (current, later) = gradient.split_at_mut(t + 1);
                    if let Some(next) = later.first() {
                        propagate(t + 1, next, current[t]);
                    }
                    let outputs = &states[((t + 1) * batch + first) * size..][..current[t].len()];
                    for_row_chunks(work.threads, current[t], size, |row, chunk| {
                        self.activation
                            .apply_derivative(chunk, &outputs[row * size..][..chunk.len()]);
                    });
                }
                initial_gradient.fill(0.0);
                if let Some(step) = gradient.first() {
                    propagate(0, step, initial_gradient);
                }
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        if self.schedule == RecurrentSchedule::PerStep {
            return recurrence_step::backward(self, gpu);
        }
        let sizes = self.sizes();
        let dispatches = window_dispatches(
            &self.reset,
            CarriedArguments::default(),
            sizes,
            gpu.max_operations(),
        );
        let constants = fused_constants(gpu, &self.reset, self.activation, sizes[1]);
        for (arguments, operations) in dispatches.iter().rev() {
            gpu.launch_work(
                &BACKWARD,
                &constants,
                &[
                    Binding::whole(&self.states),
                    Binding::whole(&self.weight),
                    self.reset.tokens().0,
                    Binding::whole(&self.gradient),
                    Binding::whole(&self.initial_gradient),
                ],
                arguments,
                workgroups(sizes[0], 1),
                *operations,
            );
        }
    }
}
