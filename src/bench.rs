//! The speed of training, evaluation and generation on a device, relative to the device's ceilings.
//!
//! In: a device and a row of [`CONFIGURATIONS`]. Out: [`Rates`]. The text is random, with word
//! frequencies like those of natural text, so that words repeat within a window as in a real
//! corpus.

mod ceilings;
mod configuration;
mod tune;
mod window;

use std::time::{Duration, Instant};

use serde::Serialize;

pub use ceilings::{Ceilings, ceilings};
pub use configuration::{CONFIGURATIONS, Configuration};
pub use tune::{LayerSize, ScheduleRule, ScheduleTimes, Tuning, tune, tuning_sizes};
pub use window::BenchWindow;

use crate::activity::Activity;
use crate::corpus::Tokens;
use crate::device::{Device, Profile, SubmittedWork};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::generate::{Generator, Sampling};
use crate::model::{Model, initial_values};
use crate::parallel::Ranks;
use crate::train::{CorpusShare, Event, PrecisionKind, Recipe, Trainer};
use ceilings::{SquareProduct, median, seconds_of};
use configuration::random_corpus;

/// What to measure, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BenchOptions {
    /// Duration of training for each configuration, in seconds.
    pub seconds: f64,
    /// Rows and columns of the matrix product that training is compared with.
    pub product_size: usize,
    /// Whether to skip evaluation and generation.
    pub training_only: bool,
    /// The precision of training's products, and of the product that training is compared with.
    pub precision: PrecisionKind,
}

/// The speed of one configuration on a device.
#[derive(Debug, Clone, Serialize)]
pub struct Rates {
    /// The configuration.
    pub configuration: Configuration,
    /// Training tokens per second, including updates: the median over groups of steps.
    pub training: f64,
    /// GFLOP/s in training, from [`Configuration::flops`] per token.
    pub training_gflops: Option<f64>,
    /// GFLOP/s of the square matrix product of the same precision, measured alternately with
    /// training.
    pub product_gflops: f64,
    /// `training_gflops / product_gflops`, the median over rounds. Both are measured in each round,
    /// so that a machine that is slow for a while affects both. Of several ranks, each has such a
    /// product.
    pub share: Option<f64>,
    /// With several ranks, what they do beside the work of one.
    pub ranks: Option<RankWork>,
    /// Tokens per second in evaluation.
    pub evaluation: Option<f64>,
    /// Tokens per second in generation.
    pub generation: Option<f64>,
    /// On a GPU, the work of the host for a window of training.
    pub host: Option<HostWork>,
    /// Seconds and number of runs of each kernel over some training steps: on a GPU by its clock,
    /// on the CPU one kernel at a time.
    pub kernels: Profile,
}

/// The work of several ranks beside that of one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RankWork {
    /// The number of ranks.
    pub count: usize,
    /// The smallest and the largest share of the time that a rank spends in operations with the
    /// others, mainly sums of gradients, with its waits for them. The slowest rank waits least.
    pub communication: [f64; 2],
}

impl RankWork {
    /// From the share of the time that each rank has spent in operations with the others.
    fn of(ranks: &Ranks, own_share: f64) -> Self {
        let mut shares = ranks.gather(&[own_share]).concat();
        shares.sort_by(f64::total_cmp);
        Self {
            count: ranks.count(),
            communication: [shares[0], shares[shares.len() - 1]],
        }
    }
}

/// The work of the host for a window of training on a GPU.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HostWork {
    /// Number of dispatches.
    pub dispatches: f64,
    /// Time that the host was busy, in microseconds: it records and submits dispatches, and does
    /// not wait for the GPU.
    pub microseconds: f64,
}

/// The work of the host since `before` for `windows` windows, which took `elapsed`.
fn host_work(
    device: &Device,
    before: Option<SubmittedWork>,
    windows: u32,
    elapsed: Duration,
) -> Option<HostWork> {
    let (before, after) = (before?, device.submitted_work()?);
    let busy = elapsed.saturating_sub(after.waited - before.waited);
    Some(HostWork {
        dispatches: (after.dispatches - before.dispatches) as f64 / f64::from(windows),
        microseconds: 1e6 * busy.as_secs_f64() / f64::from(windows),
    })
}

/// Trains for about `seconds` by the clock of the first rank. Returns the tokens per second of each
/// group of steps, at least one.
fn train(device: &mut Device, trainer: &mut Trainer<'_>, seconds: f64) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    // The time of the first group includes whatever happened since the last one.
    let mut start = None;
    loop {
        match trainer.advance(device)? {
            Event::Steps {
                tokens_per_second, ..
            } => match start {
                None => start = Some(Instant::now()),
                Some(_) => rates.push(tokens_per_second),
            },
            Event::Epoch(_) => {}
            Event::Finished => break,
        }
        let elapsed = start.map_or(0.0, |start| start.elapsed().as_secs_f64());
        let elapsed = trainer.ranks().of_first(elapsed);
        if !rates.is_empty() && elapsed >= seconds {
            break;
        }
    }
    Ok(rates)
}

/// Seconds that a group of steps should take.
const SECONDS_PER_GROUP: f64 = 0.05;

/// The number of steps in a group, at a training rate in tokens per second: a power of two that
/// divides [`WINDOWS`], so that all groups have the same number of steps. On a GPU the time of a
/// group is that between the ends of two groups; with unequal groups it would be wrong.
fn steps_per_group(configuration: &Configuration, rate: f64) -> usize {
    let window = (configuration.batch * configuration.time_steps) as f64;
    let steps = (SECONDS_PER_GROUP * rate / window) as usize;
    let steps = steps.clamp(1, WINDOWS);
    1 << steps.ilog2()
}

/// Rounds, each of which measures both training and the matrix product.
const ROUNDS: usize = 5;
/// Windows of the random text, a power of two. In a long epoch its end, when weights are saved,
/// takes little of the time.
const WINDOWS: usize = 1024;

/// Measures one configuration, on all ranks together.
///
/// # Errors
/// If the device fails or has too little memory, or the sizes do not fit the cell or output layer.
pub fn rates(
    device: &mut Device,
    configuration: &Configuration,
    options: &BenchOptions,
    ranks: &Ranks,
) -> Result<Rates> {
    let activity = Activity::start(
        format_args!("measuring ({})", configuration.name),
        Some(ROUNDS as u64),
    );
    let seconds = options.seconds;
    let of_all_ranks = Configuration {
        batch: configuration.batch * ranks.count(),
        ..*configuration
    };
    let mut corpus = random_corpus(&of_all_ranks, WINDOWS)?;
    // Training validates after each epoch; that should take no time.
    let shortest = std::iter::once(0).collect();
    let evaluation_text = std::mem::replace(&mut corpus.valid, shortest);
    let config = configuration.config(&corpus.counts()?)?;
    let values = initial_values(&config, 1);
    let product = SquareProduct::new(device, options.product_size, options.precision)?;
    let recipe = Recipe {
        precision: options.precision,
        ..of_all_ranks.recipe()
    };
    let corpus = CorpusShare {
        corpus: &corpus,
        ranks: ranks.clone(),
    };
    let mut trainer = Trainer::new(device, config.clone(), &values, recipe, corpus)?;
    // Warm-up: pipelines are compiled and caches filled.
    let warm_up = ranks.of_first(median(train(device, &mut trainer, seconds / 4.0)?));
    trainer.set_max_steps_per_event(steps_per_group(&of_all_ranks, warm_up));
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.measure(device, &mut trainer, &product, seconds / ROUNDS as f64)?;
        activity.advance(1);
    }
    product.release(device);
    device.set_profiling(true)?;
    train(device, &mut trainer, seconds / 8.0)?;
    let kernels = device.set_profiling(false)?;
    drop(trainer);
    let mut evaluation = None;
    let mut generation = None;
    if !options.training_only && ranks.is_alone() {
        let model = Model::new(device, config, &values)?;
        evaluation = Some(evaluation_rate(
            device,
            &model,
            &evaluation_text,
            seconds / 4.0,
        )?);
        generation = Some(generation_rate(device, &model, seconds / 8.0)?);
    }
    let communication = rounds.communication / rounds.seconds;
    let training = median(rounds.rates);
    let gflops = |rate| Some(rate * configuration.flops()? / 1e9);
    let shares = rounds.shares.iter().map(|&rate| gflops(rate));
    let shares: Option<Vec<f64>> = shares.collect();
    Ok(Rates {
        configuration: *configuration,
        training,
        training_gflops: gflops(training),
        product_gflops: median(rounds.products),
        share: shares.map(|shares| median(shares) / ranks.count() as f64),
        ranks: (!ranks.is_alone()).then(|| RankWork::of(ranks, communication)),
        evaluation,
        generation,
        host: rounds.host,
        kernels,
    })
}

/// The measurements of all rounds.
#[derive(Default)]
struct Rounds {
    /// Tokens per second of each group of steps.
    rates: Vec<f64>,
    /// GFLOP/s of the product.
    products: Vec<f64>,
    /// The tokens per second of a round, relative to the GFLOP/s of the product.
    shares: Vec<f64>,
    host: Option<HostWork>,
    /// The time of training, and that of communication within it.
    seconds: f64,
    communication: f64,
}

impl Rounds {
    /// Measures training for about `seconds`, and the product before and after it.
    fn measure(
        &mut self,
        device: &mut Device,
        trainer: &mut Trainer<'_>,
        product: &SquareProduct,
        seconds: f64,
    ) -> Result<()> {
        let before = product.gflops(device, seconds / 10.0)?;
        let work = device.submitted_work();
        let step = trainer.progress().step;
        let communication = trainer.ranks().communication_seconds();
        let start = Instant::now();
        let rates = train(device, trainer, seconds)?;
        let elapsed = start.elapsed();
        let communication = trainer.ranks().communication_seconds() - communication;
        let windows = (trainer.progress().step - step).max(1);
        let of_host = elapsed.saturating_sub(Duration::from_secs_f64(communication));
        self.host = host_work(device, work, windows, of_host).or(self.host);
        self.seconds += elapsed.as_secs_f64();
        self.communication += communication;
        let after = product.gflops(device, seconds / 10.0)?;
        self.products.extend([before, after]);
        let rate = median(rates.clone());
        self.shares.push(rate / ((before + after) / 2.0));
        self.rates.extend(rates);
        Ok(())
    }
}

/// Tokens per second in evaluation, measured for about `seconds`.
fn evaluation_rate(device: &mut Device, model: &Model, text: &Tokens, seconds: f64) -> Result<f64> {
    let evaluator = Evaluator::new(device, model, false, 1)?;
    let time = seconds_of(device, seconds, |device| {
        evaluator.evaluate(device, model, text).map(drop)
    })?;
    Ok(text.len() as f64 / time)
}

/// Tokens per second in generation, measured for about `seconds`.
fn generation_rate(device: &mut Device, model: &Model, seconds: f64) -> Result<f64> {
    let mut generator = Generator::new(device, model, Sampling::default(), 1)?;
    let time = seconds_of(device, seconds, |device| {
        generator.next_token(device, model).map(drop)
    })?;
    Ok(1.0 / time)
}
