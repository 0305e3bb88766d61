//! The nodes of feed-forward networks.

use super::graph_builder::GraphBuilder;
use super::network::{FeedForwardLayer, PreparedNetwork};
use super::proto::{AttributeProto, FLOAT, INT64};

impl FeedForwardLayer<'_> {
    /// The size of the state between steps: N-1 words, at least 1.
    pub(super) fn state_size(&self) -> usize {
        (self.context - 1).max(1)
    }

    /// The last words before every prediction, `[T, N, context]`, of inputs `[T, N]` that start
    /// with the boundary. Before that, there are boundaries, which have id 0.
    pub(super) fn contexts_of_sentence(&self, graph: &mut GraphBuilder, inputs: &str) -> String {
        let before = self.context as i64 - 1;
        let zero = graph.integers("boundary", &[], &[0]);
        let pad = graph.integers("words_before", &[4], &[before, 0, 0, 0]);
        let padded = graph.node("text", "Pad", &[inputs, &pad, &zero], Vec::new());
        let shape = graph.node("text_shape", "Shape", &[&padded], Vec::new());
        let axis = graph.integers("time_axis", &[1], &[0]);
        let length = graph.node("text_length", "Gather", &[&shape, &axis], Vec::new());
        let last = graph.integers("word_axis", &[1], &[2]);
        let words: Vec<String> = (0..=before)
            .map(|back| {
                let of = |what| format!("{what}_{back}");
                let start = graph.integers(&of("start"), &[1], &[before - back]);
                let offset = graph.integers(&of("offset"), &[1], &[back]);
                let end = graph.node(&of("end"), "Sub", &[&length, &offset], Vec::new());
                let slice = [padded.as_str(), &start, &end, &axis];
                let word = graph.node(&of("slice"), "Slice", &slice, Vec::new());
                graph.node(&of("word"), "Unsqueeze", &[&word, &last], Vec::new())
            })
            .collect();
        concat(graph, "contexts", &words, 2)
    }

    /// The last words after a token `x [N, 1]`, `[N, context]`, from the words before it in `h0`,
    /// `[1, N, state size]`; adds `next_h0`.
    pub(super) fn contexts_of_step(&self, graph: &mut GraphBuilder, x: &str) -> String {
        if self.context == 1 {
            graph.node("next_h0", "Identity", &["h0"], Vec::new());
            return x.to_owned();
        }
        let layer = graph.integers("layer", &[1], &[0]);
        let numbers = graph.node("numbers", "Squeeze", &["h0", &layer], Vec::new());
        let cast = |graph: &mut GraphBuilder, name, value: &str, to: i32| {
            let to = AttributeProto::integer("to", i64::from(to));
            graph.node(name, "Cast", &[value], vec![to])
        };
        let before = cast(graph, "words_before", &numbers, INT64);
        let contexts = concat(graph, "contexts", &[x.to_owned(), before], 1);
        let start = graph.integers("first_word", &[1], &[0]);
        let end = graph.integers("last_word", &[1], &[self.context as i64 - 1]);
        let axis = graph.integers("word_axis", &[1], &[1]);
        let slice = [contexts.as_str(), &start, &end, &axis];
        let kept = graph.node("kept_words", "Slice", &slice, Vec::new());
        let numbers = cast(graph, "kept_numbers", &kept, FLOAT);
        graph.node("next_h0", "Unsqueeze", &[&numbers, &layer], Vec::new());
        contexts
    }

    /// What the hidden layer passes on, `[rows, width]`, from contexts of any shape.
    pub(super) fn hidden_units(
        &self,
        graph: &mut GraphBuilder,
        network: &PreparedNetwork<'_>,
        contexts: &str,
    ) -> String {
        let embedded = graph.embed(network, contexts);
        let rows = graph.integers("context_rows", &[2], &[-1, self.weight.columns as i64]);
        let input = graph.node("input", "Reshape", &[&embedded, &rows], Vec::new());
        let weight = graph.matrix("hidden.weight", &self.weight);
        let bias = self
            .bias
            .map(|bias| graph.floats("hidden.bias", &[bias.len()], bias));
        let sums = graph.gemm("sums", &[&input, &weight], bias.as_deref());
        let units = graph.node("units", "Tanh", &[&sums], Vec::new());
        match self.skip {
            true => concat(graph, "units_and_input", &[units, input], 1),
            false => units,
        }
    }
}

/// Adds values side by side.
fn concat(graph: &mut GraphBuilder, name: &str, values: &[String], axis: i64) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let axis = AttributeProto::integer("axis", axis);
    graph.node(name, "Concat", &values, vec![axis])
}
