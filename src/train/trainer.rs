//! One training run: a window at a time, stoppable between any two.

mod snapshot;

use std::sync::Arc;
use std::time::Instant;

use super::accumulator::Accumulator;
use super::averager::Averager;
use super::choices::{AverageKind, LossReduction, PrecisionKind};
use super::optimizer::{OPTIMIZERS, OptimizerKind, ParameterUpdate};
use super::progress::{EpochRecord, Event, Progress};
use super::recipe::Recipe;
use super::schedule::Schedule;
use super::step_metrics::{CollectedMetrics, MAX_STEPS, PendingSteps, StepMetrics};
use crate::corpus::{Corpus, Streams};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::Evaluator;
use crate::kernels::{ClipGradNorm, ClipGradValue, Gradient, Scale};
use crate::model::{Capacity, Config, Model, Window, Workspace};
use crate::tensor::Tensor;

/// A model in training.
#[derive(Debug)]
pub struct Trainer<'a> {
    recipe: Recipe,
    optimizer: &'static OptimizerKind,
    corpus: &'a Corpus,
    model: Model,
    workspace: Workspace,
    evaluator: Evaluator,
    loader: DataLoader<'a>,
    /// For every parameter, the optimiser's tensors.
    optimizer_state: Vec<Vec<Tensor>>,
    metrics: StepMetrics,
    /// Where an update has several windows.
    accumulator: Option<Accumulator>,
    /// Where weights are averaged, or may be.
    averager: Option<Averager>,
    scale: Tensor,
    /// The kept weights.
    best: Option<Arc<Vec<Vec<f32>>>>,
    /// Between epochs: whether training goes on from other weights than the kept ones.
    past_best: bool,
    /// These other weights, once the kept ones have taken their place on the device.
    last: Option<Arc<Vec<Vec<f32>>>>,
    progress: Progress,
    /// Windows of a run, after which the losses are looked at.
    interval: usize,
    /// The run before, which a GPU may still be at.
    pending: Option<PendingSteps>,
    /// When the last run was looked at.
    collected_at: Instant,
}

/// Seconds between two looks that the interval aims at.
const SECONDS_BETWEEN_COLLECTIONS: f64 = 0.5;

impl<'a> Trainer<'a> {
    /// A run at its beginning, from parameters in the file's layout.
    ///
    /// # Errors
    /// If the recipe or the configuration is wrong, the corpus too short for it, or the device too
    /// small.
    pub fn new(
        device: &mut Device,
        config: Config,
        values: &[Vec<f32>],
        recipe: Recipe,
        corpus: &'a Corpus,
    ) -> Result<Self> {
        recipe.validate()?;
        let optimizer = OPTIMIZERS
            .iter()
            .find(|row| row.name == recipe.optimizer)
            .expect("the recipe was validated");
        let mixed = recipe.precision == PrecisionKind::Mixed;
        if mixed && !device.has_f16() {
            return Err(Error::invalid(
                "--precision mixed",
                format!("{} has no f16 for compute shaders", device.name()),
                "Take --precision full, or a device of which `elman devices` says that it has f16",
            ));
        }
        let history = recipe.bptt - recipe.block();
        let streams = Streams::new(
            &corpus.train,
            recipe.batch,
            recipe.longest_window() - history,
        )?;
        let averager = if recipe.average == AverageKind::Off {
            None
        } else {
            Some(Averager::new(device, &config, values)?)
        };
        let model = Model::new(device, config, values)?;
        let capacity = Capacity {
            batch: recipe.batch,
            time_steps: recipe.longest_window(),
            history,
            training: true,
            independent: recipe.independent,
            mixed,
            dropout: recipe.dropout,
            // The low half is enough to tell masks apart.
            seed: recipe.seed as u32,
        };
        let workspace = Workspace::with_counts(device, &model, capacity, &corpus.counts())?;
        let evaluator = Evaluator::new(device, &model, recipe.independent)?;
        let loader = DataLoader::new(device, streams, Mode::Train { history })?;
        let mut optimizer_state = Vec::new();
        for spec in model.parameters().parameter_specs() {
            let allocate = |name: &&str| spec.allocate(device, &format!("{name} of {}", spec.name));
            optimizer_state.push(
                optimizer
                    .state
                    .iter()
                    .map(allocate)
                    .collect::<Result<Vec<_>>>()?,
            );
        }
        let parameters = model.parameters().tensors().len();
        let progress = Progress {
            epochs: 0,
            window: 0,
            step: 0,
            nats: 0.0,
            tokens: 0,
            seconds: 0.0,
            schedule: Schedule::new(&recipe),
            averaged_after: (recipe.average == AverageKind::Always).then_some(0),
            stopped: false,
            history: Vec::new(),
            best_valid_loss: None,
        };
        let accumulator = if recipe.accumulate > 1 {
            Some(Accumulator::new(device, model.parameters())?)
        } else {
            None
        };
        let mut trainer = Self {
            optimizer,
            corpus,
            model,
            workspace,
            evaluator,
            loader,
            optimizer_state,
            metrics: StepMetrics::new(device, parameters)?,
            accumulator,
            averager,
            scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            best: None,
            past_best: false,
            last: None,
            progress,
            interval: 1,
            pending: None,
            collected_at: Instant::now(),
            recipe,
        };
        trainer.resegment();
        Ok(trainer)
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

    /// Cuts the text into the windows of the epoch that is under way or comes next.
    fn resegment(&mut self) {
        if self.recipe.bptt_jitter > 0 {
            self.loader
                .resegment(self.recipe.lengths(self.progress.epochs));
        }
    }

    /// Windows of this epoch.
    pub fn windows(&self) -> usize {
        self.loader.streams().windows()
    }

    /// The learning rate of the last update, or before the first one its rate.
    pub fn rate(&self) -> f32 {
        let updates = self.windows().div_ceil(self.recipe.accumulate) * self.recipe.epochs;
        self.progress
            .schedule
            .rate(&self.recipe, self.progress.step.max(1), updates as u64)
    }

    /// Trains until there is something to tell.
    ///
    /// # Errors
    /// If the device failed, or a loss or gradient is not finite; the model must not be kept then.
    pub fn advance(&mut self, device: &mut Device) -> Result<Event> {
        if self.progress.window == self.windows() {
            if let Some(run) = self.pending.take() {
                return self.collect(device, run);
            }
            return self.end_epoch(device).map(Event::Epoch);
        }
        if self.progress.stopped || self.progress.epochs >= self.recipe.epochs {
            self.put_best(device)?;
            return Ok(Event::Finished);
        }
        let run = self.train_steps(device);
        if run.is_ready() {
            return self.collect(device, run);
        }
        match self.pending.replace(run) {
            Some(previous) => self.collect(device, previous),
            // The first run of all, or of an epoch: the next one is handed over before this one is
            // waited for.
            None => self.advance(device),
        }
    }

    /// Trains on the next few windows of the epoch.
    fn train_steps(&mut self, device: &mut Device) -> PendingSteps {
        let start = Instant::now();
        let first = self.progress.window;
        if first == 0 {
            self.workspace.reset(device);
            self.collected_at = start;
        }
        // A run ends where an update does, so that nothing need be kept of half an update.
        let update = self.recipe.accumulate;
        let count = self
            .interval
            .next_multiple_of(update)
            .min(MAX_STEPS / update * update)
            .min(self.windows() - first);
        let mut tokens = 0;
        for record in 0..count {
            tokens += self.train_step(device, first + record, record);
        }
        self.progress.window += count;
        self.metrics
            .finish(device, first, count, tokens, start.elapsed().as_secs_f64())
    }

    /// Waits for a run and takes account of it.
    fn collect(&mut self, device: &mut Device, run: PendingSteps) -> Result<Event> {
        let PendingSteps {
            first,
            count,
            tokens,
            ..
        } = run;
        let (is_ready, spent) = (run.is_ready(), run.seconds);
        let CollectedMetrics {
            sums,
            gradient_norm,
            not_finite,
        } = run.collect(device)?;
        if let Some((window, parameter)) = not_finite {
            return Err(self.not_finite(parameter, first + window + 1));
        }
        // Where runs overlap, one takes the time between two looks.
        let seconds = if is_ready {
            spent
        } else {
            self.collected_at.elapsed().as_secs_f64()
        };
        self.collected_at = Instant::now();
        let nats: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
        self.progress.nats += nats;
        self.progress.tokens += tokens;
        self.progress.seconds += seconds;
        // How often one looks changes nothing but the wait.
        let fitting = count as f64 * SECONDS_BETWEEN_COLLECTIONS / seconds.max(1e-6);
        self.interval = (fitting as usize).clamp(1, MAX_STEPS);
        let (loss, tokens_per_second) = (
            nats / tokens.max(1) as f64,
            tokens as f64 / seconds.max(1e-9),
        );
        Ok(Event::Windows {
            loss,
            sums,
            gradient_norm,
            tokens_per_second,
        })
    }

    /// One window: forward, back, and where it is the last one of an update, update. Returns the
    /// tokens predicted.
    fn train_step(&mut self, device: &mut Device, number: usize, record: usize) -> usize {
        // Every window of the run has masks of its own.
        let most = self
            .loader
            .streams()
            .steps()
            .div_ceil(self.recipe.shortest_window());
        let draw = (self.progress.epochs * most + number) as u32;
        let (window, predicted) = self.loader.window(device, &self.workspace, number, draw);
        let scale = match (self.recipe.reduction, &self.accumulator) {
            (LossReduction::Mean, None) => 1.0 / predicted.max(1) as f32,
            _ => 1.0,
        };
        self.model.forward(device, &self.workspace, &window);
        self.model.backward(device, &self.workspace, &window, scale);
        let mut gradients = self.workspace.gradients(&window);
        let is_last =
            (number + 1).is_multiple_of(self.recipe.accumulate) || number + 1 == self.windows();
        if let Some(accumulator) = &mut self.accumulator {
            gradients = accumulator.add(device, &gradients, predicted);
            if is_last {
                accumulator.end(device, self.recipe.reduction);
            }
        }
        if is_last && self.recipe.clip_value > 0.0 {
            for gradient in &gradients {
                device.run(&ClipGradValue {
                    values: gradient.values(),
                    maximum: self.recipe.clip_value,
                });
            }
        }
        self.metrics
            .write(device, record, self.workspace.losses(&window), &gradients);
        if is_last {
            if self.recipe.clip > 0.0 {
                device.run(&ClipGradNorm {
                    squares: self.metrics.squares(record),
                    maximum: self.recipe.clip,
                    scale: self.scale,
                });
            }
            self.update(device, &window, &gradients);
        }
        device.submit();
        predicted
    }

    fn update(&mut self, device: &mut Device, window: &Window, gradients: &[Gradient]) {
        self.progress.step += 1;
        let rate = match self.recipe.reduction {
            // A mean over a short window counts as much less as there is less in it.
            LossReduction::Mean if self.recipe.bptt_jitter > 0 => {
                self.rate() * (window.time_steps as f32 / self.recipe.bptt as f32)
            }
            _ => self.rate(),
        };
        for (number, (&parameter, &gradient)) in self
            .model
            .parameters()
            .tensors()
            .iter()
            .zip(gradients)
            .enumerate()
        {
            let rate = rate
                * self
                    .recipe
                    .rate_factor(&self.model.parameters().parameter_specs()[number].name);
            if self.recipe.l2 > 0.0 {
                device.run(&Scale {
                    values: parameter,
                    factor: 1.0 - rate * self.recipe.l2,
                });
            }
            let state = &self.optimizer_state[number];
            let update = ParameterUpdate {
                parameter,
                gradient,
                state,
                scale: self.scale,
                rate,
                step: self.progress.step,
            };
            (self.optimizer.update)(device, update);
        }
        if let Some((averager, before)) = self.averaging() {
            averager.add(device, &self.model, self.progress.step - before);
        }
    }

    /// The averages and the updates before them, once weights are averaged.
    fn averaging(&self) -> Option<(&Averager, u32)> {
        self.averager.as_ref().zip(self.progress.averaged_after)
    }

    /// The weights that are validated and kept.
    fn validated(&self) -> &Model {
        self.averaging()
            .map_or(&self.model, |(averager, _)| &averager.model)
    }

    /// `parameter`: the one whose gradient is not finite; none for the loss.
    fn not_finite(&self, parameter: Option<usize>, window: usize) -> Error {
        let tensor = match parameter {
            None => "the loss".to_owned(),
            Some(number) => format!(
                "the gradient of {}",
                self.model.parameters().parameter_specs()[number].name
            ),
        };
        Error::NotFinite {
            tensor,
            window,
            epoch: self.progress.epochs + 1,
            hint: format!(
                "Take a smaller --lr than {} or a --clip such as 1",
                self.rate()
            ),
        }
    }

    fn end_epoch(&mut self, device: &mut Device) -> Result<EpochRecord> {
        let start = Instant::now();
        let evaluation = self
            .evaluator
            .evaluate(device, self.validated(), &self.corpus.valid)?;
        let averaged = self.progress.averaged_after.is_some();
        let lr = self.rate();
        let verdict = self.progress.schedule.after_epoch(
            &self.recipe,
            self.progress.epochs + 1,
            evaluation.log10_prob,
        );
        let keep = verdict.keep || self.best.is_none();
        match &self.best {
            Some(best) if verdict.roll_back => self.model.parameters().upload(device, best)?,
            _ if keep => {
                // The former weights and the logits make room first: all of them at a time would be
                // the most memory that a run ever takes.
                self.best = None;
                device.release_scratch();
                self.best = Some(Arc::new(self.validated().parameters().download(device)?));
                self.progress.best_valid_loss = Some(evaluation.loss());
            }
            _ => {}
        }
        self.past_best = averaged || !(keep || verdict.roll_back);
        let before: Vec<_> = self
            .progress
            .history
            .iter()
            .map(|epoch| epoch.valid_loss)
            .collect();
        if !averaged && self.recipe.average.begins(&before, evaluation.loss()) {
            self.progress.averaged_after = Some(self.progress.step);
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
            averaged,
        };
        progress.stopped = verdict.stop;
        progress.history.push(record.clone());
        (
            progress.window,
            progress.nats,
            progress.tokens,
            progress.seconds,
        ) = (0, 0.0, 0, 0.0);
        self.resegment();
        Ok(record)
    }

    /// The kept weights take the place of those that the last epoch left.
    fn put_best(&mut self, device: &mut Device) -> Result<()> {
        if let (true, None, Some(best)) = (self.past_best, &self.last, &self.best) {
            let parameters = self.model.parameters();
            self.last = Some(Arc::new(parameters.download(device)?));
            parameters.upload(device, best)?;
        }
        Ok(())
    }
}
