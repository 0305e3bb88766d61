//! A network of the reference as a model on a device, and the comparison of their steps.

use elman::corpus::order_by_token;
use elman::device::Device;
use elman::kernels::{Activation, Gradient, SparseRows};
use elman::model::{
    Binning, Capacity, Classes, Clusters, Config, Model, Noise, SampledObjective, Window,
    WindowWords, Workspace,
};
use elman::tensor::{NONE, Tensor};

use super::compare::{Tolerance, assert_close};
use super::reference::cells::Cell;
use super::reference::kernels::Activation as ReferenceActivation;
use super::reference::layer_norm::LEAST_DEVIATION;
use super::reference::network::{Named, Network, Outcome, Window as ReferenceWindow};
use super::reference::outputs::Output;
use super::reference::sampled::{Objective, Sampled};

/// The accepted error of losses, states and gradients of a step.
pub const STEP: Tolerance = Tolerance {
    absolute: 1e-6,
    relative: 1e-5,
};

/// The accepted error with sums of up to a million terms, added one after another in f32.
pub const LONG_SUMS: Tolerance = Tolerance {
    absolute: 1e-5,
    relative: 1e-4,
};

/// T and B of windows, in consecutive pairs: the first as long as the workspace, the second mostly
/// shorter.
pub const WINDOWS: [[(usize, usize); 2]; 5] = [
    [(5, 3), (2, 3)],
    [(1, 1), (1, 1)],
    [(7, 1), (3, 1)],
    [(1, 5), (1, 5)],
    [(3, 2), (3, 2)],
];

/// Factor of the loss.
pub const SCALE: f64 = 0.25;

/// The initial value of every state unit, exactly an f32.
pub const INITIAL: f32 = 0.3;

/// A network of the reference on a device, with room for windows.
pub struct Subject {
    /// The network's parameters on the device.
    pub model: Model,
    /// Room for its windows.
    pub workspace: Workspace,
}

impl Subject {
    /// Uploads the network.
    pub fn new(device: &mut Device, network: &Network, capacity: Capacity) -> Self {
        let a = &network.architecture;
        let activation = match a.activation {
            ReferenceActivation::Sigmoid => Activation::Sigmoid,
            ReferenceActivation::Tanh => Activation::Tanh,
            ReferenceActivation::Relu => Activation::Relu,
            ReferenceActivation::RnnlmSigmoid => Activation::RnnlmSigmoid,
        };
        let (output, classes, direct) = match &a.output {
            Output::Softmax | Output::Mixture(_) => ("softmax", None, None),
            Output::Adaptive { .. } => ("adaptive", None, None),
            Output::Sampled(_) => ("sampled", None, None),
            Output::Class { sizes, direct } => {
                let classes = Classes {
                    asked: sizes.len(),
                    binning: Binning::Sqrt,
                    sizes: sizes.clone(),
                };
                ("class", Some(classes), *direct)
            }
        };
        let clusters = match &a.output {
            Output::Adaptive { cutoffs, divisor } => Some(Clusters {
                cutoffs: cutoffs.clone(),
                divisor: *divisor,
            }),
            _ => None,
        };
        let noise = match &a.output {
            Output::Sampled(sampled) => Some(noise_of(sampled)),
            _ => None,
        };
        let recurrent = Cell::TABLE.iter().find(|row| row.1 == a.cell);
        let cell = match a.feed_forward {
            Some(_) => "feedforward",
            None => recurrent.expect("the table has every cell").0,
        };
        let config = Config {
            cell: cell.into(),
            activation,
            vocab_size: a.vocab_size,
            embedding_size: a.embedding_size,
            hidden_size: a.layer_size(0),
            hidden_sizes: a.hidden_sizes.clone(),
            num_layers: a.num_layers(),
            context: a.feed_forward.map_or(0, |options| options.context),
            skip_connection: a.feed_forward.is_some_and(|options| options.skip),
            mogrifier_rounds: a.rounds(),
            mogrifier_rank: match a.rounds() {
                0 => 0,
                _ => a.mogrifier_rank,
            },
            residual: a.residual,
            cap_input_gate: a.cap_input_gate,
            layer_norm: a.layer_norm,
            bias: a.bias,
            decoder_bias: a.decoder_bias,
            tied: a.tied,
            projection: a.projection,
            compression_size: a.compression_size,
            output: output.into(),
            past_decode: a.past_decode,
            mixture: match a.output {
                Output::Mixture(count) => count,
                _ => 0,
            },
            classes,
            clusters,
            noise,
            direct_size: direct.map_or(0, |direct| direct.size),
            direct_order: direct.map_or(0, |direct| direct.order),
            zoneout: a.zoneout as f32,
            initial_state: INITIAL,
            ..Config::default()
        };
        let values: elman::model::ParameterValues = elman::model::parameter_specs(&config)
            .iter()
            .map(|spec| {
                network.parameters[&spec.name]
                    .iter()
                    .map(|&value| value as f32)
                    .collect()
            })
            .collect();
        let model = Model::new(device, config, &values).expect("a small model fits");
        let counts = if let Output::Sampled(sampled) = &a.output {
            sampled.counts.as_slice()
        } else {
            &[]
        };
        let workspace = Workspace::with_counts(device, &model, capacity, counts)
            .expect("a small workspace fits");
        Self { model, workspace }
    }

    /// Overwrites the carried states.
    pub fn carry(&self, device: &mut Device, states: &[Vec<f64>]) {
        let carried = self.workspace.carried();
        assert_eq!(carried.len(), states.len(), "carried states");
        for (tensor, state) in carried.iter().zip(states) {
            device.upload(
                tensor,
                &state.iter().map(|&value| value as f32).collect::<Vec<_>>(),
            );
        }
    }

    /// Runs forward and backward passes and returns all results in the reference's form.
    pub fn step(&self, device: &mut Device, reference: &ReferenceWindow, scale: f64) -> Outcome {
        let window = upload(device, reference);
        self.step_uploaded(device, window, reference, scale)
    }

    /// [`Self::step`] for a window that is already uploaded.
    pub fn step_uploaded(
        &self,
        device: &mut Device,
        window: Window,
        reference: &ReferenceWindow,
        scale: f64,
    ) -> Outcome {
        let plan = self
            .workspace
            .plan(device, &words(reference, window.history));
        let window = &Window { plan, ..window };
        self.model.forward(device, &self.workspace, window);
        self.model
            .backward(device, &self.workspace, window, scale as f32);
        let losses = download(device, self.workspace.losses(window));
        let parameters = self.model.parameters();
        let mut gradients = Named::new();
        for (id, gradient) in parameters.ids().zip(self.workspace.gradients(window)) {
            let spec = parameters.spec(id);
            let values = dense(device, gradient, spec.memory_shape());
            let values = parameters
                .to_file_layout(id, values)
                .into_iter()
                .map(f64::from)
                .collect();
            gradients.insert(spec.name.clone(), values);
        }
        Outcome {
            loss: scale * losses.iter().sum::<f64>(),
            log_probabilities: losses.iter().map(|loss| -loss).collect(),
            final_states: self
                .workspace
                .carried()
                .into_iter()
                .map(|state| download(device, state))
                .collect(),
            gradients,
            initial_state_gradients: self
                .workspace
                .carried_gradient()
                .into_iter()
                .map(|state| download(device, state))
                .collect(),
            smallest_deviation: f64::INFINITY,
        }
    }
}

/// The settings of a sample.
fn noise_of(sampled: &Sampled) -> Noise {
    let (objective, ln_z) = match sampled.objective {
        Objective::Softmax => (SampledObjective::Softmax, 0.0),
        Objective::Nce(ln_z) => (SampledObjective::Nce, ln_z as f32),
    };
    Noise {
        samples: sampled.draws,
        power: sampled.power,
        objective,
        ln_z,
    }
}

/// The values in f64.
pub fn download(device: &mut Device, tensor: Tensor) -> Vec<f64> {
    device
        .download(&tensor)
        .expect("the device works")
        .into_iter()
        .map(f64::from)
        .collect()
}

/// A dense gradient in row-major layout.
fn dense(device: &mut Device, gradient: Gradient, [rows, columns]: [usize; 2]) -> Vec<f32> {
    let Gradient::Sparse(values, SparseRows { tokens, order }) = gradient else {
        return device
            .download(&gradient.values())
            .expect("the device works");
    };
    let mut table = vec![0.0; rows * columns];
    if values.is_empty() {
        return table;
    }
    let values = device.download(&values).expect("the device works");
    let [tokens, order] =
        [tokens, order].map(|list| device.download(&list).expect("the device works"));
    // Row p is the gradient of the p-th token in the order, at the token's first occurrence; zero
    // elsewhere.
    let token = |p: usize| tokens[order[p] as usize];
    for (p, row) in values.chunks_exact(columns).enumerate() {
        if token(p) != NONE && (p == 0 || token(p - 1) != token(p)) {
            table[token(p) as usize * columns..][..columns].copy_from_slice(row);
        } else {
            assert!(
                row.iter().all(|&value| value == 0.0),
                "row {p} of a table's gradient belongs to no token"
            );
        }
    }
    table
}

/// The words of a window for the output layer's plan; the first `history` steps have no targets.
pub fn words(window: &ReferenceWindow, history: usize) -> WindowWords<'_> {
    let id = |token: Option<usize>| token.map_or(NONE, |token| token as u32);
    let batch = window.batch;
    WindowWords {
        targets: window.targets[history * batch..]
            .iter()
            .map(|&token| id(token))
            .collect(),
        before: Box::new(move |row, back| {
            let (t, b) = (history + row / batch, row % batch);
            t.checked_sub(back)
                .map_or(0, |step| id(window.inputs_at(step)[b]))
        }),
        draw: 0,
    }
}

/// Uploads a window, its tensors being parts of larger ones.
pub fn upload(device: &mut Device, window: &ReferenceWindow) -> Window {
    let ids = |tokens: &[Option<usize>]| {
        tokens
            .iter()
            .map(|token| token.map_or(NONE, |token| token as u32))
            .collect::<Vec<u32>>()
    };
    let (inputs, targets) = (ids(&window.inputs), ids(&window.targets));
    let order = order_by_token(&inputs);
    let mut place = |values: &[u32], front: usize| {
        let padded = [vec![1; front], values.to_vec()].concat();
        let tensor = device
            .tensor_from("tokens", 1, padded.len(), &padded)
            .expect("a window fits");
        tensor.tail(front).reshape(window.time_steps, window.batch)
    };
    let (inputs, targets, order) = (place(&inputs, 3), place(&targets, 5), place(&order, 2));
    let count = |targets: &[Option<usize>]| targets.iter().flatten().count();
    Window {
        order: Some(order),
        predicted: count(&window.targets),
        changes: count(&window.targets[window.batch..]),
        ..Window::new(window.time_steps, inputs, targets)
    }
}

/// Compares all results of a step with the expected ones.
///
/// # Panics
/// If they differ, or the network is one where rounding errors say nothing: one that divides by
/// less than [`LEAST_DEVIATION`].
pub fn compare_outcomes(what: &str, got: &Outcome, want: &Outcome, tolerance: Tolerance) {
    assert!(
        want.smallest_deviation >= LEAST_DEVIATION,
        "{what}: the network normalizes rows of deviation {}",
        want.smallest_deviation
    );
    assert_close(
        &format!("{what}: loss"),
        &[got.loss],
        &[want.loss],
        tolerance,
    );
    assert_close(
        &format!("{what}: log-probabilities"),
        &got.log_probabilities,
        &want.log_probabilities,
        tolerance,
    );
    assert_eq!(
        got.gradients.keys().collect::<Vec<_>>(),
        want.gradients.keys().collect::<Vec<_>>(),
        "{what}: parameters"
    );
    for (name, want) in &want.gradients {
        assert_close(
            &format!("{what}: gradient of {name}"),
            &got.gradients[name],
            want,
            tolerance,
        );
    }
    for (states, got, want) in [
        ("final state", &got.final_states, &want.final_states),
        (
            "gradient of the carried state",
            &got.initial_state_gradients,
            &want.initial_state_gradients,
        ),
    ] {
        assert_eq!(got.len(), want.len(), "{what}: layers");
        for (k, (got, want)) in got.iter().zip(want).enumerate() {
            assert_close(
                &format!("{what}: {states} of layer {k}"),
                got,
                want,
                tolerance,
            );
        }
    }
}

/// Runs the windows one after the other in one workspace, each against the reference; then the
/// losses and distributions of the first without gradients.
pub fn check_windows(
    device: &mut Device,
    what: &str,
    network: &Network,
    windows: &[ReferenceWindow],
) {
    let (batch, independent) = (windows[0].batch, windows[0].independent.is_some());
    let time_steps = windows
        .iter()
        .map(|window| window.time_steps)
        .max()
        .expect("a window");
    let mut states = network.random_states(7, batch, 0.5);
    let first = states.clone();
    let subject = Subject::new(
        device,
        network,
        Capacity {
            batch,
            time_steps,
            training: true,
            independent,
            ..Capacity::default()
        },
    );
    subject.carry(device, &states);
    for (number, window) in windows.iter().enumerate() {
        let got = subject.step(device, window, SCALE);
        let want = network.run(window, &states, SCALE);
        compare_outcomes(
            &format!("{what}, window {number} on {}", device.name()),
            &got,
            &want,
            STEP,
        );
        states = want.final_states;
    }

    let subject = Subject::new(
        device,
        network,
        Capacity {
            batch,
            time_steps,
            independent,
            ..Capacity::default()
        },
    );
    subject.carry(device, &first);
    let words = words(&windows[0], 0);
    let window = Window {
        plan: subject.workspace.plan(device, &words),
        ..upload(device, &windows[0])
    };
    subject.model.forward(device, &subject.workspace, &window);
    subject.model.losses(device, &subject.workspace, &window);
    let network = network.measured();
    let forward = network.forward(&windows[0], &first, SCALE);
    let losses: Vec<f64> = forward
        .log_probabilities
        .iter()
        .map(|value| -value)
        .collect();
    let what = format!("{what}, without gradients on {}", device.name());
    assert_close(
        &format!("{what}: losses"),
        &download(device, subject.workspace.losses(&window)),
        &losses,
        STEP,
    );
    let distribution = subject
        .model
        .distribution(device, &subject.workspace, window.time_steps, &words)
        .expect("the device works");
    let want = network.log_distributions(&windows[0], &forward);
    assert_close(&format!("{what}: distribution"), &distribution, &want, STEP);
    for row in distribution.chunks_exact(network.architecture.vocab_size) {
        let sum: f64 = row.iter().map(|&log| f64::from(log).exp()).sum();
        assert_close(
            &format!("{what}: sum of a distribution"),
            &[sum],
            &[1.0],
            Tolerance {
                absolute: 1e-5,
                relative: 0.0,
            },
        );
    }
}
