//! The Elman recurrence step by step on a GPU: the product with the recurrent weight and the
//! activation in one dispatch per step, spread over the whole GPU. The alternative is
//! [`RecurrentSchedule::Fused`](crate::kernels::RecurrentSchedule::Fused).

use super::{
    BACKWARD_BINDINGS, FORWARD_BINDINGS, RecurrenceBackward, RecurrenceForward, constants,
};
use crate::device::{Arguments as _, Binding, Gpu, Shader, arguments, to_u32};
use crate::kernels::Activation;
use crate::kernels::recurrent::{Reset, STEP_UNITS, step_operations, step_workgroups};

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

/// What all dispatches of a window share.
struct Step {
    /// The arguments, with step 0.
    arguments: Arguments,
    /// The override constants.
    constants: [(&'static str, f64); 3],
    /// The workgroups of a dispatch. A layer of more than a dimension has does not fit a binding.
    groups: [u32; 3],
    operations: u64,
}

impl Step {
    fn new(
        gpu: &Gpu,
        reset: &Reset,
        activation: Activation,
        [batch, hidden_size, time_steps]: [usize; 3],
    ) -> Self {
        let workgroups = |columns| step_workgroups(batch, hidden_size, columns);
        let columns = columns(workgroups(WIDE), gpu.full_workgroups());
        let groups = workgroups(columns);
        let operations = step_operations(batch, 1, hidden_size);
        let [activation, initial] = constants(reset, activation);
        let [time_steps, batch, hidden_size] = [time_steps, batch, hidden_size].map(to_u32);
        Self {
            arguments: Arguments {
                step: 0,
                time_steps,
                batch,
                hidden_size,
                tokens_offset: reset.tokens().1,
                initial: reset.initial,
                carried_offset: 0,
                previous_offset: 0,
                advance: 0,
            },
            constants: [activation, initial, ("COLUMNS", columns as f64)],
            groups,
            operations,
        }
    }

    /// The constants and `last`.
    fn constants_and(&self, last: (&'static str, f64)) -> [(&'static str, f64); 4] {
        let [activation, reset, columns] = self.constants;
        [activation, reset, columns, last]
    }
}

/// Units of a workgroup where there are many workgroups.
const WIDE: usize = 2 * STEP_UNITS;

/// The units of a workgroup. On an H200 [`WIDE`] makes a step 1.2 times as fast with 256 workgroups
/// of that size, and 0.86 times with 64.
fn columns([x, y, _]: [u32; 3], full: usize) -> usize {
    if x as usize * y as usize >= full {
        WIDE
    } else {
        STEP_UNITS
    }
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
    let step = Step::new(gpu, reset, activation, kernel.sizes());
    let slot = carried.states[0].len();
    let carried_arguments = carried.arguments(schedule, [states]);
    let arguments = Arguments {
        carried_offset: carried_arguments.offset,
        advance: carried_arguments.advance,
        ..step.arguments
    };
    let [slots, weight, previous] = [&states, &weight, &reset.previous].map(Binding::whole);
    let bindings = [slots, weight, reset.tokens().0, previous];
    for t in 0..arguments.time_steps {
        gpu.launch_work(
            &FORWARD,
            &step.constants,
            &bindings,
            &Arguments {
                step: t,
                previous_offset: carried_arguments.previous_offset(t, slot),
                ..arguments
            },
            step.groups,
            step.operations,
        );
    }
    if carried_arguments.is_stored_last {
        gpu.launch(
            &FORWARD,
            &step.constants_and(("STORE", 1.0)),
            &bindings,
            &Arguments {
                advance: 1,
                ..arguments
            },
            step.groups,
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
    let step = Step::new(gpu, reset, *activation, kernel.sizes());
    let [states, weight, gradient, initial_gradient] =
        [states, weight, gradient, initial_gradient].map(Binding::whole);
    let bindings = [states, weight, reset.tokens().0, gradient, initial_gradient];
    let mut launch = |t: u32, initial: f64| {
        gpu.launch_work(
            &BACKWARD,
            &step.constants_and(("INITIAL", initial)),
            &bindings,
            &Arguments {
                step: t,
                ..step.arguments
            },
            step.groups,
            step.operations,
        );
    };
    (0..step.arguments.time_steps)
        .rev()
        .for_each(|t| launch(t, 0.0));
    launch(0, 1.0);
}
