//! The Elman recurrence step by step on a GPU: the product with the recurrent weight and the
//! activation in one dispatch per step, spread over the whole GPU. The alternative is
//! [`RecurrentSchedule::Fused`](crate::kernels::RecurrentSchedule::Fused).

use super::{
    BACKWARD_BINDINGS, FORWARD_BINDINGS, RecurrenceBackward, RecurrenceForward, constants,
};
use crate::device::{Arguments as _, Binding, Gpu, Shader, arguments, to_u32};
use crate::kernels::recurrent::{
    CarriedArguments, Reset, STEP_UNITS, step_operations, step_workgroups,
};

arguments! {
    step: u32,
    time_steps: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    previous_offset: u32,
    advance: u32,
}

pub(in crate::kernels) static FORWARD: Shader = Shader {
    stem: "recurrence_step",
    source: concat!(
        include_str!("../../../shaders/recurrence_step.wgsl"),
        include_str!("../../../shaders/step_product.wgsl")
    ),
    entry_point: "forward",
    bindings: FORWARD_BINDINGS,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(in crate::kernels) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: BACKWARD_BINDINGS,
    ..FORWARD
};

/// The arguments of a window's dispatches, with step 0, and the workgroups and operations of each
/// dispatch. A layer of more workgroups than a dimension has does not fit a binding.
fn dispatch(
    reset: &Reset,
    [batch, hidden_size, time_steps]: [usize; 3],
) -> (Arguments, [u32; 3], u64) {
    let groups = step_workgroups(batch, hidden_size, STEP_UNITS);
    let operations = step_operations(batch, 1, hidden_size);
    let [time_steps, batch, hidden_size] = [time_steps, batch, hidden_size].map(to_u32);
    let arguments = Arguments {
        step: 0,
        time_steps,
        batch,
        hidden_size,
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
        carried_offset: 0,
        previous_offset: 0,
        advance: 0,
    };
    (arguments, groups, operations)
}

/// Launches one dispatch per step.
pub(in crate::kernels) fn forward(kernel: &RecurrenceForward, gpu: &mut Gpu) {
    let &RecurrenceForward {
        states,
        ref carried,
        weight,
        ref reset,
        activation,
        schedule,
        ..
    } = kernel;
    let (arguments, groups, operations) = dispatch(reset, kernel.sizes());
    let slot = carried.states[0].len();
    let carried_arguments = carried.arguments(schedule, [states]);
    let CarriedArguments { offset, advance } = carried_arguments;
    let arguments = Arguments {
        carried_offset: offset,
        advance,
        ..arguments
    };
    let [slots, weight, previous] = [&states, &weight, &reset.previous].map(Binding::whole);
    let bindings = [slots, weight, reset.tokens().0, previous];
    for step in 0..arguments.time_steps {
        gpu.launch_work(
            &FORWARD,
            &constants(reset, activation),
            &bindings,
            &Arguments {
                step,
                previous_offset: carried_arguments.previous_offset(step, slot),
                ..arguments
            },
            groups,
            operations,
        );
    }
    if carried.is_stored_last(schedule) {
        let [activation, reset] = constants(reset, activation);
        gpu.launch(
            &FORWARD,
            &[activation, reset, ("STORE", 1.0)],
            &bindings,
            &Arguments {
                advance: 1,
                ..arguments
            },
            groups,
        );
    }
}

/// Launches one dispatch per step in reverse, and one for the gradient of the initial state.
pub(in crate::kernels) fn backward(kernel: &RecurrenceBackward, gpu: &mut Gpu) {
    let RecurrenceBackward {
        states,
        weight,
        reset,
        gradient,
        initial_gradient,
        activation,
        ..
    } = kernel;
    let (arguments, groups, operations) = dispatch(reset, kernel.sizes());
    let [states, weight, gradient, initial_gradient] =
        [states, weight, gradient, initial_gradient].map(Binding::whole);
    let bindings = [states, weight, reset.tokens().0, gradient, initial_gradient];
    let [activation, reset] = constants(reset, *activation);
    let mut launch = |step: u32, initial: f64| {
        gpu.launch_work(
            &BACKWARD,
            &[activation, reset, ("INITIAL", initial)],
            &bindings,
            &Arguments { step, ..arguments },
            groups,
            operations,
        );
    };
    (0..arguments.time_steps)
        .rev()
        .for_each(|step| launch(step, 0.0));
    launch(0, 1.0);
}
