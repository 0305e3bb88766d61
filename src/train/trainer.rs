//! One training run: epochs of steps, a validation after each epoch, and the weights to keep.
//!
//! In: a [`Recipe`], initial parameters, a [`Corpus`]. Out: [`Event`](crate::train::Event)s and,
//! between any two of them, a snapshot from which the run can be resumed. [`advance`] has the
//! course of a run, [`step`] the training step and [`epoch`] what happens between epochs.

mod advance;
mod budget;
mod divergence;
mod epoch;
mod kept_weights;
mod snapshot;
mod step;

use std::time::Instant;

use super::accumulator::Accumulator;
use super::averager::Averager;
use super::choices::{AverageKind, PrecisionKind};
use super::optimizer::{OPTIMIZERS, OptimizerKind};
use super::progress::{DeviceRecord, Progress};
use super::rank_sums::RankSums;
use super::recipe::Recipe;
use super::schedule::Schedule;
use super::share::CorpusShare;
use super::step_metrics::{MAX_STEPS, PendingSteps, StepMetrics};
use crate::corpus::{Corpus, Streams};
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::Evaluator;
use crate::kernels::{Gradient, StreamPart};
use crate::model::{
    Capacity, Config, Model, ParameterValues, Parameters, Workspace, initial_values,
    set_forget_bias,
};
use crate::parallel::Ranks;
use crate::tensor::Tensor;
use kept_weights::KeptWeights;

/// Trains a model on a corpus.
///
/// [`Trainer::train`] runs to the end. [`Trainer::advance`] runs until there is something to
/// report, so that a caller can show progress, save or stop in between.
#[derive(Debug)]
pub struct Trainer<'a> {
    recipe: Recipe,
    optimizer: &'static OptimizerKind,
    corpus: &'a Corpus,
    /// The ranks that divide the streams.
    ranks: Ranks,
    /// Present if there are other ranks.
    rank_sums: Option<RankSums>,
    model: Model,
    workspace: Workspace,
    evaluator: Evaluator,
    loader: DataLoader<'a>,
    /// For each parameter, the tensors that [`OptimizerKind::state`] names.
    optimizer_state: Vec<Vec<Tensor>>,
    metrics: StepMetrics,
    /// Present if an update has several windows.
    accumulator: Option<Accumulator>,
    /// Present if the recipe may average weights.
    averager: Option<Averager>,
    /// The factor of [`ClipGradNorm`](crate::kernels::ClipGradNorm) for all gradients of an update;
    /// 1 if gradients are not clipped.
    gradient_scale: Tensor,
    /// The gradients of the last update; empty before the first one.
    gradients: Vec<Gradient>,
    kept: KeptWeights,
    /// Whether the run is to end at the steps that have started.
    stopping: bool,
    progress: Progress,
    /// Steps between two collections of the metrics.
    interval: usize,
    /// The largest interval.
    max_interval: usize,
    /// The previous steps, which a GPU may still be running.
    pending: Option<PendingSteps>,
    collected_at: Instant,
}

/// The optimizer's state tensors, zero, for each parameter.
fn allocate_optimizer_state(
    device: &mut Device,
    optimizer: &OptimizerKind,
    parameters: &Parameters,
) -> Result<Vec<Vec<Tensor>>> {
    let mut state = Vec::new();
    for spec in parameters.specs() {
        let mut tensors = Vec::new();
        for name in optimizer.state {
            tensors.push(spec.allocate(device, &format!("{name} of {}", spec.name))?);
        }
        state.push(tensors);
    }
    Ok(state)
}

/// Checks that the device can train with a precision.
///
/// # Errors
/// If it cannot.
pub fn check_precision(device: &Device, precision: PrecisionKind) -> Result<()> {
    if precision == PrecisionKind::Mixed && !device.has_f16() {
        return Err(Error::invalid(
            "`precision = mixed`",
            format!("{} has no f16 for compute shaders", device.name()),
            "Use `precision = full`, or a device that `elman devices` lists with f16",
        ));
    }
    Ok(())
}

/// Checks that a model is evaluated with the zoneout that it is trained with.
fn check_zoneout(recipe: &Recipe, config: &Config) -> Result<()> {
    let rate = recipe.dropout.zoneout;
    if rate == 0.0 || rate.to_bits() == config.zoneout.to_bits() {
        return Ok(());
    }
    Err(Error::config(
        "zoneout",
        rate,
        format!("the model's configuration has {}", config.zoneout),
        "Use the same rate in both",
    ))
}

/// Checks that a model has the parameters that its recipe trains.
fn check_past_decode(recipe: &Recipe, config: &Config) -> Result<()> {
    if recipe.past_decode == 0.0 || config.past_decode {
        return Ok(());
    }
    Err(Error::config(
        "past_decode",
        recipe.past_decode,
        "the model has no parameters for it",
        "Set `Config::past_decode` of a new model, or use `add_past_decoder`",
    ))
}

impl<'a> Trainer<'a> {
    /// A new run from random initial parameters, drawn with the recipe's seed.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn from_scratch(
        device: &mut Device,
        config: Config,
        recipe: Recipe,
        corpus: impl Into<CorpusShare<'a>>,
    ) -> Result<Self> {
        config.validate()?;
        let mut values = initial_values(&config, recipe.seed);
        set_forget_bias(&config, &mut values, recipe.forget_bias);
        Self::new(device, config, &values, recipe, corpus)
    }

    /// A new run from the given parameters, in the file's order and layout.
    ///
    /// # Errors
    /// If the recipe or the configuration is invalid, the corpus is too short for the recipe, or
    /// something is too large for the device.
    pub fn new(
        device: &mut Device,
        config: Config,
        values: &ParameterValues,
        recipe: Recipe,
        corpus: impl Into<CorpusShare<'a>>,
    ) -> Result<Self> {
        let CorpusShare { corpus, ranks } = corpus.into();
        recipe.validate()?;
        let own_streams = ranks.streams("batch", recipe.batch)?;
        let optimizer = OPTIMIZERS
            .iter()
            .find(|row| row.name == recipe.optimizer)
            .expect("the recipe was validated");
        check_precision(device, recipe.precision)?;
        check_zoneout(&recipe, &config)?;
        check_past_decode(&recipe, &config)?;
        let history = recipe.bptt - recipe.block();
        let longest = recipe.longest_window();
        let streams = Streams::new(&corpus.train, recipe.batch, longest - history)?;
        let streams = streams.part(own_streams.clone());
        let averager = if recipe.average == AverageKind::Off {
            None
        } else {
            Some(Averager::new(device, &config, values)?)
        };
        let model = Model::new(device, config, values)?;
        let capacity = Capacity {
            batch: own_streams.len(),
            part: (!ranks.is_alone()).then_some(StreamPart {
                first: own_streams.start,
                count: own_streams.len(),
                of: recipe.batch,
            }),
            time_steps: longest,
            training: true,
            independent: recipe.independent,
            mixed: recipe.precision == PrecisionKind::Mixed,
            dropout: recipe.dropout,
            activation_l2: recipe.activation_l2,
            temporal_l2: recipe.temporal_l2,
            past_decode: recipe.past_decode,
            // Dropout masks have a seed of 32 bits.
            seed: recipe.seed as u32,
        };
        let workspace = Workspace::with_counts(device, &model, capacity, &corpus.counts()?)?;
        let streams_of_validation = recipe.validation_streams(model.config(), corpus.valid.len());
        // Where the ranks cannot have as many streams, all of them validate the whole text.
        let own_part = match ranks.streams("streams", streams_of_validation) {
            Ok(part) => part,
            Err(_) => 0..streams_of_validation,
        };
        let streams_of_validation = (streams_of_validation, own_part);
        let evaluator =
            Evaluator::of_part(device, &model, recipe.independent, streams_of_validation)?;
        let loader = DataLoader::new(device, streams, Mode::Train { history })?;
        let optimizer_state = allocate_optimizer_state(device, optimizer, model.parameters())?;
        let accumulator = if recipe.accumulate > 1 {
            Some(Accumulator::new(device, model.parameters())?)
        } else {
            None
        };
        let metrics = StepMetrics::new(device, model.parameters().tensors().len())?;
        let mut trainer = Self {
            optimizer,
            corpus,
            rank_sums: RankSums::new(&ranks, model.parameters()),
            ranks,
            model,
            workspace,
            evaluator,
            loader,
            optimizer_state,
            metrics,
            accumulator,
            averager,
            gradient_scale: device.tensor_from("scale of gradients", 1, 1, &[1.0])?,
            gradients: Vec::new(),
            kept: KeptWeights::None,
            stopping: false,
            progress: Progress {
                device: Some(DeviceRecord::of(device)),
                schedule: Schedule::new(&recipe),
                averaged_after: (recipe.average == AverageKind::Always).then_some(0),
                epochs: 0,
                window: 0,
                step: 0,
                nats: 0.0,
                tokens: 0,
                seconds: 0.0,
                last_update: None,
                stopped: false,
                cut_short: false,
                history: Vec::new(),
                best_valid_loss: None,
                divergences: 0,
            },
            interval: 1,
            max_interval: MAX_STEPS,
            pending: None,
            collected_at: Instant::now(),
            recipe,
        };
        trainer.resegment();
        Ok(trainer)
    }

    /// The state of the run, apart from its tensors.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The ranks that train together.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The model. During training it has the current weights, after
    /// [`Event::Finished`](crate::train::Event::Finished) the kept ones.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether all epochs are complete, or the schedule or the patience has ended the run.
    pub fn is_finished(&self) -> bool {
        self.progress.is_finished(&self.recipe)
    }

    /// Limits the steps between two events, to be able to stop at a given window. By default events
    /// come about every half second. Results do not depend on the limit.
    ///
    /// An update of several windows is not divided: the limit is rounded up to a multiple of
    /// [`Recipe::accumulate`].
    pub fn set_max_steps_per_event(&mut self, steps: usize) {
        self.max_interval = steps.clamp(1, MAX_STEPS);
        self.interval = self.interval.min(self.max_interval);
    }

    /// Ends training and returns the model.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// Segments the text into the windows of the current epoch.
    fn resegment(&mut self) {
        if self.recipe.bptt_jitter > 0 {
            let lengths = self.recipe.lengths(self.progress.epochs);
            self.loader.resegment(lengths);
        }
    }

    /// The number of windows in the current epoch. Each is one training step.
    pub fn windows_per_epoch(&self) -> usize {
        self.loader.streams().windows()
    }

    /// The number of streams that read the validation text at once: as many as training has, or
    /// fewer where the result would not be nearly exact.
    pub fn validation_streams(&self) -> usize {
        self.evaluator.streams()
    }

    /// The number of updates in all epochs, if no rule ends training earlier. With windows of
    /// random lengths, the later epochs count as many as the current one.
    pub fn updates(&self) -> u64 {
        let updates_per_epoch = self.windows_per_epoch().div_ceil(self.recipe.accumulate);
        (updates_per_epoch * self.recipe.epochs) as u64
    }

    /// The learning rate of the last update, or of the first one if there was none yet.
    pub fn learning_rate(&self) -> f32 {
        let step = self.progress.step.max(1);
        let updates = self.updates();
        let rate = self.progress.schedule.rate(&self.recipe, step, updates);
        rate * 0.5_f32.powi(self.progress.divergences as i32)
    }

    /// The average of the weights and the number of updates before it started, if weights are
    /// being averaged.
    fn averaging(&self) -> Option<(&Averager, u32)> {
        self.averager.as_ref().zip(self.progress.averaged_after)
    }

    /// The weights that are validated and may be kept: the averaged ones, if weights are averaged.
    fn validated_model(&self) -> &Model {
        self.averaging()
            .map_or(&self.model, |(averager, _)| &averager.model)
    }
}
