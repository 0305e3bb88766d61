//! Networks of unusual sizes with every cell, and PyTorch's equations for them in f64.

use elman::onnx::proto::ModelProto;
use elman::onnx::{NamedParameter, OnnxForm, OnnxNetwork, network_to_onnx};
use prost::Message;

use super::super::reference::generator::Generator;

/// V of every network here.
pub const VOCABULARY: usize = 11;

/// A network for a test, of unusual sizes.
pub struct TestNetwork {
    pub cell: &'static str,
    pub activation: &'static str,
    pub initial_state: f32,
    /// Whether each unit has its own initial state.
    pub stored: bool,
    /// D; 0 for one-hot input.
    pub embedding: usize,
    /// H of every layer.
    pub sizes: &'static [usize],
    pub bias: bool,
    pub decoder_bias: bool,
    /// Size of the projection before the output; 0 for none.
    pub projection: usize,
    /// Whether the output's weight is the embedding's table.
    pub tied: bool,
    /// K of a mixture of softmaxes; 0 for one softmax.
    pub mixture: usize,
    /// Whether layers add their input to their output, where it has their size.
    pub residual: bool,
}

pub const PLAIN: TestNetwork = TestNetwork {
    cell: "elman",
    activation: "sigmoid",
    initial_state: 0.1,
    stored: false,
    embedding: 0,
    sizes: &[5],
    bias: false,
    decoder_bias: false,
    projection: 0,
    tied: false,
    mixture: 0,
    residual: false,
};

pub const NETWORKS: &[TestNetwork] = &[
    PLAIN,
    TestNetwork {
        activation: "tanh",
        embedding: 3,
        sizes: &[7, 7],
        bias: true,
        ..PLAIN
    },
    TestNetwork {
        activation: "relu",
        sizes: &[1],
        decoder_bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "gru",
        initial_state: 0.0,
        embedding: 3,
        bias: true,
        decoder_bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "gru",
        initial_state: -0.25,
        sizes: &[3, 3, 3],
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        initial_state: 0.0,
        embedding: 4,
        sizes: &[5, 5],
        bias: true,
        decoder_bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        initial_state: 0.2,
        sizes: &[2],
        bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        embedding: 3,
        sizes: &[5, 5],
        projection: 3,
        tied: true,
        decoder_bias: true,
        bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "gru",
        embedding: 5,
        tied: true,
        ..PLAIN
    },
    TestNetwork {
        activation: "tanh",
        stored: true,
        sizes: &[3, 3],
        ..PLAIN
    },
    TestNetwork {
        cell: "gru",
        stored: true,
        embedding: 3,
        sizes: &[4],
        bias: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        stored: true,
        embedding: 3,
        sizes: &[4, 4],
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        stored: true,
        sizes: &[3, 2],
        ..PLAIN
    },
    TestNetwork {
        mixture: 2,
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        embedding: 3,
        sizes: &[5, 5],
        tied: true,
        decoder_bias: true,
        bias: true,
        mixture: 3,
        ..PLAIN
    },
    TestNetwork {
        cell: "lstm",
        embedding: 5,
        sizes: &[5, 5],
        bias: true,
        residual: true,
        ..PLAIN
    },
    // One-hot words of as many values as units.
    TestNetwork {
        sizes: &[VOCABULARY, VOCABULARY],
        residual: true,
        ..PLAIN
    },
    TestNetwork {
        cell: "gru",
        embedding: 3,
        sizes: &[4, 4, 4],
        residual: true,
        ..PLAIN
    },
    // Layers of different sizes cannot be exported as a single step.
    TestNetwork {
        cell: "lstm",
        embedding: 3,
        sizes: &[2, 5],
        bias: true,
        ..PLAIN
    },
];

pub type Parameters = Vec<(String, Vec<usize>, Vec<f32>)>;

impl TestNetwork {
    pub fn gates(&self) -> usize {
        match self.cell {
            "gru" => 3,
            "lstm" => 4,
            _ => 1,
        }
    }

    /// The number of states: h, or h and c.
    pub fn states(&self) -> usize {
        if self.cell == "lstm" { 2 } else { 1 }
    }

    pub fn has_step(&self) -> bool {
        self.sizes.iter().all(|&size| size == self.sizes[0])
    }

    /// The parameters, and the stored initial states under the names of a model's file.
    pub fn parameters(&self, seed: u64) -> Parameters {
        let mut shapes = Vec::new();
        let mut width = if self.embedding > 0 {
            self.embedding
        } else {
            VOCABULARY
        };
        if self.embedding > 0 {
            shapes.push((
                "embedding.weight".to_owned(),
                vec![VOCABULARY, self.embedding],
            ));
        }
        for (layer, &hidden) in self.sizes.iter().enumerate() {
            let rows = self.gates() * hidden;
            shapes.push((format!("rnn.weight_ih_l{layer}"), vec![rows, width]));
            shapes.push((format!("rnn.weight_hh_l{layer}"), vec![rows, hidden]));
            if self.bias {
                shapes.push((format!("rnn.bias_ih_l{layer}"), vec![rows]));
                shapes.push((format!("rnn.bias_hh_l{layer}"), vec![rows]));
            }
            width = hidden;
        }
        if self.projection > 0 {
            shapes.push(("projection.weight".to_owned(), vec![self.projection, width]));
            width = self.projection;
        }
        if self.mixture > 0 {
            let size = if self.tied { self.embedding } else { width };
            let rows = self.mixture * size;
            shapes.push(("prior.weight".to_owned(), vec![self.mixture, width]));
            shapes.push(("latent.0.weight".to_owned(), vec![rows, width]));
            if self.decoder_bias {
                shapes.push(("latent.0.bias".to_owned(), vec![rows]));
            }
        }
        if !self.tied {
            shapes.push(("decoder.weight".to_owned(), vec![VOCABULARY, width]));
        }
        if self.decoder_bias {
            shapes.push(("decoder.bias".to_owned(), vec![VOCABULARY]));
        }
        if self.stored {
            let sizes = self.sizes.iter().flat_map(|size| vec![size; self.states()]);
            let names = sizes.enumerate();
            shapes
                .extend(names.map(|(index, &size)| (format!("initial_state.{index}"), vec![size])));
        }
        let mut generator = Generator::new(seed);
        let numbers = |(name, shape): (String, Vec<usize>)| {
            let values = (0..shape.iter().product())
                .map(|_| generator.uniform(1.0) as f32)
                .collect();
            (name, shape, values)
        };
        shapes.into_iter().map(numbers).collect()
    }

    pub fn network<'a>(&'a self, parameters: &'a Parameters) -> OnnxNetwork<'a> {
        let (stored, parameters): (Vec<_>, Vec<_>) = parameters
            .iter()
            .partition(|(name, _, _)| name.starts_with("initial_state."));
        let parameters = parameters
            .into_iter()
            .map(|(name, shape, values)| NamedParameter {
                name: name.clone(),
                shape: shape.clone(),
                values,
            });
        let states = stored.iter().map(|(_, _, values)| values.as_slice());
        OnnxNetwork {
            cell: self.cell,
            activation: self.activation,
            initial_state: self.initial_state,
            initial_states: self.stored.then(|| states.collect()),
            residual: self.residual,
            parameters: parameters.collect(),
        }
    }

    pub fn file(&self, parameters: &Parameters, form: OnnxForm) -> Vec<u8> {
        network_to_onnx(&self.network(parameters), "word", form)
            .unwrap_or_else(|error| panic!("{}: {error}", self.cell))
    }

    pub fn model(&self, form: OnnxForm) -> ModelProto {
        ModelProto::decode(self.file(&self.parameters(1), form).as_slice())
            .expect("the file decodes")
    }

    /// log10 P of tokens and end, from PyTorch's equations in f64.
    pub fn log10_probability(&self, parameters: &Parameters, tokens: &[usize]) -> f64 {
        let find = |name: &str| parameters.iter().find(|one| one.0 == name);
        let vector = |name: &str| {
            find(name).map(|(_, _, values)| {
                values
                    .iter()
                    .map(|&value| f64::from(value))
                    .collect::<Vec<_>>()
            })
        };
        let product = |name: &str, x: &[f64]| -> Vec<f64> {
            let (_, _, values) = find(name).unwrap_or_else(|| panic!("no {name}"));
            values
                .chunks(x.len())
                .map(|row| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum())
                .collect()
        };
        let add = |values: &mut Vec<f64>, name: &str| {
            values
                .iter_mut()
                .zip(vector(name).unwrap_or_default())
                .for_each(|(value, bias)| *value += bias);
        };
        let initial = |layer: usize, size: usize| {
            [0, 1].map(|state| {
                vector(&format!("initial_state.{}", layer * self.states() + state))
                    .unwrap_or_else(|| vec![f64::from(self.initial_state); size])
            })
        };
        let mut states: Vec<[Vec<f64>; 2]> = (0..)
            .zip(self.sizes)
            .map(|(layer, &size)| initial(layer, size))
            .collect();
        let mut sum = 0.0;
        let mut token = 0;
        for &target in tokens.iter().chain(&[0]) {
            let mut x: Vec<f64> = match find("embedding.weight") {
                Some((_, shape, table)) => table[token * shape[1]..][..shape[1]]
                    .iter()
                    .map(|&value| f64::from(value))
                    .collect(),
                None => (0..VOCABULARY)
                    .map(|word| f64::from(u8::from(word == token)))
                    .collect(),
            };
            for (layer, state) in states.iter_mut().enumerate() {
                let mut input = product(&format!("rnn.weight_ih_l{layer}"), &x);
                let mut recurrent = product(&format!("rnn.weight_hh_l{layer}"), &state[0]);
                add(&mut input, &format!("rnn.bias_ih_l{layer}"));
                add(&mut recurrent, &format!("rnn.bias_hh_l{layer}"));
                self.advance(&input, &recurrent, state);
                let is_one_hot = layer == 0 && self.embedding == 0;
                let added = self.residual && !is_one_hot && x.len() == state[0].len();
                let input = std::mem::replace(&mut x, state[0].clone());
                if added {
                    x.iter_mut().zip(input).for_each(|(x, input)| *x += input);
                }
            }
            if self.projection > 0 {
                x = product("projection.weight", &x);
            }
            let decoder = match self.tied {
                true => "embedding.weight",
                false => "decoder.weight",
            };
            let softmax = |logits: &[f64], k: usize| {
                logits[k].exp() / logits.iter().map(|logit| logit.exp()).sum::<f64>()
            };
            let probability = |x: &[f64]| {
                let mut logits = product(decoder, x);
                add(&mut logits, "decoder.bias");
                softmax(&logits, target)
            };
            sum += match self.mixture {
                0 => probability(&x),
                count => {
                    let prior = product("prior.weight", &x);
                    let mut latents = product("latent.0.weight", &x);
                    add(&mut latents, "latent.0.bias");
                    latents.iter_mut().for_each(|z| *z = z.tanh());
                    let latents = latents.chunks(latents.len() / count);
                    let parts = latents.enumerate();
                    parts
                        .map(|(k, latent)| softmax(&prior, k) * probability(latent))
                        .sum()
                }
            }
            .ln();
            token = target;
        }
        sum / std::f64::consts::LN_10
    }

    /// One step of one layer: `state` is h and c.
    fn advance(&self, input: &[f64], recurrent: &[f64], state: &mut [Vec<f64>; 2]) {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let size = state[0].len();
        for unit in 0..size {
            let part = |gate: usize| (input[gate * size + unit], recurrent[gate * size + unit]);
            let sum = |gate: usize| part(gate).0 + part(gate).1;
            match self.cell {
                "gru" => {
                    let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)));
                    let n = (part(2).0 + r * part(2).1).tanh();
                    state[0][unit] = (1.0 - z) * n + z * state[0][unit];
                }
                "lstm" => {
                    state[1][unit] =
                        sigmoid(sum(1)) * state[1][unit] + sigmoid(sum(0)) * sum(2).tanh();
                    state[0][unit] = sigmoid(sum(3)) * state[1][unit].tanh();
                }
                _ => {
                    state[0][unit] = match self.activation {
                        "sigmoid" => sigmoid(sum(0)),
                        "tanh" => sum(0).tanh(),
                        _ => sum(0).max(0.0),
                    }
                }
            }
        }
    }
}
