//! One training run: a window at a time, stoppable between any two.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::optimizer::{OPTIMIZERS, OptimizerKind, Update};
use super::recipe::{PrecisionKind, Recipe, Reduction};
use super::records::{LARGEST_RUN, Look, Records, Run};
use super::schedule::Schedule;
use crate::corpus::{Corpus, Streams};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::Evaluator;
use crate::feed::{Feed, Purpose};
use crate::kernels::{Clip, Decay, Gradient};
use crate::model::{Capacity, Config, Model, Window, Workspace};
use crate::tensor::Tensor;

/// An epoch as `log.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Nats a token, averaged over the epoch as it went.
    pub train_loss: f64,
    /// Nats a token on the validation text.
    pub valid_loss: f64,
    /// e to the validation loss.
    pub valid_perplexity: f64,
    /// The learning rate of this epoch.
    pub lr: f32,
    /// Training tokens a second, validation left out.
    pub tokens_per_second: f64,
    /// Seconds of the epoch with its validation.
    pub seconds: f64,
    /// Whether the weights from before the epoch were put back.
    pub rolled_back: bool,
}

/// Where a run stands: everything that resuming needs besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are done.
    pub epochs: usize,
    /// Windows of the current epoch that are done.
    pub window: usize,
    /// Updates since the beginning.
    pub step: u32,
    /// Sum of the losses of the current epoch's windows, in nats.
    pub nats: f64,
    /// Tokens predicted in them.
    pub tokens: usize,
    /// Seconds spent on the current epoch.
    pub seconds: f64,
    /// The learning rate and what steers it.
    pub schedule: Schedule,
    /// Whether the schedule has ended the run.
    pub stopped: bool,
    /// The epochs so far.
    pub history: Vec<EpochRecord>,
    /// The validation loss of the weights kept so far.
    pub best_valid_loss: Option<f64>,
}

/// What [`Trainer::advance`] came to.
#[derive(Debug, Clone)]
pub enum Event {
    /// Some windows are done. On a GPU the next ones are under way already, and count in [`Progress::window`].
    Windows {
        /// Nats a token, averaged over them.
        loss: f64,
        /// The sum of the losses of each of them in nats.
        sums: Vec<f32>,
        /// The norm of the last window's gradient before clipping.
        gradient_norm: f64,
        /// Tokens predicted in a second.
        tokens_per_second: f64,
    },
    /// An epoch is done, validated, and its weights are kept or put back.
    Epoch(EpochRecord),
    /// There is nothing left to do.
    Finished,
}

/// Tensors of a run that a checkpoint keeps, in the file's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The parameters as they are.
    pub parameters: Arc<Vec<Vec<f32>>>,
    /// The parameters as the last kept epoch left them; none before the first epoch's end, and where they are the parameters as they are.
    pub best: Option<Arc<Vec<Vec<f32>>>>,
    /// The optimiser's state: for each of its names, one entry a parameter.
    pub optimizer: Vec<Vec<Vec<f32>>>,
    /// The carried states of the streams.
    pub carried: Vec<Vec<f32>>,
}

/// A model in training.
#[derive(Debug)]
pub struct Trainer<'a> {
    recipe: Recipe,
    optimizer: &'static OptimizerKind,
    corpus: &'a Corpus,
    model: Model,
    workspace: Workspace,
    evaluator: Evaluator,
    feed: Feed<'a>,
    /// For every parameter, the optimiser's tensors.
    optimizer_state: Vec<Vec<Tensor>>,
    records: Records,
    scale: Tensor,
    best: Option<Arc<Vec<Vec<f32>>>>,
    progress: Progress,
    /// Windows of a run, after which the losses are looked at.
    interval: usize,
    /// The run before, which a GPU may still be at.
    pending: Option<Run>,
    /// When the last run was looked at.
    looked: Instant,
}

/// Seconds between two looks that the interval aims at.
const SECONDS_BETWEEN_LOOKS: f64 = 0.5;

impl<'a> Trainer<'a> {
    /// A run at its beginning, from parameters in the file's layout.
    ///
    /// # Errors
    /// If the recipe or the configuration is wrong, the corpus too short for it, or the device too small.
    pub fn new(device: &mut Device, config: Config, values: &[Vec<f32>], recipe: Recipe, corpus: &'a Corpus) -> Result<Self> {
        recipe.validate()?;
        let optimizer = OPTIMIZERS.iter().find(|row| row.name == recipe.optimizer).expect("the recipe was validated");
        let mixed = recipe.precision == PrecisionKind::Mixed;
        if mixed && !device.has_f16() {
            return Err(Error::refused(
                "--precision mixed",
                format!("{} has no f16 for compute shaders", device.name()),
                "Take --precision full, or a device of which `elman devices` says that it has f16",
            ));
        }
        let streams = Streams::new(&corpus.train, recipe.batch, recipe.bptt)?;
        let model = Model::new(device, config, values)?;
        let capacity = Capacity {
            batch: recipe.batch,
            time_steps: recipe.bptt,
            history: 0,
            training: true,
            independent: recipe.independent,
            mixed,
            dropout: recipe.dropout,
            // The low half is enough to tell masks apart.
            seed: recipe.seed as u32,
        };
        let workspace = Workspace::new(device, &model, capacity)?;
        let evaluator = Evaluator::new(device, &model, recipe.independent)?;
        let feed = Feed::new(device, streams, Purpose::Training { history: 0 })?;
        let mut optimizer_state = Vec::new();
        for specification in model.parameters().specifications() {
            let allocate = |name: &&str| specification.allocate(device, &format!("{name} of {}", specification.name));
            optimizer_state.push(optimizer.state.iter().map(allocate).collect::<Result<Vec<_>>>()?);
        }
        let parameters = model.parameters().tensors().len();
        let progress = Progress {
            epochs: 0,
            window: 0,
            step: 0,
            nats: 0.0,
            tokens: 0,
            seconds: 0.0,
            schedule: Schedule::new(recipe.schedule, recipe.min_improvement, recipe.lr),
            stopped: false,
            history: Vec::new(),
            best_valid_loss: None,
        };
        Ok(Self {
            optimizer,
            corpus,
            model,
            workspace,
            evaluator,
            feed,
            optimizer_state,
            records: Records::new(device, parameters)?,
            scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            best: None,
            progress,
            interval: 1,
            pending: None,
            looked: Instant::now(),
            recipe,
        })
    }

    /// Goes on where a snapshot was taken.
    ///
    /// # Errors
    /// As [`Trainer::new`], or if the snapshot does not fit the model.
    pub fn resume(
        device: &mut Device,
        config: Config,
        snapshot: Snapshot,
        progress: Progress,
        recipe: Recipe,
        corpus: &'a Corpus,
    ) -> Result<Self> {
        let mut trainer = Self::new(device, config, &snapshot.parameters, recipe, corpus)?;
        let carried = trainer.workspace.carried();
        let lengths_fit = snapshot.carried.len() == carried.len()
            && snapshot.carried.iter().zip(&carried).all(|(values, tensor)| values.len() == tensor.len())
            && snapshot.optimizer.len() == trainer.optimizer.state.len();
        if !lengths_fit {
            return Err(Error::refused(
                "the training state",
                "its tensors do not fit the recipe",
                "Resume with the recipe it was made with, or start anew",
            ));
        }
        for (tensor, values) in carried.iter().zip(&snapshot.carried) {
            device.upload(tensor, values);
        }
        for (number, values) in snapshot.optimizer.iter().enumerate() {
            let tensors: Vec<_> = trainer.optimizer_state.iter().map(|state| state[number]).collect();
            trainer.model.parameters().upload_like(device, &tensors, values)?;
        }
        trainer.best = match snapshot.best {
            None if progress.epochs > 0 => Some(snapshot.parameters),
            best => best,
        };
        trainer.progress = progress;
        Ok(trainer)
    }

    /// Everything that a checkpoint keeps, after every window that was begun.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn snapshot(&mut self, device: &mut Device) -> Result<Snapshot> {
        if let Some(run) = self.pending.take() {
            self.look(device, run)?;
        }
        // Logits are of no use between two windows, and a snapshot is large.
        device.rest_shared();
        let parameters = self.model.parameters();
        let mut optimizer = Vec::new();
        for number in 0..self.optimizer.state.len() {
            let tensors: Vec<_> = self.optimizer_state.iter().map(|state| state[number]).collect();
            optimizer.push(parameters.download_like(device, &tensors)?);
        }
        // Between epochs the kept weights are the weights.
        let (now, best) = match &self.best {
            Some(best) if self.progress.window == 0 => (best.clone(), None),
            best => (Arc::new(parameters.download(device)?), best.clone()),
        };
        Ok(Snapshot {
            parameters: now,
            best,
            optimizer,
            carried: self.workspace.carried().iter().map(|tensor| device.download(tensor)).collect::<Result<_>>()?,
        })
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Windows of an epoch.
    pub fn windows(&self) -> usize {
        self.feed.streams().windows()
    }

    /// Trains until there is something to tell.
    ///
    /// # Errors
    /// If the device failed, or a loss or gradient is not finite; the model must not be kept then.
    pub fn advance(&mut self, device: &mut Device) -> Result<Event> {
        if self.progress.window == self.windows() {
            if let Some(run) = self.pending.take() {
                return self.look(device, run);
            }
            return self.end_epoch(device).map(Event::Epoch);
        }
        if self.progress.stopped || self.progress.epochs >= self.recipe.epochs {
            return Ok(Event::Finished);
        }
        let run = self.run(device);
        if run.is_here() {
            return self.look(device, run);
        }
        match self.pending.replace(run) {
            Some(previous) => self.look(device, previous),
            // The first run of all, or of an epoch: the next one is handed over before this one is waited for.
            None => self.advance(device),
        }
    }

    /// Trains on the next few windows of the epoch.
    fn run(&mut self, device: &mut Device) -> Run {
        let start = Instant::now();
        let first = self.progress.window;
        if first == 0 {
            self.workspace.reset(device);
            self.looked = start;
        }
        let count = self.interval.min(self.windows() - first);
        let mut tokens = 0;
        for record in 0..count {
            tokens += self.window(device, first + record, record);
        }
        self.progress.window += count;
        self.records.end_run(device, first, count, tokens, start.elapsed().as_secs_f64())
    }

    /// Waits for a run and takes account of it.
    fn look(&mut self, device: &mut Device, run: Run) -> Result<Event> {
        let Run { first, count, tokens, .. } = run;
        let (is_here, spent) = (run.is_here(), run.seconds);
        let Look { sums, gradient_norm, not_finite } = run.look(device)?;
        if let Some((window, parameter)) = not_finite {
            return Err(self.not_finite(parameter, first + window + 1));
        }
        // Where runs overlap, one takes the time between two looks.
        let seconds = if is_here { spent } else { self.looked.elapsed().as_secs_f64() };
        self.looked = Instant::now();
        let nats: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
        self.progress.nats += nats;
        self.progress.tokens += tokens;
        self.progress.seconds += seconds;
        // How often one looks changes nothing but the wait.
        let fitting = count as f64 * SECONDS_BETWEEN_LOOKS / seconds.max(1e-6);
        self.interval = (fitting as usize).clamp(1, LARGEST_RUN);
        let (loss, tokens_per_second) = (nats / tokens.max(1) as f64, tokens as f64 / seconds.max(1e-9));
        Ok(Event::Windows { loss, sums, gradient_norm, tokens_per_second })
    }

    /// One window: forward, back, update. Returns the tokens predicted.
    fn window(&mut self, device: &mut Device, number: usize, record: usize) -> usize {
        let (window, predicted) = self.feed.window(device, number);
        let window = Window { draw: self.progress.step, ..window };
        let scale = match self.recipe.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / predicted.max(1) as f32,
        };
        self.model.forward(device, &self.workspace, &window);
        self.model.backward(device, &self.workspace, &window, scale);
        let gradients = self.workspace.gradients(&window);
        self.records.write(device, record, self.workspace.losses(&window), &gradients);
        if self.recipe.clip > 0.0 {
            device.run(&Clip { squares: self.records.squares(record), maximum: self.recipe.clip, scale: self.scale });
        }
        self.update(device, &gradients);
        device.submit();
        predicted
    }

    fn update(&mut self, device: &mut Device, gradients: &[Gradient]) {
        self.progress.step += 1;
        let rate = self.progress.schedule.rate();
        for (number, (&parameter, &gradient)) in self.model.parameters().tensors().iter().zip(gradients).enumerate() {
            if self.recipe.l2 > 0.0 {
                device.run(&Decay { values: parameter, factor: 1.0 - rate * self.recipe.l2 });
            }
            let state = &self.optimizer_state[number];
            let update = Update { parameter, gradient, state, scale: self.scale, rate, step: self.progress.step };
            (self.optimizer.update)(device, update);
        }
    }

    /// `parameter`: the one whose gradient is not finite; none for the loss.
    fn not_finite(&self, parameter: Option<usize>, window: usize) -> Error {
        let tensor = match parameter {
            None => "the loss".to_owned(),
            Some(number) => format!("the gradient of {}", self.model.parameters().specifications()[number].name),
        };
        Error::NotFinite {
            tensor,
            window,
            epoch: self.progress.epochs + 1,
            way_out: format!("Take a smaller --lr than {} or a --clip such as 1", self.progress.schedule.rate()),
        }
    }

    fn end_epoch(&mut self, device: &mut Device) -> Result<EpochRecord> {
        let start = Instant::now();
        let evaluation = self.evaluator.evaluate(device, &self.model, &self.corpus.valid)?;
        let lr = self.progress.schedule.rate();
        let verdict = self.progress.schedule.after_epoch(evaluation.log10_prob);
        match (&self.best, verdict.roll_back) {
            (Some(best), true) => self.model.parameters().upload(device, best)?,
            _ => {
                // The former weights and the logits make room first: all of them at a time would be the most memory that a run ever takes.
                self.best = None;
                device.rest_shared();
                self.best = Some(Arc::new(self.model.parameters().download(device)?));
                self.progress.best_valid_loss = Some(evaluation.loss());
            }
        }
        let progress = &mut self.progress;
        progress.epochs += 1;
        let record = EpochRecord {
            epoch: progress.epochs,
            train_loss: progress.nats / progress.tokens.max(1) as f64,
            valid_loss: evaluation.loss(),
            valid_perplexity: evaluation.perplexity,
            lr,
            tokens_per_second: progress.tokens as f64 / progress.seconds.max(1e-9),
            seconds: progress.seconds + start.elapsed().as_secs_f64(),
            rolled_back: verdict.roll_back,
        };
        progress.stopped = verdict.stop;
        progress.history.push(record.clone());
        (progress.window, progress.nats, progress.tokens, progress.seconds) = (0, 0.0, 0, 0.0);
        Ok(record)
    }
}
