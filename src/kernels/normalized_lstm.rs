//! A step of an LSTM with layer normalization.

pub(super) mod cases;
mod cpu;

use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::Tensor;

/// What both kernels of a step read.
#[derive(Debug, Clone, Copy)]
pub struct NormalizedStep {
    /// t.
    pub step: usize,
    /// `[T*B, 4H]`, updated in place.
    pub gates: Tensor,
    /// `[T*B, H]`, updated in place.
    pub cells: Tensor,
    /// `[(T+1)*B, H]`: slot t has c(t-1).
    pub previous_cells: Tensor,
    /// `[1, H]`.
    pub gain: Tensor,
    /// `[1, H]`, if there is one.
    pub bias: Option<Tensor>,
    /// Whether at most 1 - f of g is written to c.
    pub capped: bool,
}

/// For every stream at one step (Ba 2016), from pre-activations z(t) with the normalized product of
/// the states:
///
/// ```text
/// (i, f, g, o) = z(t)                     then sigmoid for i, f and o, tanh for g
/// c(t) = f c(t-1) + i g                   h(t) = o tanh(LN(c(t)))
/// LN(c) = gain (c - mean(c)) / √(var(c) + ε) + bias
/// ```
///
/// With `capped`, `min(1 - f, i)` takes the place of i in c(t).
#[derive(Debug, Clone, Copy)]
pub struct NormalizedLstmForward {
    /// `gates`: z(t), overwritten with the gate activations i, f, g and o. `cells` receives c(t),
    /// and so does slot t+1 of `previous_cells`.
    pub step: NormalizedStep,
    /// `[T*B, H]`: receives h(t).
    pub states: Tensor,
    /// `[(T+1)*B, H]`: slot t+1 receives h(t).
    pub previous_states: Tensor,
}

/// The gradient of [`NormalizedLstmForward`], where dx is the gradient of the loss with respect to
/// x, m is LN(c) and ĉ the normalized c:
///
/// ```text
/// dm = dh o (1 - tanh²(m))                d = gain dm
/// dc(t) += (d - mean(d) - ĉ mean(d ĉ)) / √(var(c) + ε)
/// dz(t) = (dc g i (1 - i),  dc c(t-1) f (1 - f),  dc i (1 - g²),  dh tanh(m) o (1 - o))
/// dc(t-1) = dc f
/// ```
///
/// The gain's gradient is the sum of ĉ dm over the rows, the bias's that of dm. With `capped` as
/// in [`LstmBackward`](super::LstmBackward).
#[derive(Debug, Clone, Copy)]
pub struct NormalizedLstmBackward {
    /// `gates`: the gate activations, overwritten with the gradient of z(t). `cells`: c(t),
    /// overwritten with ĉ dm.
    pub step: NormalizedStep,
    /// `[T*B, H]`: the gradient of h(t) from the layer above, overwritten with dm.
    pub gradient: Tensor,
    /// `[2*B, H]`: the gradients that flow to h(t) and c(t) from the next step; the second is
    /// overwritten with that of c(t-1).
    pub carried_gradient: Tensor,
}

/// Number of gates.
const GATES: usize = 4;

arguments! { step: u32, batch: u32, hidden_size: u32 }

pub(super) static FORWARD: Shader = Shader {
    stem: "normalized_lstm",
    source: concat!(
        include_str!("../../shaders/normalized_lstm.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("previous_cells", Access::Write),
        ("gain", Access::Read),
        ("bias", Access::Read),
        ("states", Access::Write),
        ("previous_states", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("previous_cells", Access::Write),
        ("gain", Access::Read),
        ("bias", Access::Read),
        ("gradient", Access::Write),
        ("carried_gradient", Access::Write),
    ],
    ..FORWARD
};

/// Accesses to memory per unit, for the estimate of a dispatch's time.
const ACCESSES: u64 = 20;

impl NormalizedStep {
    /// B and H.
    fn sizes(&self) -> [usize; 2] {
        let rows = self.cells.rows();
        [self.previous_cells.rows() - rows, self.cells.columns()]
    }

    /// Runs a shader with its bindings after the bias.
    fn launch(&self, gpu: &mut Gpu, shader: &'static Shader, after: [&Tensor; 2]) {
        let [batch, size] = self.sizes();
        let tensors = [&self.gates, &self.cells, &self.previous_cells, &self.gain];
        let [gates, cells, previous_cells, gain] = tensors.map(Binding::whole);
        let [fifth, sixth] = after.map(Binding::whole);
        // Without a bias the binding is not read.
        let bias = self.bias.as_ref().map_or(gain, Binding::whole);
        let constant = |is_on: bool| f64::from(u8::from(is_on));
        gpu.launch_work(
            shader,
            &[
                ("CAPPED", constant(self.capped)),
                ("BIAS", constant(self.bias.is_some())),
            ],
            &[gates, cells, previous_cells, gain, bias, fifth, sixth],
            &Arguments {
                step: to_u32(self.step),
                batch: to_u32(batch),
                hidden_size: to_u32(size),
            },
            workgroups(batch, 1),
            ACCESSES * (batch * size) as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}

impl Kernel for NormalizedLstmForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::forward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let after = [&self.states, &self.previous_states];
        self.step.launch(gpu, &FORWARD, after);
    }
}

impl Kernel for NormalizedLstmBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        cpu::backward(self, cpu);
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let after = [&self.gradient, &self.carried_gradient];
        self.step.launch(gpu, &BACKWARD, after);
    }
}
