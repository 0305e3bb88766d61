//! How a GPU walks the Elman recurrence step by step: the product with the recurrent weight and the
//! cell in one dispatch, spread over the whole GPU.
//! [`RecurrentSchedule::Fused`](super::RecurrentSchedule::Fused) is the other way.

use super::recurrence::{BINDINGS, RecurrenceBackward, RecurrenceForward, constants};
use super::recurrent::Reset;
use crate::device::{Arguments as _, Binding, Gpu, Shader, arguments, to_u32};

arguments! {
    step: u32,
    time_steps: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "recurrence_step",
    source: include_str!("../../shaders/recurrence_step.wgsl"),
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

/// Streams, and units, that a workgroup makes.
const TILE: u32 = 32;

/// The arguments of a window's dispatches but for the step, and the workgroups of each.
fn dispatch(reset: &Reset, [batch, hidden_size, time_steps]: [usize; 3]) -> (Arguments, [u32; 3]) {
    let [time_steps, batch, hidden_size] = [time_steps, batch, hidden_size].map(to_u32);
    let arguments = Arguments {
        step: 0,
        time_steps,
        batch,
        hidden_size,
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
    };
    (
        arguments,
        [hidden_size.div_ceil(TILE), batch.div_ceil(TILE), 1],
    )
}

pub(super) fn forward(kernel: &RecurrenceForward, gpu: &mut Gpu) {
    let RecurrenceForward {
        states,
        weight,
        reset,
        activation,
        ..
    } = kernel;
    let (arguments, groups) = dispatch(reset, kernel.sizes());
    let [states, weight, previous] = [states, weight, &reset.previous].map(Binding::whole);
    for step in 0..arguments.time_steps {
        let bindings = [states, weight, reset.tokens().0, previous];
        gpu.launch(
            &FORWARD,
            &constants(reset, *activation),
            &bindings,
            &Arguments { step, ..arguments },
            groups,
        );
    }
}

pub(super) fn backward(kernel: &RecurrenceBackward, gpu: &mut Gpu) {
    let RecurrenceBackward {
        states,
        weight,
        reset,
        gradient,
        initial_gradient,
        activation,
        ..
    } = kernel;
    let (arguments, groups) = dispatch(reset, kernel.sizes());
    let [states, weight, gradient, initial_gradient] =
        [states, weight, gradient, initial_gradient].map(Binding::whole);
    let bindings = [states, weight, reset.tokens().0, gradient, initial_gradient];
    let [activation, reset] = constants(reset, *activation);
    let mut launch = |step: u32, before: f64| {
        gpu.launch(
            &BACKWARD,
            &[activation, reset, ("BEFORE", before)],
            &bindings,
            &Arguments { step, ..arguments },
            groups,
        );
    };
    (0..arguments.time_steps)
        .rev()
        .for_each(|step| launch(step, 0.0));
    launch(0, 1.0);
}
