//! The simple (Elman) network of Mikolov 2010 with PyTorch's options, forward over a window and back through time (Werbos 1990).
//!
//! For every stream of the batch, layer k of L and step t, with x_0(t) the word's one-hot vector w(t) or its embedding E w(t):
//!
//! ```text
//! z_k(t) = W_ih,k x_k(t) + b_ih,k + W_hh,k s_k(t-1) + b_hh,k
//! s_k(t) = f(z_k(t))                x_{k+1}(t) = s_k(t)
//! y(t)   = softmax(W_decoder s_{L-1}(t) + b_decoder)
//! loss   = -scale Σ_t ln y(t)[target(t)]
//! ```

use std::collections::BTreeMap;

use super::generator::Generator;
use super::kernels::{Activation, Matmul, add_bias, column_sums, one_hot, softmax_cross_entropy, sum};

/// Numbers by PyTorch's name of the parameter they belong to, row-major.
pub type Named = BTreeMap<String, Vec<f64>>;

/// The sizes and options of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// V, words of the vocabulary.
    pub vocab_size: usize,
    /// D, size of the embedding; 0: the first layer reads one-hot vectors.
    pub embedding_size: usize,
    /// H, units of a layer.
    pub hidden_size: usize,
    /// L, hidden layers.
    pub num_layers: usize,
    /// f.
    pub activation: Activation,
    /// Whether each layer has PyTorch's two biases.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
}

impl Architecture {
    /// Size of the input of layer k: V or D for the first, H for the others.
    pub fn input_size(&self, k: usize) -> usize {
        match (k, self.embedding_size) {
            (0, 0) => self.vocab_size,
            (0, embedding_size) => embedding_size,
            _ => self.hidden_size,
        }
    }

    /// Name and shape of every parameter, in the order of the file.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (v, d, h) = (self.vocab_size, self.embedding_size, self.hidden_size);
        let mut shapes = Vec::new();
        if d > 0 {
            shapes.push(("embedding.weight".to_string(), vec![v, d]));
        }
        for k in 0..self.num_layers {
            shapes.push((format!("rnn.weight_ih_l{k}"), vec![h, self.input_size(k)]));
            shapes.push((format!("rnn.weight_hh_l{k}"), vec![h, h]));
            if self.bias {
                shapes.push((format!("rnn.bias_ih_l{k}"), vec![h]));
                shapes.push((format!("rnn.bias_hh_l{k}"), vec![h]));
            }
        }
        shapes.push(("decoder.weight".to_string(), vec![v, h]));
        if self.decoder_bias {
            shapes.push(("decoder.bias".to_string(), vec![v]));
        }
        shapes
    }
}

/// A network: its architecture and its parameters.
#[derive(Debug, Clone)]
pub struct Network {
    /// Sizes and options.
    pub architecture: Architecture,
    /// Every parameter of [`Architecture::shapes`].
    pub parameters: Named,
}

/// T steps of B streams.
#[derive(Debug, Clone)]
pub struct Window {
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// `[T, B]`, time first. None: no word, the input is the zero vector.
    pub inputs: Vec<Option<usize>>,
    /// `[T, B]`, time first. None: nothing is predicted here; no loss and no gradient.
    pub targets: Vec<Option<usize>>,
    /// Where Some and the input is the boundary, `Some(0)`, the stream's previous state is replaced in every layer by this number in every
    /// unit, and no gradient flows past it.
    pub independent: Option<f64>,
}

/// What one window gives.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `[T, B]`: ln of the target's probability, 0 where there is no target.
    pub log_probabilities: Vec<f64>,
    /// `scale` times the sum of the targets' negative log-probabilities.
    pub loss: f64,
    /// `[B, H]` a layer: the state after the last step.
    pub final_states: Vec<Vec<f64>>,
    /// Gradient of the loss with respect to every parameter.
    pub gradients: Named,
    /// `[B, H]` a layer: gradient of the loss with respect to the state before the first step.
    pub initial_state_gradients: Vec<Vec<f64>>,
}

/// What one layer read and wrote at one step.
#[derive(Debug, Clone)]
pub struct Cell {
    /// x_k(t), `[B, in]`.
    pub input: Vec<f64>,
    /// s_k(t-1) as the layer saw it, `[B, H]`: where a stream began afresh, the fresh state.
    pub previous: Vec<f64>,
    /// s_k(t), `[B, H]`.
    pub state: Vec<f64>,
}

/// What going forward over a window gives.
#[derive(Debug, Clone)]
pub struct Forward {
    /// T steps of L layers.
    pub cells: Vec<Vec<Cell>>,
    /// T steps of `[B, V]`: the scores before the softmax.
    pub logits: Vec<Vec<f64>>,
    /// `[T, B]`: ln of the target's probability, 0 where there is no target.
    pub log_probabilities: Vec<f64>,
    /// As in [`Outcome`].
    pub loss: f64,
}

impl Window {
    /// The input tokens of step t, `[B]`.
    fn inputs_at(&self, t: usize) -> &[Option<usize>] {
        &self.inputs[t * self.batch..][..self.batch]
    }

    /// What stream b's previous state is replaced by at step t, if it is.
    fn fresh_state(&self, t: usize, b: usize) -> Option<f64> {
        self.independent.filter(|_| self.inputs_at(t)[b] == Some(0))
    }

    /// How many targets are predicted.
    pub fn predicted(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// A window of random tokens: about an eighth are missing and, so that streams begin afresh often, about a quarter are boundaries. The
    /// first target is never missing.
    pub fn random(seed: u64, time_steps: usize, batch: usize, vocab_size: usize, independent: Option<f64>) -> Self {
        let mut generator = Generator::new(seed);
        let mut token = || match generator.below(8) {
            0 => None,
            1 | 2 => Some(0),
            _ => Some(generator.below(vocab_size)),
        };
        let inputs = (0..time_steps * batch).map(|_| token()).collect();
        let mut targets: Vec<_> = (0..time_steps * batch).map(|_| token()).collect();
        targets[0] = targets[0].or(Some(vocab_size - 1));
        Self { time_steps, batch, inputs, targets, independent }
    }
}

impl Network {
    /// A network whose parameters are drawn from [-scale, scale), the same for the same seed; f32 holds each of them exactly.
    pub fn new(architecture: Architecture, seed: u64, scale: f64) -> Self {
        let mut generator = Generator::new(seed);
        let draw = |(name, shape): (String, Vec<usize>)| (name, generator.vector(shape.iter().product(), scale));
        Self { architecture, parameters: architecture.shapes().into_iter().map(draw).collect() }
    }

    /// States `[B, H]` a layer, drawn from [-scale, scale).
    pub fn random_states(&self, seed: u64, batch: usize, scale: f64) -> Vec<Vec<f64>> {
        let mut generator = Generator::new(seed);
        let Architecture { hidden_size, num_layers, .. } = self.architecture;
        (0..num_layers).map(|_| generator.vector(batch * hidden_size, scale)).collect()
    }

    /// The parameter called `name`.
    fn parameter(&self, name: &str) -> &[f64] {
        self.parameters.get(name).unwrap_or_else(|| panic!("no parameter {name} in {:?}", self.architecture))
    }

    /// `input Wᵀ`, plus a bias where there is one: PyTorch's nn.Linear. input is `[rows, in]`, the weight `[out, in]`.
    fn linear(&self, input: &[f64], sizes: (usize, usize), weight: &str, bias: Option<&str>) -> Vec<f64> {
        let (k, n) = sizes;
        let product = Matmul { m: input.len() / k, n, k, transpose_left: false, transpose_right: true };
        let mut output = product.product(input, self.parameter(weight));
        if let Some(bias) = bias {
            add_bias(&mut output, self.parameter(bias));
        }
        output
    }

    /// Back through [`linear`](Self::linear) from the gradient of its output: adds to the gradients of the parameters, returns that of
    /// the input.
    fn linear_backward(
        &self,
        gradient: &[f64],
        input: &[f64],
        sizes: (usize, usize),
        (weight, bias): (&str, Option<&str>),
        gradients: &mut Named,
    ) -> Vec<f64> {
        let (inputs, outputs) = sizes;
        let rows = input.len() / inputs;
        Matmul { m: outputs, n: inputs, k: rows, transpose_left: true, transpose_right: false }.accumulate(
            gradient,
            input,
            gradients.get_mut(weight).expect("a gradient for every parameter"),
        );
        if let Some(bias) = bias {
            add_bias(gradients.get_mut(bias).expect("a gradient for every parameter"), &column_sums(gradient, outputs));
        }
        let product = Matmul { m: rows, n: inputs, k: outputs, transpose_left: false, transpose_right: false };
        product.product(gradient, self.parameter(weight))
    }

    /// Forward over a window.
    ///
    /// # Panics
    /// If the window, the states or the parameters are not of the sizes they say.
    pub fn forward(&self, window: &Window, initial_states: &[Vec<f64>], scale: f64) -> Forward {
        let a = &self.architecture;
        let (time_steps, batch, h) = (window.time_steps, window.batch, a.hidden_size);
        assert_eq!((window.inputs.len(), window.targets.len()), (time_steps * batch, time_steps * batch), "tokens of the window");
        assert_eq!(initial_states.len(), a.num_layers, "a state for every layer");
        assert!(initial_states.iter().all(|state| state.len() == batch * h), "states of {batch} streams x {h} units");

        let mut cells: Vec<Vec<Cell>> = Vec::new();
        let (mut logits, mut log_probabilities) = (Vec::new(), Vec::new());
        for t in 0..time_steps {
            // One-hot vectors are multiplied out, as in the equation: looking rows up is what is to be tested against this.
            let mut input = one_hot(window.inputs_at(t), a.vocab_size);
            if a.embedding_size > 0 {
                let product = Matmul { m: batch, n: a.embedding_size, k: a.vocab_size, transpose_left: false, transpose_right: false };
                input = product.product(&input, self.parameter("embedding.weight"));
            }
            let mut layers = Vec::new();
            for k in 0..a.num_layers {
                let mut previous = if t == 0 { initial_states[k].clone() } else { cells[t - 1][k].state.clone() };
                for b in 0..batch {
                    if let Some(fresh) = window.fresh_state(t, b) {
                        previous[b * h..][..h].fill(fresh);
                    }
                }
                let names = LayerNames::new(k, a.bias);
                let from_input = self.linear(&input, (a.input_size(k), h), &names.weight_ih, names.bias_ih());
                let from_state = self.linear(&previous, (h, h), &names.weight_hh, names.bias_hh());
                let state: Vec<f64> = from_input.iter().zip(&from_state).map(|(i, s)| a.activation.value(i + s)).collect();
                layers.push(Cell { input, previous, state: state.clone() });
                input = state;
            }
            cells.push(layers);
            let scores = self.linear(&input, (h, a.vocab_size), "decoder.weight", self.decoder_bias());
            for (b, row) in scores.chunks_exact(a.vocab_size).enumerate() {
                log_probabilities.push(-softmax_cross_entropy(row, window.targets[t * batch + b], scale).0);
            }
            logits.push(scores);
        }
        let loss = -scale * sum(&log_probabilities);
        Forward { cells, logits, log_probabilities, loss }
    }

    /// Forward over a window and back through time.
    ///
    /// `initial_states` is `[B, H]` a layer. The gradient is that of `scale` times the sum over the window's predicted tokens, cut at the
    /// window's edge.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn run(&self, window: &Window, initial_states: &[Vec<f64>], scale: f64) -> Outcome {
        let a = &self.architecture;
        let (batch, h) = (window.batch, a.hidden_size);
        let Forward { cells, logits, log_probabilities, loss } = self.forward(window, initial_states, scale);
        let mut gradients: Named = self.parameters.iter().map(|(name, values)| (name.clone(), vec![0.0; values.len()])).collect();
        // The gradient that reaches s_k(t) from step t+1; nothing comes from beyond the window.
        let mut from_future = vec![vec![0.0; batch * h]; a.num_layers];

        for t in (0..window.time_steps).rev() {
            let mut score_gradient = Vec::new();
            for (b, row) in logits[t].chunks_exact(a.vocab_size).enumerate() {
                score_gradient.extend(softmax_cross_entropy(row, window.targets[t * batch + b], scale).1);
            }
            let top = &cells[t][a.num_layers - 1].state;
            let decoder = ("decoder.weight", self.decoder_bias());
            let mut from_above = self.linear_backward(&score_gradient, top, (h, a.vocab_size), decoder, &mut gradients);

            for k in (0..a.num_layers).rev() {
                let Cell { input, previous, state } = &cells[t][k];
                // dloss/dz_k(t) = (from the layer above + from the next step) f'(z_k(t))
                let z_gradient: Vec<f64> =
                    (0..batch * h).map(|i| (from_above[i] + from_future[k][i]) * a.activation.derivative(state[i])).collect();
                let names = LayerNames::new(k, a.bias);
                let state_part = (names.weight_hh.as_str(), names.bias_hh());
                let mut to_past = self.linear_backward(&z_gradient, previous, (h, h), state_part, &mut gradients);
                for b in 0..batch {
                    if window.fresh_state(t, b).is_some() {
                        to_past[b * h..][..h].fill(0.0);
                    }
                }
                from_future[k] = to_past;
                let input_part = (names.weight_ih.as_str(), names.bias_ih());
                from_above = self.linear_backward(&z_gradient, input, (a.input_size(k), h), input_part, &mut gradients);
            }
            if let Some(gradient) = gradients.get_mut("embedding.weight") {
                let words = one_hot(window.inputs_at(t), a.vocab_size);
                Matmul { m: a.vocab_size, n: a.embedding_size, k: batch, transpose_left: true, transpose_right: false }.accumulate(
                    &words,
                    &from_above,
                    gradient,
                );
            }
        }
        let final_states =
            cells.last().map_or_else(|| initial_states.to_vec(), |layers| layers.iter().map(|cell| cell.state.clone()).collect());
        Outcome { log_probabilities, loss, final_states, gradients, initial_state_gradients: from_future }
    }

    /// The name of the output layer's bias, where there is one.
    fn decoder_bias(&self) -> Option<&'static str> {
        self.architecture.decoder_bias.then_some("decoder.bias")
    }
}

/// The names of one layer's parameters.
struct LayerNames {
    weight_ih: String,
    weight_hh: String,
    /// Of the input's part and of the state's part, where there are biases.
    biases: Option<(String, String)>,
}

impl LayerNames {
    /// Those of layer k.
    fn new(k: usize, bias: bool) -> Self {
        let biases = bias.then(|| (format!("rnn.bias_ih_l{k}"), format!("rnn.bias_hh_l{k}")));
        Self { weight_ih: format!("rnn.weight_ih_l{k}"), weight_hh: format!("rnn.weight_hh_l{k}"), biases }
    }

    /// b_ih.
    fn bias_ih(&self) -> Option<&str> {
        self.biases.as_ref().map(|(ih, _)| ih.as_str())
    }

    /// b_hh.
    fn bias_hh(&self) -> Option<&str> {
        self.biases.as_ref().map(|(_, hh)| hh.as_str())
    }
}
