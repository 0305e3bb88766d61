//! The dispatches of the recurrent kernels with several gates, LSTM and GRU, on a GPU: those of a
//! whole window, or of single steps. Their shaders have the same arguments and entry points, and
//! `shaders/gated_states.wgsl` in common.

use super::{
    CarriedArguments, FusedDispatch, RecurrentSchedule, Reset, STEP_UNITS, fused_dispatches,
    product_constants, step_operations, step_workgroups,
};
use crate::device::{
    Argument, Arguments as _, Binding, Gpu, Kernel as _, Shader, arguments, to_u32, workgroups,
};
use crate::kernels::transpose::Transpose;
use crate::tensor::Tensor;

/// Units of a workgroup in a dispatch for one forward step.
const FORWARD_UNITS: usize = 4;

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

impl Arguments {
    /// The fields, for the shaders.
    pub(in crate::kernels) const LAYOUT: &'static [Argument] = Self::FIELDS;

    /// Those of a dispatch for the steps `first_step..end_step`. Sizes are B, H and T.
    pub(in crate::kernels) fn new(
        reset: &Reset,
        sizes: [usize; 3],
        [first_step, end_step]: [u32; 2],
    ) -> Self {
        let [batch, hidden_size, time_steps] = sizes.map(to_u32);
        Self {
            time_steps,
            first_step,
            end_step,
            batch,
            hidden_size,
            tokens_offset: reset.tokens().1,
            initial: reset.initial,
            carried_offset: 0,
            previous_offset: 0,
            advance: 0,
        }
    }

    /// Those of a forward dispatch.
    pub(in crate::kernels) fn with_carried(self, carried: CarriedArguments) -> Self {
        let elements = self.batch as usize * self.hidden_size as usize;
        Self {
            carried_offset: carried.offset,
            previous_offset: carried.previous_offset(self.first_step, elements),
            advance: carried.advance,
            ..self
        }
    }
}

/// A window of a kernel with several gates.
pub(in crate::kernels) struct GatedWindow<'a> {
    /// The shader of a whole window.
    pub(in crate::kernels) fused: &'static Shader,
    /// The shader of a step.
    pub(in crate::kernels) step: &'static Shader,
    pub(in crate::kernels) schedule: RecurrentSchedule,
    /// Number of gates.
    pub(in crate::kernels) gates: usize,
    /// B, H and T.
    pub(in crate::kernels) sizes: [usize; 3],
    pub(in crate::kernels) reset: &'a Reset,
    /// The shader's constants for the cell.
    pub(in crate::kernels) constants: &'a [(&'static str, f64)],
    pub(in crate::kernels) bindings: &'a [Binding],
}

impl GatedWindow<'_> {
    /// Launches the forward pass. With the fused schedule, the shader's weight is transposed, see
    /// [`forward_weight`].
    pub(in crate::kernels) fn forward(&self, gpu: &mut Gpu, carried: CarriedArguments) {
        let [batch, size, time_steps] = self.sizes;
        let arguments = |steps| Arguments::new(self.reset, self.sizes, steps).with_carried(carried);
        if self.schedule == RecurrentSchedule::Fused {
            let constants = self.constants(&product_constants(gpu, size, self.gates * size));
            for dispatch in self.fused_dispatches(gpu) {
                let arguments = arguments(dispatch.steps);
                self.launch_fused(gpu, &constants, &arguments, dispatch.operations);
            }
            return;
        }
        let groups = step_workgroups(batch, size, FORWARD_UNITS);
        let constants = self.constants(&[]);
        for t in 0..to_u32(time_steps) {
            gpu.launch_work(
                self.step,
                &constants,
                self.bindings,
                &arguments([t, t + 1]),
                groups,
                step_operations(batch, self.gates, size),
            );
        }
        if carried.is_stored_last {
            let arguments = Arguments {
                advance: 1,
                ..arguments([0, 1])
            };
            let constants = self.constants(&[("STORE", 1.0)]);
            gpu.launch(self.step, &constants, self.bindings, &arguments, groups);
        }
    }

    /// Launches the backward pass.
    pub(in crate::kernels) fn backward(&self, gpu: &mut Gpu) {
        let [batch, size, time_steps] = self.sizes;
        let arguments = |steps| Arguments::new(self.reset, self.sizes, steps);
        if self.schedule == RecurrentSchedule::Fused {
            let constants = self.constants(&product_constants(gpu, self.gates * size, size));
            for dispatch in self.fused_dispatches(gpu).into_iter().rev() {
                let arguments = arguments(dispatch.steps);
                self.launch_fused(gpu, &constants, &arguments, dispatch.operations);
            }
            return;
        }
        let mut launch = |t: u32, constants: &[_]| {
            gpu.launch_work(
                self.step,
                constants,
                self.bindings,
                &arguments([t, t + 1]),
                step_workgroups(batch, size, STEP_UNITS),
                step_operations(batch, self.gates, size),
            );
        };
        let constants = self.constants(&[("INITIAL", 0.0)]);
        for t in (0..to_u32(time_steps)).rev() {
            launch(t, &constants);
        }
        launch(0, &self.constants(&[("INITIAL", 1.0)]));
    }

    /// The dispatches of a window, in the order of time.
    fn fused_dispatches(&self, gpu: &Gpu) -> Vec<FusedDispatch> {
        let size = self.sizes[1];
        // Of an invocation in a step: those of the product for each of its units, and those that
        // read or write gates.
        let iterations = size.div_ceil(256) * (size + 16) + 1;
        fused_dispatches(self.sizes, self.gates, iterations, gpu.max_operations())
    }

    fn launch_fused(
        &self,
        gpu: &mut Gpu,
        constants: &[(&'static str, f64)],
        arguments: &Arguments,
        operations: u64,
    ) {
        let groups = workgroups(self.sizes[0], 1);
        gpu.launch_work(
            self.fused,
            constants,
            self.bindings,
            arguments,
            groups,
            operations,
        );
    }

    /// The constants of a dispatch.
    fn constants(&self, others: &[(&'static str, f64)]) -> Vec<(&'static str, f64)> {
        [&[self.reset.constant()], self.constants, others].concat()
    }
}

/// The weight in the order in which the forward shaders of the schedule read it: for the fused one
/// a transposed copy, which this writes to `transposed`.
pub(in crate::kernels) fn forward_weight(
    gpu: &mut Gpu,
    schedule: RecurrentSchedule,
    weight: Tensor,
    transposed: Tensor,
) -> Tensor {
    if schedule == RecurrentSchedule::PerStep {
        return weight;
    }
    let copy = Transpose {
        input: weight,
        output: transposed,
    };
    copy.on_gpu(gpu);
    transposed
}

/// B, H and T, from the slots of the states and the gates of a window.
///
/// # Panics
/// If the shaders of the schedule have no room for the gates.
pub(in crate::kernels) fn gated_sizes(
    slots: &Tensor,
    gates: &Tensor,
    schedule: RecurrentSchedule,
) -> [usize; 3] {
    let batch = slots.rows() - gates.rows();
    let size = slots.columns();
    schedule.check_size(gates.columns() / size, size);
    [batch, size, gates.rows() / batch]
}
