//! What a run reports about some training steps.

/// The measurements of some steps.
pub(super) struct StepReport {
    /// Windows; some of them, or all, are updates.
    pub(super) windows: usize,
    /// Mean loss, in nats per token.
    pub(super) loss: f64,
    /// Norm of the last gradient.
    pub(super) gradient_norm: f64,
    pub(super) tokens_per_second: f64,
}
