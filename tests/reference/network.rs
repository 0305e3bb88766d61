//! The network of Mikolov 2010 with PyTorch's options and cells: its architecture, inputs and
//! outputs.
//!
//! For every stream of the batch, layer k of L and step t, with x_0(t) the word's one-hot vector
//! w(t) or its embedding E w(t):
//!
//! ```text
//! h_k(t) = cell_k(x_k(t), h_k(t-1))     x_{k+1}(t) = h_k(t)          the cells: see `cells`
//! x_{k+1}(t) = h_k(t) + x_k(t)            with residual connections, where the sizes are equal
//! y(t)   = softmax(W_decoder h_{L-1}(t) + b_decoder)
//! y(t)   = softmax(W_decoder P h_{L-1}(t) + b_decoder)               with a projection
//! y(t)   = softmax(W_decoder sigmoid(C h_{L-1}(t)) + b_decoder)      with a compression layer
//! loss   = -scale Σ_t ln y(t)[target(t)]
//! ```
//!
//! Tied tables: W_decoder = E. Other output layers: see `outputs` and `mixture`.
//!
//! Masks multiply x_0(t), the output of a layer (x_{k+1} and the h_{L-1} that the output layer or
//! the projection reads, never the h_k(t-1) that the layer itself reads) and W_hh, or W_ih of
//! quasi-recurrent units.
//! Penalties of the last layer's states: see `penalties`; of predictions: see `past`.
//! [`passes`](super::passes) has the forward and the backward pass over a window.

use std::collections::BTreeMap;

use super::cells::{Cell, Layer};
use super::generator::Generator;
use super::kernels::Activation;
use super::masks::Masks;
use super::outputs::Output;
use super::penalties::Penalties;

/// Values by PyTorch's name of their parameter, row-major.
pub type Named = BTreeMap<String, Vec<f64>>;

/// What a network has in place of cells, if it is not recurrent: see
/// [`feed_forward`](super::feed_forward).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedForward {
    /// N, the words that it reads.
    pub context: usize,
    /// Whether the output layer reads the embedded words too.
    pub skip: bool,
}

/// The sizes and options of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// The hidden units' equations, in recurrent networks.
    pub cell: Cell,
    /// For a feed-forward network, which has one hidden layer.
    pub feed_forward: Option<FeedForward>,
    /// f of the Elman cell.
    pub activation: Activation,
    /// V, words of the vocabulary.
    pub vocab_size: usize,
    /// D, size of the embedding; 0: the first layer reads one-hot vectors.
    pub embedding_size: usize,
    /// H_k, units of each hidden layer.
    pub hidden_sizes: Vec<usize>,
    /// The rounds of mogrifiers.
    pub mogrifier_rounds: usize,
    /// The rank of their matrices; 0: full ones.
    pub mogrifier_rank: usize,
    /// Whether each layer has PyTorch's two biases, and each round one.
    pub bias: bool,
    /// Whether the output layer has a bias.
    pub decoder_bias: bool,
    /// Whether the output layer's weight is the embedding's table. Its input then has D elements,
    /// from a last layer of that size or a projection.
    pub tied: bool,
    /// Whether a matrix without bias, `[D, H_last]`, is between the last layer and the output
    /// layer.
    pub projection: bool,
    /// Sigmoid units without bias between the last layer and the output layer; 0: none.
    pub compression_size: usize,
    /// The output layer.
    pub output: Output,
    /// Whether layers add their input to their output: see [`Architecture::has_residual`].
    pub residual: bool,
    /// Whether i of the LSTM, also of a mogrifier, is at most 1 - f.
    pub cap_input_gate: bool,
    /// Whether the LSTM normalizes its products and its memory: see
    /// [`layer_norm`](super::layer_norm).
    pub layer_norm: bool,
    /// Whether there are the parameters of past decode regularization: see [`past`](super::past).
    pub past_decode: bool,
    /// The rate of zoneout: f of quasi-recurrent units has the factor 1 minus this, or a mask.
    pub zoneout: f64,
}

/// Mikolov's network of one unit and two words: the default for options that a test does not set.
impl Default for Architecture {
    fn default() -> Self {
        Self {
            cell: Cell::Elman,
            feed_forward: None,
            activation: Activation::Sigmoid,
            vocab_size: 2,
            embedding_size: 0,
            hidden_sizes: vec![1],
            mogrifier_rounds: 3,
            mogrifier_rank: 0,
            bias: false,
            decoder_bias: false,
            tied: false,
            projection: false,
            compression_size: 0,
            output: Output::Softmax,
            residual: false,
            cap_input_gate: false,
            layer_norm: false,
            past_decode: false,
            zoneout: 0.0,
        }
    }
}

impl Architecture {
    /// L.
    pub fn num_layers(&self) -> usize {
        self.hidden_sizes.len()
    }

    /// H_k.
    pub fn layer_size(&self, k: usize) -> usize {
        self.hidden_sizes[k]
    }

    /// The size of what the last layer passes on: H, and the embedded words with direct
    /// connections.
    pub fn output_size(&self) -> usize {
        let size = *self.hidden_sizes.last().expect("a layer");
        match self.feed_forward {
            Some(options) if options.skip => size + self.input_size(0),
            _ => size,
        }
    }

    /// The size of what layer k passes on.
    pub fn layer_output_size(&self, k: usize) -> usize {
        match k + 1 == self.num_layers() {
            true => self.output_size(),
            false => self.layer_size(k),
        }
    }

    /// The number of words that are embedded at each position.
    pub fn words(&self) -> usize {
        self.feed_forward.map_or(1, |options| options.context)
    }

    /// G*H_k.
    pub fn gates_size(&self, k: usize) -> usize {
        let highway = usize::from(self.cell == Cell::Sru && !self.highway_reads_input(k));
        (self.cell.gates() + highway) * self.layer_size(k)
    }

    /// Whether units have a gate that zoneout multiplies.
    pub fn has_zoneout(&self) -> bool {
        self.feed_forward.is_none() && self.cell == Cell::Qrnn
    }

    /// The number of elements of the weight of layer k that has masks, if there is one: of W_hh, or
    /// of W_ih of quasi-recurrent units.
    pub fn masked_weight_size(&self, k: usize) -> Option<usize> {
        let columns = match self.cell {
            _ if self.feed_forward.is_some() => None,
            Cell::Elman | Cell::Gru | Cell::Lstm | Cell::Mogrifier => Some(self.layer_size(k)),
            Cell::Qrnn => Some(self.input_size(k)),
            Cell::Sru => None,
        };
        columns.map(|columns| self.gates_size(k) * columns)
    }

    /// Whether layer k adds its input, of the first layer x_0(t), to its cell's output.
    pub fn has_residual(&self, k: usize) -> bool {
        let is_one_hot = k == 0 && self.embedding_size == 0;
        let inputs = match k {
            0 => self.embedded_size(),
            _ => self.layer_size(k - 1),
        };
        self.residual && !is_one_hot && inputs == self.layer_size(k)
    }

    /// The name of the bias that is added to `W_ih x`, if layer k has biases.
    pub fn input_bias(&self, k: usize) -> String {
        match self.cell {
            Cell::Qrnn => format!("rnn.bias_l{k}"),
            _ => format!("rnn.bias_ih_l{k}"),
        }
    }

    /// The units of layer k.
    pub fn layer(&self, k: usize) -> Layer {
        Layer {
            cell: self.cell,
            activation: self.activation,
            capped: self.cap_input_gate,
            size: self.layer_size(k),
        }
    }

    /// Size of x_0(t): V or D; of all words of a context.
    pub fn embedded_size(&self) -> usize {
        match self.embedding_size {
            0 => self.vocab_size,
            size => self.words() * size,
        }
    }

    /// Whether the first layer reads x_0(t-1) beside x_0(t).
    pub fn reads_previous_input(&self) -> bool {
        self.feed_forward.is_none() && self.cell == Cell::Qrnn
    }

    /// Size of the input of layer k: of x_0, once or twice, for the first, that of the layer before
    /// it for the others.
    pub fn input_size(&self, k: usize) -> usize {
        match k {
            0 if self.reads_previous_input() => 2 * self.embedded_size(),
            0 => self.embedded_size(),
            _ => self.layer_size(k - 1),
        }
    }

    /// Size of the input of the output layer.
    pub fn decoder_input_size(&self) -> usize {
        match self.compression_size {
            0 if self.projection => self.embedding_size,
            0 => self.output_size(),
            size => size,
        }
    }

    /// The number of columns of the output layer's weight: the size of its input or, in a mixture,
    /// of each latent.
    pub fn decoder_columns(&self) -> usize {
        match self.output {
            Output::Mixture(_) if self.tied => self.embedding_size,
            _ => self.decoder_input_size(),
        }
    }

    /// The number of all latents' values in a mixture; 0 for other output layers.
    pub fn latent_size(&self) -> usize {
        match self.output {
            Output::Mixture(count) => count * self.decoder_columns(),
            _ => 0,
        }
    }

    /// The name of the output layer's weight, `[V, D]` or `[V, H_last]`.
    pub fn decoder_weight(&self) -> &'static str {
        if self.tied {
            "embedding.weight"
        } else {
            "decoder.weight"
        }
    }

    /// Units of every carried state, layer by layer; of an LSTM's h and then of its c. First comes
    /// x_0(t), where the first layer reads it again.
    pub fn state_sizes(&self) -> Vec<usize> {
        if self.feed_forward.is_some() {
            // The words before the window.
            return Vec::from_iter(Some(self.words() - 1).filter(|&words| words > 0));
        }
        let inputs = self.reads_previous_input().then(|| self.embedded_size());
        let sizes = self.hidden_sizes.iter();
        let states = sizes.flat_map(|&size| vec![size; self.cell.states()]);
        inputs.into_iter().chain(states).collect()
    }

    /// Name and shape of every parameter, in the order of the file.
    ///
    /// # Panics
    /// If the tables cannot be tied, or there is no embedding whose size a projection could have.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (v, d) = (self.vocab_size, self.embedding_size);
        assert!(
            d > 0 || !(self.projection || self.tied),
            "no embedding in {self:?}"
        );
        assert!(
            !self.tied || self.decoder_columns() == d,
            "tables of two sizes in {self:?}"
        );
        let mut shapes = Vec::new();
        if d > 0 {
            shapes.push(("embedding.weight".to_string(), vec![v, d]));
        }
        if self.feed_forward.is_some() {
            let rows = self.layer_size(0);
            shapes.push(("hidden.weight".to_string(), vec![rows, self.input_size(0)]));
            shapes.extend(self.bias.then(|| ("hidden.bias".to_string(), vec![rows])));
        }
        let recurrent_layers = match self.feed_forward {
            Some(_) => 0,
            None => self.num_layers(),
        };
        for k in 0..recurrent_layers {
            let rows = self.gates_size(k);
            shapes.push((
                format!("rnn.weight_ih_l{k}"),
                vec![rows, self.input_size(k)],
            ));
            if self.cell == Cell::Qrnn {
                shapes.extend(self.bias.then(|| (format!("rnn.bias_l{k}"), vec![rows])));
                continue;
            }
            if self.cell == Cell::Sru {
                let values = vec![2 * self.layer_size(k)];
                shapes.push((format!("rnn.weight_c_l{k}"), values.clone()));
                shapes.extend(self.bias.then(|| (format!("rnn.bias_l{k}"), values)));
                continue;
            }
            shapes.push((
                format!("rnn.weight_hh_l{k}"),
                vec![rows, self.layer_size(k)],
            ));
            if self.bias {
                shapes.push((format!("rnn.bias_ih_l{k}"), vec![rows]));
                shapes.push((format!("rnn.bias_hh_l{k}"), vec![rows]));
            }
            shapes.extend(self.round_shapes(k));
            if self.layer_norm {
                let units = vec![self.layer_size(k)];
                shapes.push((format!("rnn.gain_ih_l{k}"), vec![rows]));
                shapes.push((format!("rnn.gain_hh_l{k}"), vec![rows]));
                shapes.push((format!("rnn.gain_c_l{k}"), units.clone()));
                shapes.extend(self.bias.then(|| (format!("rnn.bias_c_l{k}"), units)));
            }
        }
        if self.projection {
            shapes.push(("projection.weight".to_string(), vec![d, self.output_size()]));
        }
        if self.compression_size > 0 {
            shapes.push((
                "compression.weight".to_string(),
                vec![self.compression_size, self.output_size()],
            ));
        }
        if let Output::Mixture(count) = self.output {
            let [rows, columns] = [self.latent_size(), self.output_size()];
            shapes.push(("prior.weight".to_string(), vec![count, columns]));
            shapes.push(("latent.0.weight".to_string(), vec![rows, columns]));
            let bias = || ("latent.0.bias".to_string(), vec![rows]);
            shapes.extend(self.decoder_bias.then(bias));
        }
        let entries = match &self.output {
            Output::Adaptive { cutoffs, .. } => cutoffs[0] + cutoffs.len(),
            _ => v,
        };
        if !self.tied {
            shapes.push((
                "decoder.weight".to_string(),
                vec![entries, self.decoder_columns()],
            ));
        }
        if self.decoder_bias {
            shapes.push(("decoder.bias".to_string(), vec![entries]));
        }
        if self.past_decode {
            shapes.push(("past.weight".to_string(), vec![d, d]));
            if self.decoder_bias {
                shapes.push(("past.bias".to_string(), vec![d]));
                shapes.push(("past.decoder_bias".to_string(), vec![v]));
            }
        }
        if let Output::Adaptive { cutoffs, divisor } = &self.output {
            for (i, &begin) in cutoffs.iter().enumerate() {
                let size = ((self.decoder_input_size() as f64 / divisor.powi(i as i32 + 1)).floor()
                    as usize)
                    .max(1);
                let words = cutoffs.get(i + 1).copied().unwrap_or(v) - begin;
                shapes.push((
                    format!("decoder.tail_projection_{i}"),
                    vec![size, self.decoder_input_size()],
                ));
                shapes.push((format!("decoder.tail_weight_{i}"), vec![words, size]));
            }
        }
        if let Output::Class { sizes, direct } = &self.output {
            shapes.push((
                "decoder.class_weight".to_string(),
                vec![sizes.len(), self.decoder_input_size()],
            ));
            if self.decoder_bias {
                shapes.push(("decoder.class_bias".to_string(), vec![sizes.len()]));
            }
            shapes.extend(direct.map(|direct| ("direct.weight".to_string(), vec![direct.size])));
        }
        shapes
    }
}

/// A network: its architecture and its parameters.
#[derive(Debug, Clone)]
pub struct Network {
    /// Sizes and options.
    pub architecture: Architecture,
    /// Every parameter of [`Architecture::shapes`], and no other.
    pub parameters: Named,
}

/// Factor of the gains of layer normalization. With gains near 1, gates amplify the rounding errors
/// of a step from step to step and from layer to layer, whatever the weights are.
const GAIN_SCALE: f64 = 0.3;

impl Network {
    /// A network whose parameters are drawn from [-scale, scale), gains from [`GAIN_SCALE`] times
    /// that, the same for the same seed; f32 holds each of them exactly.
    pub fn new(architecture: Architecture, seed: u64, scale: f64) -> Self {
        let mut generator = Generator::new(seed);
        let draw = |(name, shape): (String, Vec<usize>)| {
            let mut values = generator.vector(shape.iter().product(), scale);
            if name.starts_with("rnn.gain_") {
                let small = |value: &mut f64| *value = f64::from((GAIN_SCALE * *value) as f32);
                values.iter_mut().for_each(small);
            }
            (name, values)
        };
        let parameters = architecture.shapes().into_iter().map(draw).collect();
        Self {
            architecture,
            parameters,
        }
    }

    /// Carried states, `[B, H_k]` each, drawn from [-scale, scale); of a feed-forward network
    /// words.
    pub fn random_states(&self, seed: u64, batch: usize, scale: f64) -> Vec<Vec<f64>> {
        let mut generator = Generator::new(seed);
        let a = &self.architecture;
        if a.feed_forward.is_some() {
            let mut word = |_| generator.below(a.vocab_size + 1) as f64 - 1.0;
            let mut words = |size| (0..batch * size).map(&mut word).collect();
            return a.state_sizes().into_iter().map(&mut words).collect();
        }
        self.architecture
            .state_sizes()
            .into_iter()
            .map(|size| generator.vector(batch * size, scale))
            .collect()
    }
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
    /// Where Some and the input is the boundary, `Some(0)`, dropped or not, the stream's previous
    /// states are replaced in every layer by this number in every unit, and no gradient flows past
    /// it.
    pub independent: Option<f64>,
    /// Dropout and other masks.
    pub masks: Masks,
    /// Penalties of the last layer's output, of the changes of its states, and of predictions.
    pub penalties: Penalties,
}

impl Window {
    /// The input tokens of step t, `[B]`.
    pub fn inputs_at(&self, t: usize) -> &[Option<usize>] {
        &self.inputs[t * self.batch..][..self.batch]
    }

    /// The value that replaces stream b's previous states at step t, if they are reset.
    pub fn reset_state(&self, t: usize, b: usize) -> Option<f64> {
        self.independent.filter(|_| self.inputs_at(t)[b] == Some(0))
    }

    /// The number of targets.
    pub fn predicted(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// A window of random tokens without masks: about an eighth are missing, and about a quarter
    /// are boundaries, so that streams are reset often. The first target is never missing.
    pub fn random(
        seed: u64,
        time_steps: usize,
        batch: usize,
        vocab_size: usize,
        independent: Option<f64>,
    ) -> Self {
        let mut generator = Generator::new(seed);
        let mut token = || match generator.below(8) {
            0 => None,
            1 | 2 => Some(0),
            _ => Some(generator.below(vocab_size)),
        };
        let inputs = (0..time_steps * batch).map(|_| token()).collect();
        let mut targets: Vec<_> = (0..time_steps * batch).map(|_| token()).collect();
        targets[0] = targets[0].or(Some(vocab_size - 1));
        Self {
            time_steps,
            batch,
            inputs,
            targets,
            independent,
            masks: Masks::default(),
            penalties: Penalties::default(),
        }
    }
}

/// The results of one window.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `[T, B]`: ln of the target's probability, 0 where there is no target.
    pub log_probabilities: Vec<f64>,
    /// `scale` times the sum of the targets' negative log-probabilities.
    pub loss: f64,
    /// `[B, H_k]` for each of [`Architecture::state_sizes`]: the states after the last step.
    pub final_states: Vec<Vec<f64>>,
    /// Gradient of the loss with respect to every parameter.
    pub gradients: Named,
    /// As the final states: gradient of the loss with respect to the states before the first step,
    /// without x_0, which has none.
    pub initial_state_gradients: Vec<Vec<f64>>,
    /// The smallest number that layer normalization has divided by, see
    /// [`Network::smallest_deviation`].
    pub smallest_deviation: f64,
}
