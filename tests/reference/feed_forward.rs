//! The feed-forward network of Bengio 2003: forward over a window and back.
//!
//! For every stream of the batch and step t, with the last N words w(t) … w(t-N+1):
//!
//! ```text
//! x(t) = [E w(t), E w(t-1), … E w(t-N+1)]
//! h(t) = tanh(W_hidden x(t) + b_hidden)
//! y(t) = softmax(W_decoder h(t) + b_decoder)
//! y(t) = softmax(W_decoder [h(t), x(t)] + b_decoder)      with direct connections
//! ```
//!
//! The words before a window are carried from window to window. Their embeddings receive no
//! gradient from it, as in truncated back-propagation.

use super::cells::Arguments;
use super::contexts::{ContextWord, Contexts};
use super::kernels::{Activation, column_sums};
use super::linear::{add, add_to, apart, linear, linear_backward, multiply_step, side_by_side};
use super::network::{Architecture, FeedForward, Named, Network, Outcome, Window};
use super::passes::{Forward, LayerStep, Step};

impl Window {
    /// The contexts of a window, given the words before it, `[B, N-1]` as numbers.
    pub fn contexts<'a>(&'a self, options: FeedForward, states: &'a [Vec<f64>]) -> Contexts<'a> {
        Contexts {
            words: options.context,
            batch: self.batch,
            inputs: &self.inputs,
            carried: states.first().map_or(&[], Vec::as_slice),
            independent: self.independent.is_some(),
        }
    }
}

impl Architecture {
    /// The words that are embedded at each position of a window, from the words before it.
    pub fn embedded_words(&self, states: &[Vec<f64>], window: &Window) -> Vec<Option<usize>> {
        let Some(options) = self.feed_forward else {
            return window.inputs.clone();
        };
        let contexts = window.contexts(options, states);
        let words = (0..window.inputs.len()).flat_map(|row| contexts.at(row));
        words.map(|word| word.token).collect()
    }
}

/// The words of all contexts of a step, B times N.
fn words_at(contexts: &Contexts<'_>, t: usize) -> Vec<ContextWord> {
    let rows = t * contexts.batch..(t + 1) * contexts.batch;
    rows.flat_map(|row| contexts.at(row)).collect()
}

/// Multiplies the embedded words of step t, or their gradient, by their masks.
fn mask_words(values: &mut [f64], size: usize, window: &Window, t: usize) {
    multiply_step(values, window.masks.input.as_deref(), t);
    if let Some(masks) = &window.masks.words {
        let words = values.len() / size;
        let masks = &masks[t * words..][..words];
        for (word, mask) in values.chunks_exact_mut(size).zip(masks) {
            word.iter_mut().for_each(|value| *value *= mask);
        }
    }
}

impl Network {
    /// [`Network::forward`] of a feed-forward network.
    pub(super) fn forward_contexts(
        &self,
        window: &Window,
        states: &[Vec<f64>],
        options: FeedForward,
    ) -> (Vec<Step>, Vec<f64>) {
        let a = &self.architecture;
        let (size, embedding) = (a.embedding_size, self.parameter("embedding.weight"));
        let contexts = window.contexts(options, states);
        let (mut steps, mut log_probabilities) = (Vec::new(), Vec::new());
        for t in 0..window.time_steps {
            let mut input = Vec::new();
            for word in words_at(&contexts, t) {
                match word.token {
                    Some(token) => input.extend(&embedding[token * size..][..size]),
                    None => input.extend(vec![0.0; size]),
                }
            }
            mask_words(&mut input, size, window, t);
            let mut hidden = linear(
                &input,
                a.input_size(0),
                self.parameter("hidden.weight"),
                self.bias("hidden.bias"),
            );
            hidden
                .iter_mut()
                .for_each(|z| *z = Activation::Tanh.value(*z));
            let mut output = match options.skip {
                true => side_by_side(&hidden, &input, window.batch),
                false => hidden.clone(),
            };
            multiply_step(&mut output, window.masks.output(0), t);
            let layer = LayerStep {
                input,
                previous: Vec::new(),
                rounds: None,
                arguments: Arguments {
                    from_input: Vec::new(),
                    from_state: Vec::new(),
                },
                states: Vec::new(),
                output: hidden,
            };
            steps.push(self.read_out(window, t, vec![layer], output, &mut log_probabilities));
        }
        (steps, log_probabilities)
    }

    /// [`Network::run`] of a feed-forward network.
    pub(super) fn run_contexts(
        &self,
        window: &Window,
        states: &[Vec<f64>],
        scale: f64,
        options: FeedForward,
    ) -> Outcome {
        let Forward {
            steps,
            log_probabilities,
            loss,
            ..
        } = self.forward(window, states, scale);
        let contexts = window.contexts(options, states);
        let mut gradients = self.zero_gradients();
        for (t, step) in steps.iter().enumerate() {
            let from_above = self.output_backward(window, t, step, scale, &mut gradients);
            self.back_to_words(window, t, step, from_above, &contexts, &mut gradients);
        }
        let carried = |_: &Vec<f64>| contexts.carried_to(window.time_steps);
        Outcome {
            log_probabilities,
            loss,
            final_states: states.iter().map(carried).collect(),
            gradients,
            initial_state_gradients: Vec::new(),
            smallest_deviation: f64::INFINITY,
        }
    }

    /// Back through the hidden layer and the embeddings of step t.
    fn back_to_words(
        &self,
        window: &Window,
        t: usize,
        step: &Step,
        mut from_above: Vec<f64>,
        contexts: &Contexts<'_>,
        gradients: &mut Named,
    ) {
        let a = &self.architecture;
        let layer = &step.layers[0];
        multiply_step(&mut from_above, window.masks.output(0), t);
        let (mut to_hidden, skipped) = apart(&from_above, a.layer_size(0), window.batch);
        for (d, &h) in to_hidden.iter_mut().zip(&layer.output) {
            *d *= Activation::Tanh.derivative(h);
        }
        let weight = self.parameter("hidden.weight");
        let mut back = linear_backward(&to_hidden, &layer.input, a.input_size(0), weight);
        add_to(gradients, "hidden.weight", &back.weight);
        if self.bias("hidden.bias").is_some() {
            let sums = column_sums(&to_hidden, a.layer_size(0));
            add_to(gradients, "hidden.bias", &sums);
        }
        if !skipped.is_empty() {
            add(&mut back.input, &skipped);
        }
        mask_words(&mut back.input, a.embedding_size, window, t);
        let table = gradients.get_mut("embedding.weight").expect("an embedding");
        let words = words_at(contexts, t);
        for (word, values) in words.iter().zip(back.input.chunks_exact(a.embedding_size)) {
            if let (Some(token), Some(_)) = (word.token, word.position) {
                add(
                    &mut table[token * a.embedding_size..][..a.embedding_size],
                    values,
                );
            }
        }
    }
}
