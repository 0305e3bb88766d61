//! How fast a device is, against its own ceilings: training, evaluation and generation for a table
//! of configurations.
//!
//! In: a device and a row of [`CONFIGURATIONS`]. Out: rates. The text is random, with the skewed
//! frequencies of real words, so that looked-up rows repeat as they do in a corpus.

use std::time::Instant;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use crate::corpus::{Corpus, Streams, TextReport, Tokens, Vocabulary};
use crate::data_loader::{DataLoader, Mode};
use crate::device::{Device, Profile};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::generate::{Generator, Sampling};
use crate::kernels::{Activation, Matmul, Precision, Scale, Sgd};
use crate::model::{CELLS, Capacity, Config, Model, Workspace, initial_values};
use crate::tensor::Tensor;
use crate::train::{Event, Recipe, ScheduleKind, Trainer};

/// Sizes of a model and of its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The letter by which tables name it; "-" for sizes of one's own.
    pub name: &'static str,
    /// A row of [`CELLS`].
    pub cell: &'static str,
    /// L.
    pub num_layers: usize,
    /// H.
    pub hidden_size: usize,
    /// V.
    pub vocab_size: usize,
    /// D; 0 for one-hot input.
    pub embedding_size: usize,
    /// B.
    pub batch: usize,
    /// T.
    pub time_steps: usize,
}

const fn row(
    name: &'static str,
    (cell, num_layers, hidden_size): (&'static str, usize, usize),
    vocab_size: usize,
    batch: usize,
    time_steps: usize,
) -> Configuration {
    Configuration {
        name,
        cell,
        num_layers,
        hidden_size,
        vocab_size,
        embedding_size: 0,
        batch,
        time_steps,
    }
}

/// The configurations of `benches/RESULTS.md`.
pub static CONFIGURATIONS: &[Configuration] = &[
    row("a", ("elman", 1, 200), 10_000, 32, 35),
    row("b", ("elman", 1, 200), 10_000, 128, 35),
    row("c", ("elman", 1, 500), 10_000, 64, 35),
    row("d", ("elman", 1, 128), 96, 50, 50),
    row("e", ("elman", 1, 100), 17_906, 32, 35),
    row("f", ("elman", 1, 1024), 10_000, 128, 35),
    row("lstm-a", ("lstm", 1, 200), 10_000, 32, 35),
    row("lstm-b", ("lstm", 2, 650), 10_000, 32, 35),
    row("lstm-c", ("lstm", 2, 128), 96, 50, 50),
    row("gru-a", ("gru", 1, 200), 10_000, 32, 35),
    row("gru-b", ("gru", 2, 650), 10_000, 32, 35),
    row("gru-c", ("gru", 2, 128), 96, 50, 50),
];

/// What a device can do at best.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceilings {
    /// GFLOP/s of a large square f32 matrix product.
    pub product_gflops: f64,
    /// GB/s of a loop that reads and writes every number of a large tensor.
    pub bandwidth_gbs: f64,
}

/// How long to measure, and what.
#[derive(Debug, Clone, Copy)]
pub struct BenchOptions {
    /// Seconds of training for each configuration.
    pub seconds: f64,
    /// Rows and columns of the product that a device is compared with.
    pub product_size: usize,
    /// Whether evaluation and generation are left out.
    pub training_only: bool,
}

/// What a device does with one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Rates {
    /// The configuration.
    pub configuration: Configuration,
    /// Tokens a second in training, updates and all; the median over runs of windows.
    pub training: f64,
    /// GFLOP/s in training: [`Configuration::flops`] a token.
    pub training_gflops: f64,
    /// GFLOP/s of the large product, measured in turn with training.
    pub product_gflops: f64,
    /// Training's rate as a part of the product's, the median over turns: a machine that is slower
    /// for a while is so for both.
    pub share: f64,
    /// Tokens a second in evaluation.
    pub evaluation: Option<f64>,
    /// Tokens a second in generation.
    pub generation: Option<f64>,
    /// Seconds and runs by kernel of some windows of training: on a GPU by its own clock, on the
    /// CPU one kernel at a time.
    pub kernels: Profile,
}

impl Configuration {
    /// Floating-point operations of training on a token: each product forward and its two products
    /// back.
    pub fn flops(&self) -> f64 {
        let gates = CELLS
            .iter()
            .find(|row| row.name == self.cell)
            .map_or(1, |row| row.gates);
        let [h, v, d, l, g] = [
            self.hidden_size,
            self.vocab_size,
            self.embedding_size,
            self.num_layers,
            gates,
        ]
        .map(|size| size as f64);
        6.0 * h * v + 6.0 * g * h * (h * l + h * (l - 1.0) + d)
    }

    fn config(&self) -> Config {
        let bias = CELLS.iter().any(|row| row.name == self.cell && row.bias);
        Config {
            bias,
            decoder_bias: bias,
            cell: self.cell.into(),
            activation: Activation::Tanh,
            num_layers: self.num_layers,
            vocab_size: self.vocab_size,
            embedding_size: self.embedding_size,
            hidden_size: self.hidden_size,
            ..Config::default()
        }
    }

    /// Plain SGD with clipping, as peers' examples train.
    fn recipe(&self) -> Recipe {
        Recipe {
            batch: self.batch,
            bptt: self.time_steps,
            epochs: usize::MAX,
            optimizer: "sgd".into(),
            schedule: ScheduleKind::Constant,
            clip: 0.25,
            ..Recipe::default()
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median seconds of one call of `work`, called until about `seconds` have gone by after one
/// call to warm up.
fn seconds_of(
    device: &mut Device,
    seconds: f64,
    mut work: impl FnMut(&mut Device) -> Result<()>,
) -> Result<f64> {
    work(device)?;
    device.wait()?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 5 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work(device)?;
        device.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// The large square product, and memory for it.
struct Product {
    size: usize,
    kernel: Matmul,
}

impl Product {
    fn new(device: &mut Device, size: usize) -> Result<Self> {
        let [a, b, c] = ["a", "b", "c"].map(|name| device.tensor::<f32>(name, size, size));
        Ok(Self {
            size,
            kernel: Matmul {
                a: a?,
                b: b?,
                c: c?,
                transpose_a: false,
                transpose_b: false,
                accumulate: false,
                precision: Precision::Full,
            },
        })
    }

    /// GFLOP/s, measured for about `seconds`.
    fn gflops(&self, device: &mut Device, seconds: f64) -> Result<f64> {
        let time = seconds_of(device, seconds, |device| {
            device.run(&self.kernel);
            Ok(())
        })?;
        Ok(2.0 * (self.size as f64).powi(3) / time / 1e9)
    }

    fn release(self, device: &mut Device) {
        for tensor in [self.kernel.a, self.kernel.b, self.kernel.c] {
            device.release(tensor);
        }
    }
}

/// Measures the device's ceilings for about `seconds` each.
///
/// # Errors
/// If the device failed or is too small.
pub fn ceilings(device: &mut Device, product_size: usize, seconds: f64) -> Result<Ceilings> {
    let product = Product::new(device, product_size)?;
    let product_gflops = product.gflops(device, seconds)?;
    product.release(device);
    let values = device.tensor::<f32>("values", 4096, 4096)?;
    let time = seconds_of(device, seconds, |device| {
        device.run(&Scale {
            values,
            factor: 1.0,
        });
        Ok(())
    })?;
    let bandwidth_gbs = 2.0 * 4.0 * values.len() as f64 / time / 1e9;
    device.release(values);
    Ok(Ceilings {
        product_gflops,
        bandwidth_gbs,
    })
}

/// A random text whose words have frequencies like 1 / rank.
fn corpus(configuration: &Configuration, windows: usize) -> Result<Corpus> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let vocabulary = Vocabulary::new(
        (0..configuration.vocab_size)
            .map(|id| id.to_string())
            .collect(),
    )?;
    let scale = (configuration.vocab_size as f64).ln();
    let mut draw = move || {
        ((random.random::<f64>() * scale).exp() as u32).min(configuration.vocab_size as u32) - 1
    };
    let train: Tokens = (0..configuration.batch * configuration.time_steps * windows)
        .map(|_| draw())
        .collect();
    let valid: Tokens = (0..1024).map(|_| draw()).collect();
    Ok(Corpus {
        vocabulary,
        train,
        valid,
        report: TextReport::default(),
    })
}

/// Trains some windows over and over for about `seconds`; tokens a second, run by run.
fn training(device: &mut Device, trainer: &mut Trainer<'_>, seconds: f64) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    let start = Instant::now();
    while rates.is_empty() || start.elapsed().as_secs_f64() < seconds {
        match trainer.advance(device)? {
            Event::Windows {
                tokens_per_second, ..
            } => rates.push(tokens_per_second),
            Event::Epoch(_) => {}
            Event::Finished => break,
        }
    }
    Ok(rates)
}

/// One window of random text with a model and room to train on it again and again, for benches of
/// single steps.
#[derive(Debug)]
pub struct BenchWindow {
    model: Model,
    workspace: Workspace,
    window: crate::model::Window,
    scale: Tensor,
}

impl BenchWindow {
    /// Makes the model and uploads the text.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn new(device: &mut Device, configuration: &Configuration) -> Result<Self> {
        let Configuration {
            batch, time_steps, ..
        } = *configuration;
        let config = configuration.config();
        let text = corpus(configuration, 2)?;
        let model = Model::new(device, config.clone(), &initial_values(&config, 1))?;
        let workspace = Workspace::new(
            device,
            &model,
            Capacity {
                batch,
                time_steps,
                training: true,
                ..Capacity::default()
            },
        )?;
        let mut loader = DataLoader::new(
            device,
            Streams::new(&text.train, batch, time_steps)?,
            Mode::Train { history: 0 },
        )?;
        let (window, _) = loader.window(device, &workspace, 0, 0);
        let scale = device.tensor_from("scale of gradients", 1, 1, &[1.0])?;
        Ok(Self {
            model,
            workspace,
            window,
            scale,
        })
    }

    /// Forward, back, and a step of SGD; waits for its end.
    ///
    /// # Errors
    /// If the device failed.
    pub fn step(&self, device: &mut Device) -> Result<()> {
        self.model.forward(device, &self.workspace, &self.window);
        self.model
            .backward(device, &self.workspace, &self.window, 1e-3);
        for (&parameter, gradient) in self
            .model
            .parameters()
            .tensors()
            .iter()
            .zip(self.workspace.gradients(&self.window))
        {
            device.run(&Sgd {
                parameter,
                gradient,
                scale: self.scale,
                rate: 1e-3,
            });
        }
        device.wait()
    }
}

/// Turns that training and the product take.
const TURNS: usize = 5;
/// Windows of the random text.
const WINDOWS: usize = 64;

/// Measures one configuration.
///
/// # Errors
/// If the device failed or is too small.
pub fn rates(
    device: &mut Device,
    configuration: &Configuration,
    plan: &BenchOptions,
) -> Result<Rates> {
    let seconds = plan.seconds;
    let corpus = corpus(configuration, WINDOWS)?;
    let config = configuration.config();
    let values = initial_values(&config, 1);
    let product = Product::new(device, plan.product_size)?;
    let mut trainer = Trainer::new(
        device,
        config.clone(),
        &values,
        configuration.recipe(),
        &corpus,
    )?;
    // Pipelines are made, caches filled, and the interval between two looks finds its length.
    training(device, &mut trainer, seconds / 4.0)?;
    let (mut all, mut products, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let before = product.gflops(device, seconds / 50.0)?;
        let rates = training(device, &mut trainer, seconds / TURNS as f64)?;
        let after = product.gflops(device, seconds / 50.0)?;
        products.extend([before, after]);
        shares.push(median(rates.clone()) * configuration.flops() / 1e9 / ((before + after) / 2.0));
        all.extend(rates);
    }
    product.release(device);
    device.set_profiling(true)?;
    training(device, &mut trainer, seconds / 8.0)?;
    let kernels = device.set_profiling(false)?;
    drop(trainer);
    let (mut evaluation, mut generation) = (None, None);
    if !plan.training_only {
        let model = Model::new(device, config, &values)?;
        let evaluator = Evaluator::new(device, &model, false)?;
        let time = seconds_of(device, seconds / 4.0, |device| {
            evaluator.evaluate(device, &model, &corpus.valid).map(drop)
        })?;
        evaluation = Some(corpus.valid.len() as f64 / time);
        let mut generator = Generator::new(device, &model, Sampling::default(), 1)?;
        let time = seconds_of(device, seconds / 8.0, |device| {
            generator.next_token(device, &model).map(drop)
        })?;
        generation = Some(1.0 / time);
    }
    let rate = median(all);
    Ok(Rates {
        configuration: *configuration,
        training: rate,
        training_gflops: rate * configuration.flops() / 1e9,
        product_gflops: median(products),
        share: median(shares),
        evaluation,
        generation,
        kernels,
    })
}
