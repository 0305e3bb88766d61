//! Forward over a window and back through time (Werbos 1990), as the equations of
//! [`network`](super::network) say it.

use super::cells::{Arguments, Cell};
use super::kernels::{column_sums, sum};
use super::linear::{add, add_to, linear, linear_backward, multiply, multiply_step};
use super::mogrifier::Rounds;
use super::network::{Named, Network, Outcome, Window};
use super::penalties;
use super::qrnn;

/// The inputs and outputs of one layer at one step.
#[derive(Debug, Clone)]
pub struct LayerStep {
    /// x_k(t), `[B, in]`.
    pub input: Vec<f64>,
    /// The states of step t-1 as seen by the layer, `[B, H_k]` each: the initial states where a
    /// stream was reset.
    pub previous: Vec<Vec<f64>>,
    /// The rounds of a mogrifier.
    pub rounds: Option<Rounds>,
    /// The arguments of the gates.
    pub arguments: Arguments,
    /// The states of step t, `[B, H_k]` each: h_k(t), and c_k(t) of an LSTM; c_k(t) of simple
    /// recurrent units.
    pub states: Vec<Vec<f64>>,
    /// What the layer passes on: h_k(t), plus x_k(t) with a residual connection.
    pub output: Vec<f64>,
}

impl LayerStep {
    /// What W_ih multiplies.
    fn read_input(&self) -> &[f64] {
        self.rounds
            .as_ref()
            .map_or(&self.input, |rounds| &rounds.last()[0])
    }

    /// What W_hh multiplies.
    fn read_state(&self) -> &[f64] {
        self.rounds
            .as_ref()
            .map_or(&self.previous[0], |rounds| &rounds.last()[1])
    }
}

/// The inputs and outputs of a network at one step.
#[derive(Debug, Clone)]
pub struct Step {
    /// L layers.
    pub layers: Vec<LayerStep>,
    /// The output of the last layer, `[B, H_last]`.
    pub layer_output: Vec<f64>,
    /// The input of the output layer, `[B, D]` or `[B, H_last]`.
    pub decoder_input: Vec<f64>,
}

/// The result of the forward pass over a window.
#[derive(Debug, Clone)]
pub struct Forward {
    /// T steps.
    pub steps: Vec<Step>,
    /// `[T, B]`: ln of the target's probability, 0 where there is no target.
    pub log_probabilities: Vec<f64>,
    /// As in [`Outcome`].
    pub loss: f64,
    /// `scale` times the penalties of the last layer's states and of predictions.
    pub penalty: f64,
}

impl Network {
    /// Forward over a window.
    ///
    /// # Panics
    /// If the window, its masks, the states or the parameters are not of the sizes they say.
    pub fn forward(&self, window: &Window, initial_states: &[Vec<f64>], scale: f64) -> Forward {
        self.check(window, initial_states);
        let a = &self.architecture;
        if let Some(options) = a.feed_forward {
            let (steps, log_probabilities) = self.forward_contexts(window, initial_states, options);
            let loss = -scale * sum(&log_probabilities);
            return Forward {
                penalty: scale * self.past_penalty(window, &steps),
                steps,
                log_probabilities,
                loss,
            };
        }
        let kept = a.cell.states();
        // The states before those of the layers.
        let inputs = usize::from(a.reads_previous_input());
        let recurrent: Vec<_> = (0..a.num_layers())
            .map(|k| self.recurrent_weight(window, k))
            .collect();
        let mut steps: Vec<Step> = Vec::new();
        let mut log_probabilities = Vec::new();
        for t in 0..window.time_steps {
            let mut input = self.embed(window, t);
            if a.reads_previous_input() {
                let carried = match steps.last() {
                    Some(step) => qrnn::current(window, &step.layers[0].input),
                    None => initial_states[0].clone(),
                };
                input = qrnn::with_previous(window, t, &input, &carried);
            }
            let mut layers = Vec::new();
            for k in 0..a.num_layers() {
                let carried = if t == 0 {
                    &initial_states[inputs + k * kept..][..kept]
                } else {
                    &steps[t - 1].layers[k].states
                };
                let previous = states_read(window, t, carried);
                let weight_ih = &self.input_weight(window, k);
                let before = [input.clone(), previous[0].clone()];
                let rounds = (a.rounds() > 0).then(|| self.rounds_forward(k, before.clone()));
                let [read_input, read_state] = rounds.as_ref().map_or(&before, Rounds::last);
                let arguments = Arguments {
                    from_input: match a.layer_norm {
                        true => {
                            let product = linear(read_input, a.input_size(k), weight_ih, None);
                            self.normalized_product(k, "ih", &product)
                        }
                        false => linear(
                            read_input,
                            a.input_size(k),
                            weight_ih,
                            self.bias(&a.input_bias(k)),
                        ),
                    },
                    from_state: match &recurrent[k] {
                        None => Vec::new(),
                        Some(weight) if a.layer_norm => {
                            let product = linear(&previous[0], a.layer_size(k), weight, None);
                            self.normalized_product(k, "hh", &product)
                        }
                        Some(weight) => linear(
                            read_state,
                            a.layer_size(k),
                            weight,
                            self.bias(&format!("rnn.bias_hh_l{k}")),
                        ),
                    },
                };
                let (z, c) = (&arguments.from_input, &previous[0]);
                let (mut output, states) = match a.cell {
                    Cell::Sru => {
                        let [h, c] = self.sru_forward(k, z, &input, c);
                        (h, vec![c])
                    }
                    Cell::Qrnn => {
                        let [h, c] = self.qrnn_forward(window, (t, k), z, c);
                        (h, vec![c])
                    }
                    Cell::Lstm if a.layer_norm => {
                        let states = self.normalized_lstm_forward(k, &arguments, &previous);
                        (states[0].clone(), states)
                    }
                    Cell::Elman | Cell::Gru | Cell::Lstm | Cell::Mogrifier => {
                        let states = a.layer(k).forward(&arguments, &previous);
                        (states[0].clone(), states)
                    }
                };
                if a.has_residual(k) {
                    add(&mut output, &self.residual_input(window, k, &input));
                }
                let mut masked = output.clone();
                multiply_step(&mut masked, window.masks.output(k), t);
                layers.push(LayerStep {
                    input,
                    previous,
                    rounds,
                    arguments,
                    states,
                    output,
                });
                input = masked;
            }
            steps.push(self.read_out(window, t, layers, input, &mut log_probabilities));
        }
        let loss = -scale * sum(&log_probabilities);
        Forward {
            penalty: scale
                * (penalties::penalty(window, &steps) + self.past_penalty(window, &steps)),
            steps,
            log_probabilities,
            loss,
        }
    }

    /// The end of step t, from the output of its layers: what the output layer reads, and the
    /// targets' log-probabilities.
    pub(super) fn read_out(
        &self,
        window: &Window,
        t: usize,
        layers: Vec<LayerStep>,
        layer_output: Vec<f64>,
        log_probabilities: &mut Vec<f64>,
    ) -> Step {
        let a = &self.architecture;
        let decoder_input = match self.between() {
            Some(weight) => linear(&layer_output, a.output_size(), self.parameter(weight), None),
            None => layer_output.clone(),
        };
        let decoder_input = match a.compression_size {
            0 => decoder_input,
            _ => decoder_input
                .into_iter()
                .map(|z| self.compression().value(z))
                .collect(),
        };
        for (b, row) in decoder_input
            .chunks_exact(a.decoder_input_size())
            .enumerate()
        {
            let target = window.targets[t * window.batch + b];
            let history = window.history(t, b, self.history_size());
            let row = self.output_row(window, [t, b], row, &history);
            log_probabilities.push(self.log_probability(target, &row));
        }
        Step {
            layers,
            layer_output,
            decoder_input,
        }
    }

    /// Forward over a window and back through time.
    ///
    /// `initial_states` is `[B, H_k]` for each of
    /// [`Architecture::state_sizes`](super::network::Architecture::state_sizes). The gradient is
    /// that of `scale` times the sum over the window's predicted tokens and of `scale` times its
    /// penalty, cut at the window's edge.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn run(&self, window: &Window, initial_states: &[Vec<f64>], scale: f64) -> Outcome {
        let a = &self.architecture;
        if let Some(options) = a.feed_forward {
            return self.run_contexts(window, initial_states, scale, options);
        }
        let kept = a.cell.states();
        let Forward {
            steps,
            log_probabilities,
            loss,
            ..
        } = self.forward(window, initial_states, scale);
        let recurrent: Vec<_> = (0..a.num_layers())
            .map(|k| self.recurrent_weight(window, k))
            .collect();
        let mut gradients = self.zero_gradients();
        // The gradients that reach the states of step t from step t+1; zero beyond the window.
        let inputs = usize::from(a.reads_previous_input());
        let mut from_future: Vec<Vec<f64>> = initial_states[inputs..]
            .iter()
            .map(|state| vec![0.0; state.len()])
            .collect();

        let mut to_previous_input = Vec::new();
        for (t, step) in steps.iter().enumerate().rev() {
            let mut from_above = self.output_backward(window, t, step, scale, &mut gradients);
            for (k, layer) in step.layers.iter().enumerate().rev() {
                multiply_step(&mut from_above, window.masks.output(k), t);
                if k + 1 == a.num_layers() {
                    let mut to_states = penalties::gradient(window, &steps, t);
                    to_states.iter_mut().for_each(|d| *d *= scale);
                    add(&mut from_above, &to_states);
                }
                let past_the_layer = a.has_residual(k).then(|| from_above.clone());
                let reached = &mut from_future[k * kept..][..kept];
                let (from_input, mut to_past, to_input) = match &recurrent[k] {
                    None if a.cell == Cell::Qrnn => {
                        let to_states = [&from_above[..], &reached[0]];
                        let (from_input, previous) =
                            self.qrnn_backward(window, (t, k), layer, to_states);
                        (from_input, vec![previous], None)
                    }
                    None => {
                        let to_states = [&from_above[..], &reached[0]];
                        let back = self.sru_backward(k, layer, to_states, &mut gradients);
                        (back.from_input, vec![back.previous], Some(back.input))
                    }
                    Some(weight) => {
                        add(&mut reached[0], &from_above);
                        let (from_input, to_past) = self.recurrent_backward(
                            window,
                            k,
                            layer,
                            weight,
                            reached,
                            &mut gradients,
                        );
                        (from_input, to_past, None)
                    }
                };
                let weight_ih = format!("rnn.weight_ih_l{k}");
                self.add_bias_gradient(&mut gradients, &a.input_bias(k), &from_input);
                let read = (layer.read_input(), &self.input_weight(window, k)[..]);
                let from_input = self.product_gradient(k, "ih", read, from_input, &mut gradients);
                let mut input_part = linear_backward(&from_input, read.0, a.input_size(k), read.1);
                if !a.cell.has_recurrent_weight() {
                    multiply(&mut input_part.weight, window.masks.weight(k));
                }
                add_to(&mut gradients, &weight_ih, &input_part.weight);
                if let Some(to_input) = to_input {
                    add(&mut input_part.input, &to_input);
                }
                from_above = input_part.input;
                if let Some(rounds) = &layer.rounds {
                    let after = [from_above, std::mem::take(&mut to_past[0])];
                    [from_above, to_past[0]] =
                        self.rounds_backward(k, rounds, after, &mut gradients);
                }
                for state in &mut to_past {
                    for b in (0..window.batch).filter(|&b| window.reset_state(t, b).is_some()) {
                        state[b * a.layer_size(k)..][..a.layer_size(k)].fill(0.0);
                    }
                }
                reached.clone_from_slice(&to_past);
                if k == 0 && a.reads_previous_input() {
                    let to_input = &mut to_previous_input;
                    from_above = qrnn::with_previous_backward(window, t, &from_above, to_input);
                }
                if let Some(gradient) = past_the_layer {
                    add(&mut from_above, &gradient);
                }
            }
            self.embed_backward(window, t, from_above, &mut gradients);
        }
        let last_states = |step: &Step| {
            let input = a.reads_previous_input();
            let input = input.then(|| qrnn::current(window, &step.layers[0].input));
            let states = step.layers.iter().flat_map(|layer| layer.states.clone());
            input.into_iter().chain(states).collect()
        };
        let final_states = steps
            .last()
            .map_or_else(|| initial_states.to_vec(), last_states);
        Outcome {
            log_probabilities,
            loss,
            final_states,
            gradients,
            initial_state_gradients: from_future,
            smallest_deviation: self.smallest_deviation(window, &steps),
        }
    }

    /// Back through a step of layer k with a recurrent weight, from the gradients of its states:
    /// the gradients of the gates' arguments from the input, and of the states before the step.
    fn recurrent_backward(
        &self,
        window: &Window,
        k: usize,
        layer: &LayerStep,
        weight: &[f64],
        reached: &[Vec<f64>],
        gradients: &mut Named,
    ) -> (Vec<f64>, Vec<Vec<f64>>) {
        let a = &self.architecture;
        let (arguments, mut to_past) = match a.layer_norm {
            true => self.normalized_lstm_backward(k, layer, reached, gradients),
            false => a
                .layer(k)
                .backward(&layer.arguments, &layer.previous, reached),
        };
        let read = (layer.read_state(), weight);
        let from_state = arguments.from_state.clone();
        let from_state = self.product_gradient(k, "hh", read, from_state, gradients);
        let mut state_part = linear_backward(&from_state, read.0, a.layer_size(k), weight);
        multiply(&mut state_part.weight, window.masks.weight(k));
        add_to(
            gradients,
            &format!("rnn.weight_hh_l{k}"),
            &state_part.weight,
        );
        self.add_bias_gradient(
            gradients,
            &format!("rnn.bias_hh_l{k}"),
            &arguments.from_state,
        );
        add(&mut to_past[0], &state_part.input);
        (arguments.from_input, to_past)
    }

    /// From the gradient of the gates' arguments, without a bias, to that of the product of an
    /// input and a weight from which they were computed.
    fn product_gradient(
        &self,
        k: usize,
        part: &str,
        (input, weight): (&[f64], &[f64]),
        gradient: Vec<f64>,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let a = &self.architecture;
        if !a.layer_norm {
            return gradient;
        }
        let product = linear(input, weight.len() / a.gates_size(k), weight, None);
        let gain = format!("rnn.gain_{part}_l{k}");
        self.normalized_backward(&product, &gain, &gradient, gradients)
    }

    /// What layer k with a residual connection adds to its output, given what its units read.
    fn residual_input(&self, window: &Window, k: usize, input: &[f64]) -> Vec<f64> {
        match k == 0 && self.architecture.reads_previous_input() {
            true => qrnn::current(window, input),
            false => input.to_vec(),
        }
    }

    /// A gradient of 0 for every parameter.
    pub(super) fn zero_gradients(&self) -> Named {
        let parameters = self.parameters.iter();
        parameters
            .map(|(name, values)| (name.clone(), vec![0.0; values.len()]))
            .collect()
    }

    /// ln P of every word after every step of a forward pass, `[T, B, V]`.
    pub fn log_distributions(&self, window: &Window, forward: &Forward) -> Vec<f64> {
        let size = self.architecture.decoder_input_size();
        let rows = forward.steps.iter().enumerate().flat_map(|(t, step)| {
            step.decoder_input
                .chunks_exact(size)
                .enumerate()
                .map(move |(b, row)| ([t, b], row))
        });
        rows.flat_map(|([t, b], row)| {
            let history = window.history(t, b, self.history_size());
            self.log_distribution(&self.output_row(window, [t, b], row, &history))
        })
        .collect()
    }

    /// W_hh of layer k with the window's mask, if the cell has one.
    pub(super) fn recurrent_weight(&self, window: &Window, k: usize) -> Option<Vec<f64>> {
        if !self.architecture.cell.has_recurrent_weight() {
            return None;
        }
        let mut weight = self.parameter(&format!("rnn.weight_hh_l{k}")).to_vec();
        multiply(&mut weight, window.masks.weight(k));
        Some(weight)
    }

    /// W_ih of layer k; without W_hh, with the window's mask.
    pub(super) fn input_weight(&self, window: &Window, k: usize) -> Vec<f64> {
        let mut weight = self.parameter(&format!("rnn.weight_ih_l{k}")).to_vec();
        if !self.architecture.cell.has_recurrent_weight() {
            multiply(&mut weight, window.masks.weight(k));
        }
        weight
    }

    /// The parameter called `name`.
    pub(super) fn parameter(&self, name: &str) -> &[f64] {
        self.parameters
            .get(name)
            .unwrap_or_else(|| panic!("no parameter {name} in {:?}", self.architecture))
    }

    /// The bias called `name`, if the network has it.
    pub(super) fn bias(&self, name: &str) -> Option<&[f64]> {
        self.parameters.get(name).map(Vec::as_slice)
    }

    /// Adds to the gradient of the bias called `name`, if the network has it, given that of the
    /// rows it was added to.
    fn add_bias_gradient(&self, gradients: &mut Named, name: &str, rows: &[f64]) {
        if let Some(bias) = self.bias(name) {
            add_to(gradients, name, &column_sums(rows, bias.len()));
        }
    }

    /// Demands that everything has the declared size.
    fn check(&self, window: &Window, initial_states: &[Vec<f64>]) {
        let a = &self.architecture;
        let (time_steps, batch) = (window.time_steps, window.batch);
        assert_eq!(
            (window.inputs.len(), window.targets.len()),
            (time_steps * batch, time_steps * batch),
            "tokens of the window"
        );
        window.masks.check(a, time_steps, batch);
        let states: Vec<usize> = a
            .state_sizes()
            .into_iter()
            .map(|size| batch * size)
            .collect();
        assert_eq!(
            initial_states.iter().map(Vec::len).collect::<Vec<_>>(),
            states,
            "states of {batch} streams"
        );
        let shapes = a.shapes();
        assert_eq!(
            self.parameters.len(),
            shapes.len(),
            "parameters {:?} of {a:?}",
            self.parameters.keys()
        );
        for (name, shape) in shapes {
            assert_eq!(
                self.parameter(&name).len(),
                shape.iter().product::<usize>(),
                "{name} of {a:?}"
            );
        }
    }
}

/// The states that step t reads in place of the carried ones, `[B, H]` each.
fn states_read(window: &Window, t: usize, carried: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut states = carried.to_vec();
    for state in &mut states {
        let size = state.len() / window.batch;
        for (b, row) in state.chunks_exact_mut(size).enumerate() {
            if let Some(fresh) = window.reset_state(t, b) {
                row.fill(fresh);
            }
        }
    }
    states
}
