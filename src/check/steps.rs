//! Whole training steps: two windows one after the other, each with its forward pass, backward pass
//! and update, from states that are not 0.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::step_cases::{Dropout, StepCase};
use crate::corpus::order_by_token;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::cases::Tolerance;
use crate::kernels::{Activation, Sgd};
use crate::model::{
    Capacity, CellKind, Config, DEFAULT_ROUNDS, DropoutRates, Model, ParameterValues, Window,
    WindowWords, Workspace, find_cell, parameter_specs,
};
use crate::tensor::NONE;

/// The seed of parameters and inputs.
const SEED: u64 = 1;
/// N of feed-forward networks.
const CONTEXT: usize = 3;
/// The learning rate: large, so that an update changes the next window's losses.
const RATE: f32 = 2.0;

/// Parameters with which differences between devices do not grow from step to step.
fn values(config: &Config, random: &mut ChaCha8Rng) -> ParameterValues {
    let bound = 1.0 / (config.hidden_size as f32).sqrt();
    parameter_specs(config)
        .iter()
        .map(|spec| {
            (0..spec.len())
                .map(|_| random.random_range(-bound..bound))
                .collect()
        })
        .collect()
}

/// The results of the steps, by name.
pub(super) type Outputs = Vec<(String, Vec<f32>)>;

impl StepCase {
    fn config(&self) -> Config {
        let [num_layers, hidden_size, embedding_size, vocab_size] = self.sizes;
        let bias = find_cell(self.cell).is_some_and(|cell| cell.bias);
        let is_feed_forward = self.is_feed_forward();
        Config {
            context: if is_feed_forward { CONTEXT } else { 0 },
            skip_connection: is_feed_forward,
            mogrifier_rounds: if self.has_rounds() { DEFAULT_ROUNDS } else { 0 },
            mogrifier_rank: if self.has_rounds() { self.rank() } else { 0 },
            cell: self.cell.into(),
            activation: Activation::Tanh,
            num_layers,
            hidden_size,
            embedding_size,
            vocab_size,
            bias,
            decoder_bias: true,
            zoneout: self.zoneout(),
            mixture: self.mixture,
            residual: self.residual,
            cap_input_gate: self.cap_input_gate,
            layer_norm: self.layer_norm,
            tied: self.past_decode,
            past_decode: self.past_decode,
            ..Config::default()
        }
    }

    /// The rate of zoneout, if the cell has it.
    fn zoneout(&self) -> f32 {
        match find_cell(self.cell).is_some_and(|cell| cell.has_zoneout) {
            true => 0.25,
            false => 0.0,
        }
    }

    fn has_rounds(&self) -> bool {
        find_cell(self.cell).is_some_and(|cell| cell.rounds.is_some())
    }

    /// The rank of the matrices of rounds: full ones in an odd number of layers.
    fn rank(&self) -> usize {
        let [layers, hidden_size, embedding_size, _] = self.sizes;
        match layers % 2 {
            1 => 0,
            _ => hidden_size.min(embedding_size) / 2,
        }
    }

    fn is_feed_forward(&self) -> bool {
        find_cell(self.cell).is_some_and(CellKind::is_feed_forward)
    }

    /// Values of a carried state; of a feed-forward network, words.
    fn state(&self, random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
        let vocabulary = self.sizes[3] as u32;
        let mut value = || match self.is_feed_forward() {
            true => random.random_range(0..vocabulary) as f32,
            false => random.random_range(-0.5..0.5),
        };
        (0..count).map(|_| value()).collect()
    }

    fn capacity(&self) -> Capacity {
        let [batch, time_steps] = self.window;
        let mut dropout = DropoutRates::default();
        if self.dropout != Dropout::Off {
            dropout = DropoutRates {
                words: if self.sizes[2] > 0 { 0.1 } else { 0.0 },
                input: if self.sizes[2] > 0 { 0.2 } else { 0.0 },
                hidden: 0.3,
                output: 0.4,
                latent: 0.25,
                weights: 0.0,
                zoneout: self.zoneout(),
                variational: false,
            };
        }
        let [mut activation_l2, mut temporal_l2] = [0.0; 2];
        if self.dropout == Dropout::Variational {
            dropout.weights = 0.25;
            dropout.variational = true;
            [activation_l2, temporal_l2] = [2.0, 1.0];
        }
        Capacity {
            batch,
            time_steps,
            training: true,
            independent: self.independent,
            dropout,
            activation_l2,
            temporal_l2,
            past_decode: if self.past_decode { 0.5 } else { 0.0 },
            seed: 3,
            ..Capacity::default()
        }
    }

    /// A random window: a quarter of the inputs are the boundary, an eighth are no words.
    fn window(
        &self,
        device: &mut Device,
        workspace: &Workspace,
        random: &mut ChaCha8Rng,
        draw: u32,
    ) -> Result<Window> {
        let [batch, time_steps] = self.window;
        let vocabulary = self.sizes[3] as u32;
        let mut tokens = || -> Vec<u32> {
            (0..batch * time_steps)
                .map(|_| match random.random_range(0..8) {
                    0 => NONE,
                    1 | 2 => 0,
                    _ => random.random_range(0..vocabulary),
                })
                .collect()
        };
        let (inputs, targets) = (tokens(), tokens());
        let order = order_by_token(&inputs);
        let words = WindowWords {
            targets: targets.clone(),
            before: Box::new(|row, back| row.checked_sub(back * batch).map_or(0, |at| inputs[at])),
            draw,
        };
        let plan = workspace.plan(device, &words);
        let count = |targets: &[u32]| targets.iter().filter(|&&target| target != NONE).count();
        let [predicted, changes] = [&targets[..], &targets[batch..]].map(count);
        let mut upload = |what, values: &[u32]| device.tensor_from(what, time_steps, batch, values);
        let order = Some(upload("order of the inputs", &order)?);
        let window = Window::new(
            time_steps,
            upload("inputs", &inputs)?,
            upload("targets", &targets)?,
        );
        Ok(Window {
            order,
            draw,
            predicted,
            changes,
            plan,
            ..window
        })
    }

    /// How much an output may differ: errors of sums in f32 are in proportion to the largest
    /// values. Those of gradients, sums over a window, grow with the square root of the number of
    /// terms.
    pub(super) fn tolerance(&self, want: &[f32]) -> Tolerance {
        let largest = want
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs()));
        let terms = (self.window[0] * self.window[1]) as f64;
        let share = 2e-5 + 4.0 * f64::from(f32::EPSILON) * terms.sqrt();
        Tolerance {
            absolute: share * f64::from(largest) + f64::from(f32::MIN_POSITIVE),
            relative: 1e-4,
        }
    }

    /// Runs the steps in memory that is released afterwards.
    ///
    /// # Errors
    /// If the device fails or is too small.
    pub(super) fn run(&self, device: &mut Device) -> Result<Outputs> {
        device.release_afterwards(|device| self.run_steps(device))
    }

    fn run_steps(&self, device: &mut Device) -> Result<Outputs> {
        let config = self.config();
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let model = Model::new(device, config.clone(), &values(&config, &mut random))?;
        let workspace = Workspace::new(device, &model, self.capacity())?;
        let one = device.tensor_from("scale of gradients", 1, 1, &[1.0])?;
        for state in workspace.carried() {
            device.upload(&state, &self.state(&mut random, state.len()));
        }
        let mut outputs = Outputs::new();
        for draw in 0..2 {
            let window = self.window(device, &workspace, &mut random, draw)?;
            model.forward(device, &workspace, &window);
            let scale = 1.0 / (self.window[0] * self.window[1]) as f32;
            model.backward(device, &workspace, &window, scale);
            let mut keep = |device: &mut Device, what: String, tensor| -> Result<()> {
                let values = device.download(&tensor)?;
                outputs.push((format!("step {draw}: {what}"), values));
                Ok(())
            };
            keep(device, "losses".into(), workspace.losses(&window))?;
            for (index, state) in workspace.carried().into_iter().enumerate() {
                keep(device, format!("state {index}"), state)?;
            }
            for (index, state) in workspace.carried_gradient().into_iter().enumerate() {
                keep(device, format!("gradient of state {index}"), state)?;
            }
            let parameters = model.parameters();
            let gradients = workspace.gradients(&window);
            let tensors = parameters.tensors().iter().zip(gradients);
            for ((&parameter, gradient), spec) in tensors.zip(parameters.specs()) {
                let name = format!("gradient of {}", spec.name);
                keep(device, name, gradient.values())?;
                device.run(&Sgd {
                    parameter,
                    gradient,
                    scale: one,
                    rate: RATE,
                });
                keep(device, spec.name.clone(), parameter)?;
            }
            device.submit();
        }
        Ok(outputs)
    }
}
