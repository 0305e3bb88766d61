//! Which schedule of recurrences is faster on an adapter: one dispatch for a window, or one for
//! each step. The schedule that runs is a function of the sizes alone, so that results repeat;
//! these measurements say whether another function would be better.

#[cfg(test)]
mod tests;

use std::time::Instant;

use serde::Serialize;

use crate::activity::Activity;
use crate::device::{Device, Kernel};
use crate::error::{Error, Result};
use crate::kernels::{
    Activation, Carried, GruBackward, GruForward, LstmBackward, LstmForward, RecurrenceBackward,
    RecurrenceForward, RecurrentSchedule, Reset,
};
use crate::tensor::Tensor;

/// The size of a layer whose recurrence is timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerSize {
    /// The name of the cell: elman, gru or lstm.
    pub cell: &'static str,
    /// G.
    pub gates: usize,
    /// H.
    pub hidden_size: usize,
    /// B.
    pub batch: usize,
}

impl LayerSize {
    /// G·H².
    pub fn weights(&self) -> usize {
        self.gates * self.hidden_size * self.hidden_size
    }
}

/// The sizes that `elman bench --tune` measures: those that fit both schedules, on both sides of
/// the rule.
pub fn tuning_sizes() -> Vec<LayerSize> {
    let cells: [(_, _, &[usize]); 3] = [
        ("elman", 1, &[128, 256, 384, 512, 768, 1024]),
        ("gru", 3, &[64, 128, 192, 256, 384, 512]),
        ("lstm", 4, &[64, 128, 192, 256, 384, 512]),
    ];
    let mut all = Vec::new();
    for batch in [16, 32, 128] {
        for (cell, gates, sizes) in cells {
            all.extend(sizes.iter().map(|&hidden_size| LayerSize {
                cell,
                gates,
                hidden_size,
                batch,
            }));
        }
    }
    all
}

/// Microseconds of a window, forward and backward.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScheduleTimes {
    /// The layer.
    #[serde(flatten)]
    pub size: LayerSize,
    /// In one dispatch for the window.
    pub window: f64,
    /// In one dispatch for each step.
    pub steps: f64,
}

impl ScheduleTimes {
    /// How much longer than the faster schedule the one takes that a limit on G·H² chooses: 0 if
    /// it is the faster one.
    fn loss(&self, limit: usize) -> f64 {
        let chosen = if self.size.weights() <= limit {
            self.window
        } else {
            self.steps
        };
        chosen / self.window.min(self.steps) - 1.0
    }
}

/// A rule: one dispatch for the window where a layer has at most `limit` recurrent weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScheduleRule {
    /// The largest G·H².
    pub limit: usize,
    /// How much longer the chosen schedules take than the faster ones: the mean over the layers.
    pub loss: f64,
}

impl ScheduleRule {
    /// The rule with a limit, judged by measurements.
    fn judge(limit: usize, times: &[ScheduleTimes]) -> Self {
        let losses = times.iter().map(|times| times.loss(limit));
        Self {
            limit,
            loss: losses.sum::<f64>() / times.len().max(1) as f64,
        }
    }
}

/// Measurements, and what they say about the rule.
#[derive(Debug, Clone, Serialize)]
pub struct Tuning {
    /// The time steps of a window.
    pub time_steps: usize,
    /// The measurements.
    pub times: Vec<ScheduleTimes>,
    /// The rule that is used.
    pub rule: ScheduleRule,
    /// The best rule of its kind; the one that is used, if none is better by a hundredth.
    pub best: ScheduleRule,
}

/// The least improvement that is not taken for noise.
const LEAST_GAIN: f64 = 0.01;

impl Tuning {
    fn new(time_steps: usize, times: Vec<ScheduleTimes>) -> Self {
        let rule = ScheduleRule::judge(RecurrentSchedule::MAX_FUSED_WEIGHTS, &times);
        let limits = times.iter().map(|times| times.size.weights());
        let best = std::iter::once(0)
            .chain(limits)
            .map(|limit| ScheduleRule::judge(limit, &times))
            .min_by(|a, b| a.loss.total_cmp(&b.loss))
            .filter(|best| best.loss < rule.loss - LEAST_GAIN)
            .unwrap_or(rule);
        Self {
            time_steps,
            times,
            rule,
            best,
        }
    }
}

/// Times both schedules for layers of these sizes, in windows of `time_steps`.
///
/// # Errors
/// If the device is a CPU, which has one schedule, or it fails or has too little memory.
pub fn tune(device: &mut Device, sizes: &[LayerSize], time_steps: usize) -> Result<Tuning> {
    if !device.is_gpu() {
        return Err(Error::invalid(
            device.name(),
            "only a GPU has a choice of schedules for recurrences",
            "Use `device = gpu`, or the name of an adapter that `elman devices` lists",
        ));
    }
    let activity = Activity::start("timing recurrences", Some(sizes.len() as u64));
    let mut times = Vec::new();
    for &size in sizes {
        let [window, steps] = device.release_afterwards(|device| {
            let buffers = Buffers::new(device, size, time_steps)?;
            let mut time = |schedule| {
                let kernels = buffers.kernels(schedule);
                microseconds(device, &kernels)
            };
            Ok::<_, Error>([
                time(RecurrentSchedule::Fused)?,
                time(RecurrentSchedule::PerStep)?,
            ])
        })?;
        times.push(ScheduleTimes {
            size,
            window,
            steps,
        });
        activity.advance(1);
    }
    Ok(Tuning::new(time_steps, times))
}

/// The time of a group of runs that makes the time between submissions negligible.
const SECONDS_OF_GROUP: f64 = 0.02;

/// Microseconds of one run of the kernels: the least of three groups of runs, after others that
/// compile pipelines and find the size of a group.
fn microseconds(device: &mut Device, kernels: &[Box<dyn Kernel>; 2]) -> Result<f64> {
    let mut seconds_of = |runs: u32| {
        let start = Instant::now();
        for _ in 0..runs {
            kernels.iter().for_each(|kernel| device.run(&**kernel));
        }
        device.wait()?;
        Ok::<_, Error>(start.elapsed().as_secs_f64())
    };
    seconds_of(1)?;
    let mut runs = 1;
    while seconds_of(runs)? < SECONDS_OF_GROUP && runs < 1024 {
        runs *= 2;
    }
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        least = least.min(seconds_of(runs)?);
    }
    Ok(1e6 * least / f64::from(runs))
}

/// The tensors of a layer's recurrence.
struct Buffers {
    size: LayerSize,
    /// `[(T+2)*B, H]`.
    states: Tensor,
    /// The same for the memory of an LSTM.
    cells: Tensor,
    /// `[T*B, G*H]`.
    gates: Tensor,
    /// The same for the recurrent products of a GRU.
    recurrent: Tensor,
    weight: Tensor,
    weight_t: Tensor,
    /// `[T*B, H]`.
    gradient: Tensor,
    /// `[2*B, H]`.
    initial_gradient: Tensor,
    reset: Reset,
    time_steps: usize,
}

impl Buffers {
    fn new(device: &mut Device, size: LayerSize, time_steps: usize) -> Result<Self> {
        let LayerSize {
            gates,
            hidden_size,
            batch,
            ..
        } = size;
        let rows = time_steps * batch;
        let mut tensor = |rows, columns| device.tensor("recurrence", rows, columns);
        Ok(Self {
            size,
            states: tensor(rows + 2 * batch, hidden_size)?,
            cells: tensor(rows + 2 * batch, hidden_size)?,
            gates: tensor(rows, gates * hidden_size)?,
            recurrent: tensor(rows, gates * hidden_size)?,
            weight: tensor(gates * hidden_size, hidden_size)?,
            weight_t: tensor(hidden_size, gates * hidden_size)?,
            gradient: tensor(rows, hidden_size)?,
            initial_gradient: tensor(2 * batch, hidden_size)?,
            reset: Reset {
                enabled: false,
                initial: 0.0,
                previous: tensor(1, 1)?,
                tokens: device.tensor("tokens", time_steps, batch)?,
            },
            time_steps,
        })
    }

    /// The slots of a window, and the carried states behind them.
    fn slots(&self, buffer: Tensor) -> [Tensor; 2] {
        let end = buffer.rows() - self.size.batch;
        [0..end, end..buffer.rows()].map(|rows| buffer.slice_rows(rows))
    }

    /// The kernels of a window, forward and backward.
    fn kernels(&self, schedule: RecurrentSchedule) -> [Box<dyn Kernel>; 2] {
        match self.size.cell {
            "gru" => self.gru(schedule),
            "lstm" => self.lstm(schedule),
            _ => self.elman(schedule),
        }
    }

    fn elman(&self, schedule: RecurrentSchedule) -> [Box<dyn Kernel>; 2] {
        let [states, carried] = self.slots(self.states);
        let activation = Activation::Tanh;
        [
            Box::new(RecurrenceForward {
                activation,
                states,
                carried: Carried {
                    states: [carried],
                    advance: self.time_steps,
                },
                weight: self.weight,
                weight_t: self.weight_t,
                reset: self.reset,
                schedule,
            }),
            Box::new(RecurrenceBackward {
                activation,
                states,
                weight: self.weight,
                gradient: self.gradient,
                initial_gradient: self.initial_gradient.slice_rows(0..self.size.batch),
                reset: self.reset,
                schedule,
            }),
        ]
    }

    fn gru(&self, schedule: RecurrentSchedule) -> [Box<dyn Kernel>; 2] {
        let [states, carried] = self.slots(self.states);
        [
            Box::new(GruForward {
                gates: self.gates,
                recurrent: self.recurrent,
                states,
                carried: Carried {
                    states: [carried],
                    advance: self.time_steps,
                },
                weight: self.weight,
                weight_t: self.weight_t,
                bias: None,
                reset: self.reset,
                schedule,
            }),
            Box::new(GruBackward {
                gates: self.gates,
                recurrent: self.recurrent,
                states,
                weight: self.weight,
                gradient: self.gradient,
                initial_gradient: self.initial_gradient.slice_rows(0..self.size.batch),
                reset: self.reset,
                schedule,
            }),
        ]
    }

    fn lstm(&self, schedule: RecurrentSchedule) -> [Box<dyn Kernel>; 2] {
        let [states, carried_states] = self.slots(self.states);
        let [cells, carried_cells] = self.slots(self.cells);
        [
            Box::new(LstmForward {
                gates: self.gates,
                cells,
                states,
                carried: Carried {
                    states: [carried_states, carried_cells],
                    advance: self.time_steps,
                },
                weight: self.weight,
                weight_t: self.weight_t,
                capped: false,
                reset: self.reset,
                schedule,
            }),
            Box::new(LstmBackward {
                gates: self.gates,
                cells,
                weight: self.weight,
                gradient: self.gradient,
                initial_gradient: self.initial_gradient,
                capped: false,
                reset: self.reset,
                schedule,
            }),
        ]
    }
}
