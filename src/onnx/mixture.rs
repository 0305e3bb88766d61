//! The nodes of mixtures of softmaxes.

use super::graph_builder::GraphBuilder;
use super::parameters::{LATENT_BIAS, LATENT_WEIGHT, MixtureLayer, PRIOR_WEIGHT};
use super::proto::AttributeProto;

impl MixtureLayer<'_> {
    /// Adds the latents of hidden states `[rows, H]`, `[rows*K, D]`.
    pub(super) fn latents(&self, graph: &mut GraphBuilder, hidden: &str) -> String {
        let weight = graph.matrix(LATENT_WEIGHT, &self.latent);
        let bias = self
            .latent_bias
            .map(|bias| graph.floats(LATENT_BIAS, &[bias.len()], bias));
        let sums = graph.gemm("latent_sums", &[hidden, &weight], bias.as_deref());
        let side_by_side = graph.node("latents_side_by_side", "Tanh", &[&sums], Vec::new());
        let size = (self.latent.rows / self.prior.rows) as i64;
        let shape = graph.integers("latent_rows", &[2], &[-1, size]);
        graph.node("latents", "Reshape", &[&side_by_side, &shape], Vec::new())
    }

    /// Adds ln P of every type, `[rows, V]` and named `name`, from the hidden states and ln P under
    /// every softmax, `[rows*K, V]`.
    pub(super) fn mix(
        &self,
        graph: &mut GraphBuilder,
        hidden: &str,
        of_softmaxes: &str,
        vocab_size: usize,
        name: &str,
    ) -> String {
        let count = self.prior.rows as i64;
        let weight = graph.matrix(PRIOR_WEIGHT, &self.prior);
        let logits = graph.gemm("prior_logits", &[hidden, &weight], None);
        let log_prior = graph.log_softmax("log_prior", &logits);
        let shape = graph.integers("prior_shape", &[3], &[-1, count, 1]);
        let log_prior = graph.node(
            "log_prior_columns",
            "Reshape",
            &[&log_prior, &shape],
            Vec::new(),
        );
        let shape = graph.integers("mixture_shape", &[3], &[-1, count, vocab_size as i64]);
        let by_state = graph.node(
            "log_softmax_by_state",
            "Reshape",
            &[of_softmaxes, &shape],
            Vec::new(),
        );
        let joint = graph.node("joint", "Add", &[&by_state, &log_prior], Vec::new());
        // Relative to the largest term: probabilities may be below the smallest number.
        let largest = graph.node(
            "largest",
            "ReduceMax",
            &[&joint],
            vec![AttributeProto::integers("axes", &[1])],
        );
        let relative = graph.node("relative", "Sub", &[&joint, &largest], Vec::new());
        let shares = graph.node("shares", "Exp", &[&relative], Vec::new());
        let axis = graph.integers("softmax_axis", &[1], &[1]);
        let sum = graph.node("sum_of_shares", "ReduceSum", &[&shares, &axis], Vec::new());
        let log_sum = graph.node("log_sum", "Log", &[&sum], Vec::new());
        let total = graph.node("log_mixture", "Add", &[&log_sum, &largest], Vec::new());
        graph.node(name, "Squeeze", &[&total, &axis], Vec::new())
    }
}
