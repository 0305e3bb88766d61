//! How far back a loss reaches: the gradient of the loss at t with respect to each layer's state at
//! t-k, for several k, averaged over positions of a text.
//!
//! A window of k steps, whose last step alone predicts, starts from the states at t-k. Its backward
//! pass ends with the gradients of those states, for every cell and device. Where the norm falls
//! quickly with k, the gradient vanishes: training cannot relate a token to what was k tokens
//! before.

use serde::Serialize;

use crate::corpus::{Tokens, order_by_token};
use crate::device::Device;
use crate::error::Result;
use crate::model::{Capacity, Model, Window, WindowWords, Workspace, cell_kind};
use crate::tensor::{NONE, Tensor};

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Number of positions t-k, spread evenly over the text.
    pub positions: usize,
    /// The k, in steps, increasing.
    pub lags: Vec<usize>,
    /// Tokens that are read before t-k, so that the state is one that occurs in texts.
    pub warm_up: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            positions: 64,
            lags: vec![1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 56, 80],
            warm_up: 100,
        }
    }
}

/// How far gradients reach back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// Number of positions over which norms are averaged.
    pub positions: usize,
    /// The k: 1 is the state that the step of the loss starts from.
    pub lags: Vec<usize>,
    /// For each layer, the mean norm of the gradient at each k.
    pub layers: Vec<Vec<f64>>,
}

/// Measures how far the gradients of a model reach back in a text. None for a network without a
/// state, and for a text that is too short.
///
/// # Errors
/// If the device fails or the model is too large for it.
pub fn measure(
    device: &mut Device,
    model: &Model,
    tokens: &Tokens,
    options: &MemoryOptions,
) -> Result<Option<Memory>> {
    let Some(places) = Places::of(tokens, options) else {
        return Ok(None);
    };
    if cell_kind(model.config()).is_feed_forward() {
        return Ok(None);
    }
    device.install(|device| {
        let capacity = Capacity {
            batch: places.starts.len(),
            time_steps: places.warm_up.max(places.lags.last().copied().unwrap_or(1)),
            training: true,
            independent: model.config().independent,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let rows = device.tensor("tokens", capacity.time_steps + 1, capacity.batch)?;
        let order = device.tensor("order of tokens", 1, capacity.time_steps * capacity.batch)?;
        let reader = Reader {
            model,
            workspace,
            places: &places,
            rows,
            order,
        };
        let memory = reader.measure(device);
        device.release(rows);
        device.release(order);
        memory.map(Some)
    })
}

/// Where gradients are measured.
#[derive(Debug)]
struct Places<'a> {
    tokens: &'a Tokens,
    /// For each stream, the number of tokens before the state.
    starts: Vec<usize>,
    warm_up: usize,
    lags: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(tokens: &'a Tokens, options: &MemoryOptions) -> Option<Self> {
        let room = tokens.len();
        let warm_up = options.warm_up.min(room / 2);
        let mut lags = options.lags.clone();
        lags.retain(|&lag| lag > 0 && lag <= room - warm_up);
        let longest = *lags.last()?;
        let free = room - warm_up - longest;
        let positions = options.positions.clamp(1, free + 1);
        let starts = (0..positions).map(|index| warm_up + index * free / positions.max(1));
        Some(Self {
            tokens,
            starts: starts.collect(),
            warm_up,
            lags,
        })
    }

    /// The token before a position: the input of its step.
    fn before(&self, position: usize) -> u32 {
        match position {
            0 => 0,
            position => self.tokens.get(position - 1),
        }
    }
}

/// A model that reads from many places of a text at once.
struct Reader<'a> {
    model: &'a Model,
    workspace: Workspace,
    places: &'a Places<'a>,
    rows: Tensor<u32>,
    order: Tensor<u32>,
}

impl Reader<'_> {
    fn measure(&self, device: &mut Device) -> Result<Memory> {
        let places = self.places;
        let warm_up = self.window(device, &places.starts, -(places.warm_up as isize));
        if places.warm_up > 0 {
            self.model.forward(device, &self.workspace, &warm_up);
        }
        let states = self.workspace.carried().into_iter();
        let states = states
            .map(|state| device.download(&state))
            .collect::<Result<Vec<_>>>()?;
        let mut layers = vec![Vec::new(); self.model.config().num_layers];
        for &lag in &places.lags {
            for (tensor, values) in self.workspace.carried().iter().zip(&states) {
                device.upload(tensor, values);
            }
            for (layer, norm) in layers.iter_mut().zip(self.norms(device, lag)?) {
                layer.push(norm);
            }
        }
        Ok(Memory {
            positions: places.starts.len(),
            lags: places.lags.clone(),
            layers,
        })
    }

    /// A window of every stream: the `steps` after its start or, where they are negative, before.
    fn window(&self, device: &mut Device, starts: &[usize], steps: isize) -> Window {
        let count = steps.unsigned_abs();
        let first = |start: usize| if steps < 0 { start - count } else { start };
        let tokens: Vec<u32> = (0..=count)
            .flat_map(|step| starts.iter().map(move |&start| first(start) + step))
            .map(|position| self.places.before(position))
            .collect();
        let inputs = count * starts.len();
        device.upload(&self.rows.slice_rows(0..count + 1), &tokens);
        let order = self
            .order
            .reshape(self.order.len(), 1)
            .slice_rows(0..inputs);
        let order = order.reshape(1, inputs);
        device.upload(&order, &order_by_token(&tokens[..inputs]));
        Window {
            order: Some(order),
            ..Window::new(
                count,
                self.rows.slice_rows(0..count),
                self.rows.slice_rows(1..count + 1),
            )
        }
    }

    /// For each layer, the mean norm of the gradient of the loss `lag` steps after the states.
    fn norms(&self, device: &mut Device, lag: usize) -> Result<Vec<f64>> {
        let starts = &self.places.starts;
        let window = self.window(device, starts, lag as isize);
        let targets: Vec<u32> = starts
            .iter()
            .map(|start| self.places.before(start + lag))
            .collect();
        let known = targets.iter().filter(|&&target| target != NONE).count();
        let words = WindowWords {
            targets,
            before: Box::new(|row, back| {
                let input = starts[row % starts.len()] + lag - 1;
                self.places.before(input.saturating_sub(back))
            }),
            draw: 0,
        };
        let window = Window {
            history: lag - 1,
            predicted: known,
            plan: self.workspace.plan(device, &words),
            ..window
        };
        self.model.forward(device, &self.workspace, &window);
        self.model.backward(device, &self.workspace, &window, 1.0);
        let gradients = self.workspace.carried_gradient().into_iter();
        let gradients = gradients
            .map(|it| device.download(&it))
            .collect::<Result<Vec<_>>>()?;
        let config = self.model.config();
        let states = cell_kind(config).states;
        // The last word's embedding, which some cells carry, is no state of a layer.
        let others = gradients.len() - states * config.num_layers;
        let layers = gradients[others..].chunks(states.max(1));
        Ok(layers
            .map(|states| self.sum_of_norms(states) / known.max(1) as f64)
            .collect())
    }

    /// The sum over streams of the norm of a layer's states.
    fn sum_of_norms(&self, states: &[Vec<f32>]) -> f64 {
        let streams = self.places.starts.len();
        let norm = |stream: usize| {
            let of_state = |values: &Vec<f32>| {
                let size = values.len() / streams;
                let row = &values[stream * size..(stream + 1) * size];
                row.iter()
                    .map(|&value| f64::from(value).powi(2))
                    .sum::<f64>()
            };
            states.iter().map(of_state).sum::<f64>().sqrt()
        };
        (0..streams).map(norm).sum()
    }
}
