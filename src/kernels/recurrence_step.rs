//! How a GPU walks the Elman recurrence step by step: the product with the recurrent weight and the cell in one dispatch, spread over the
//! whole GPU. [`Walk::Window`](super::Walk::Window) is the other way.

use super::recurrence::{RecurrenceBackward, RecurrenceForward, constants};
use super::walk::Reset;
use crate::device::{Access, Arguments as _, Binding, Gpu, Shader, arguments, index, workgroups};
use crate::tensor::Tensor;

arguments! { step: u32, time_steps: u32, batch: u32, hidden_size: u32, tokens_offset: u32, initial: f32 }

pub(super) static FORWARD: Shader = Shader {
    stem: "recurrence_step",
    source: include_str!("../../shaders/recurrence_step.wgsl"),
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
pub(super) static BEGIN: Shader = Shader { entry_point: "begin", ..FORWARD };
pub(super) static END: Shader = Shader { entry_point: "end", ..FORWARD };

/// Streams, and units, that a workgroup makes.
const TILE: usize = 32;

/// What all dispatches of a window share.
struct Window {
    bindings: [Binding; 5],
    constants: [(&'static str, f64); 2],
    arguments: Arguments,
}

impl Window {
    /// `carry`: `[B, H]`; `steps`: what is bound as such.
    fn new(walk: &Walked, carry: &Tensor, steps: &Tensor) -> Self {
        let (tokens, tokens_offset) = walk.reset.tokens();
        let (batch, hidden_size) = (carry.rows(), carry.columns());
        let [states, weight, carry, steps] = [&walk.states, &walk.weight, carry, steps].map(Binding::whole);
        Self {
            bindings: [states, weight, tokens, carry, steps],
            constants: walk.constants,
            arguments: Arguments {
                step: 0,
                time_steps: index(walk.states.rows() / batch - 1),
                batch: index(batch),
                hidden_size: index(hidden_size),
                tokens_offset,
                initial: walk.reset.initial,
            },
        }
    }

    /// One step's product and cell.
    fn step(&self, gpu: &mut Gpu, shader: &'static Shader, step: u32, before: bool) {
        let [activation, reset] = self.constants;
        let constants = [activation, reset, ("BEFORE", f64::from(u8::from(before)))];
        let used = if shader.entry_point == "backward" { &constants[..] } else { &constants[..2] };
        let Arguments { batch, hidden_size, .. } = self.arguments;
        let groups = [hidden_size.div_ceil(TILE as u32), batch.div_ceil(TILE as u32), 1];
        gpu.launch(shader, used, &self.bindings, &Arguments { step, ..self.arguments }, groups);
    }

    /// A copy of `[B, H]`.
    fn copy(&self, gpu: &mut Gpu, shader: &'static Shader) {
        let count = self.arguments.batch as usize * self.arguments.hidden_size as usize;
        gpu.launch(shader, &[], &self.bindings, &self.arguments, workgroups(count, 256));
    }
}

/// What the kernels of both directions have in common.
struct Walked {
    states: Tensor,
    weight: Tensor,
    reset: Reset,
    constants: [(&'static str, f64); 2],
}

pub(super) fn forward(kernel: &RecurrenceForward, gpu: &mut Gpu) {
    let RecurrenceForward { states, weight, reset, carry, activation, .. } = *kernel;
    let window = Window::new(&Walked { states, weight, reset, constants: constants(&reset, activation) }, &carry, &reset.previous);
    window.copy(gpu, &BEGIN);
    for step in 0..window.arguments.time_steps {
        window.step(gpu, &FORWARD, step, false);
    }
    window.copy(gpu, &END);
}

pub(super) fn backward(kernel: &RecurrenceBackward, gpu: &mut Gpu) {
    let RecurrenceBackward { states, weight, reset, gradient, initial_gradient, activation, .. } = *kernel;
    let window = Window::new(&Walked { states, weight, reset, constants: constants(&reset, activation) }, &initial_gradient, &gradient);
    for step in (0..window.arguments.time_steps).rev() {
        window.step(gpu, &BACKWARD, step, false);
    }
    window.step(gpu, &BACKWARD, 0, true);
}
