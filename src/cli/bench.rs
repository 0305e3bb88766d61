//! `elman bench`: measures the speed of a device and compares it with the device's peak rates.

mod tune;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::RankDeviceFlags;
use super::output::Output;
use super::ranks::{START_AGAIN, check_devices, end};
use crate::bench::{BenchOptions, CONFIGURATIONS, Ceilings, Configuration, Rates, ceilings, rates};
use crate::check::check_mixed_products;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::model::{CELLS, OUTPUTS, find_cell, find_output};
use crate::parallel::{Ranks, world};
use crate::train::{PrecisionKind, check_precision};

#[derive(Debug, Args)]
pub(super) struct BenchFlags {
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// Configurations to measure, such as a,d [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    config: Vec<String>,
    /// Measure one configuration with this hidden size instead; requires --vocab-size
    #[arg(
        long,
        value_name = "H",
        conflicts_with = "config",
        requires = "vocab_size",
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    hidden: Option<u32>,
    /// Vocabulary size
    #[arg(
        long,
        value_name = "V",
        requires = "hidden",
        conflicts_with = "config",
        value_parser = clap::value_parser!(u32).range(2..),
    )]
    vocab_size: Option<u32>,
    /// Cell of the hidden layers, as for `train`; mogrifier, qrnn, and feedforward, which reads
    /// four words, need --embedding
    #[arg(
        long,
        value_name = "CELL",
        requires = "hidden",
        conflicts_with = "config",
        default_value = "elman",
        value_parser = cell_names(),
    )]
    cell: String,
    /// Normalize the products and the memory of --cell lstm, as for `train`
    #[arg(long, requires = "hidden", conflicts_with = "config")]
    layer_norm: bool,
    /// Cap the input gates of --cell lstm or --cell mogrifier, as for `train`
    #[arg(long, requires = "hidden", conflicts_with = "config")]
    cap_input_gate: bool,
    /// Add the input of layers to what they pass on, as for `train`
    #[arg(long, requires = "hidden", conflicts_with = "config")]
    residual: bool,
    /// Number of hidden layers
    #[arg(
        long,
        value_name = "L",
        requires = "hidden",
        conflicts_with = "config",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    layers: u32,
    /// Output layer, as for `train`, with its default sizes
    #[arg(
        long,
        value_name = "OUTPUT",
        requires = "hidden",
        conflicts_with = "config",
        default_value = "softmax",
        value_parser = output_names(),
    )]
    output: String,
    /// Number of parallel streams; under mpirun, those of each rank
    #[arg(
        long,
        value_name = "B",
        requires = "hidden",
        conflicts_with = "config",
        default_value_t = 32,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    batch: u32,
    /// Time steps of a window
    #[arg(
        long,
        value_name = "T",
        requires = "hidden",
        conflicts_with = "config",
        default_value_t = 35,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    bptt: u32,
    /// Skip evaluation and generation
    #[arg(long)]
    training_only: bool,
    /// Use an embedding of the hidden size instead of one-hot input, as is usual with PyTorch's
    /// nn.RNN
    #[arg(long)]
    embedding: bool,
    /// Seconds of training for each configuration
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Rows and columns of the matrix product that measures the peak rate
    #[arg(long, default_value_t = 2048, value_name = "N")]
    product: usize,
    /// Precision of the products of training, and of the product that it is compared with
    #[arg(long, value_enum, default_value_t = PrecisionKind::Full, hide_possible_values = true)]
    precision: PrecisionKind,
    /// Time recurrences in one dispatch for a window and in one for each step, on a GPU, and say
    /// which rule for the choice would be better; training does not change
    #[arg(
        long,
        conflicts_with_all = [
            "config",
            "hidden",
            "training_only",
            "embedding",
            "seconds",
            "product",
            "precision",
        ],
    )]
    tune: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The names in the table of cells.
fn cell_names() -> PossibleValuesParser {
    PossibleValuesParser::new(CELLS.iter().map(|row| row.name))
}

/// The names in the table of output layers.
fn output_names() -> PossibleValuesParser {
    PossibleValuesParser::new(OUTPUTS.iter().map(|row| row.name))
}

/// The configurations that the flags select.
fn configurations(flags: &BenchFlags) -> Result<Vec<Configuration>> {
    let names: Vec<_> = CONFIGURATIONS.iter().map(|row| row.name).collect();
    if let Some(unknown) = flags
        .config
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(Error::usage(
            format!("--config {unknown}"),
            "there is no such configuration",
            format!("Use one of {}", names.join(", ")),
        ));
    }
    if !(flags.seconds.is_finite() && flags.seconds > 0.0) || flags.product == 0 {
        return Err(Error::usage(
            "--seconds or --product",
            "they must be above 0",
            "Omit them to use the defaults",
        ));
    }
    let with_embedding = |row: &Configuration| Configuration {
        embedding_size: if flags.embedding { row.hidden_size } else { 0 },
        ..*row
    };
    if let (Some(hidden), Some(vocabulary)) = (flags.hidden, flags.vocab_size) {
        let [hidden_size, vocab_size, batch, time_steps] =
            [hidden, vocabulary, flags.batch, flags.bptt].map(|size| size as usize);
        let cell = find_cell(&flags.cell).map_or("elman", |row| row.name);
        let output = find_output(&flags.output).map_or("softmax", |row| row.name);
        let configuration = Configuration {
            name: "-",
            cell,
            layer_norm: flags.layer_norm,
            cap_input_gate: flags.cap_input_gate,
            residual: flags.residual,
            num_layers: flags.layers as usize,
            hidden_size,
            vocab_size,
            embedding_size: 0,
            output,
            batch,
            time_steps,
        };
        return Ok(vec![with_embedding(&configuration)]);
    }
    let is_selected = |row: &&Configuration| {
        flags.config.is_empty() || flags.config.iter().any(|name| name == row.name)
    };
    Ok(CONFIGURATIONS
        .iter()
        .filter(is_selected)
        .map(with_embedding)
        .collect())
}

pub(super) fn run(flags: &BenchFlags) -> Result<()> {
    let ranks = world();
    ranks.agree(flags.check_ranks(&ranks))?;
    if flags.tune {
        return tune::run(flags);
    }
    let configurations = ranks.agree(configurations(flags))?;
    let mut device = ranks.agree(flags.device.open())?;
    check_devices(&ranks, &device)?;
    flags.device.rank_timeout.watch(&ranks, START_AGAIN)?;
    let options = BenchOptions {
        seconds: flags.seconds,
        product_size: flags.product,
        training_only: flags.training_only,
        precision: flags.precision,
    };
    let ceilings = ranks.agree(prepare(&mut device, &options))?;
    let mut output = Output::new();
    // Of several ranks, the others measure on where the first one cannot print.
    let mut printed = print_title(&mut output, flags, &device, &ceilings);
    let mut all_rates = Vec::new();
    for configuration in &configurations {
        if ranks.is_alone() {
            printed?;
            printed = Ok(());
        }
        let rates = rates(&mut device, configuration, &options, &ranks)?;
        if !flags.json && printed.is_ok() {
            printed = print_rates(&mut output, &rates);
        }
        all_rates.push(rates);
    }
    if flags.json {
        printed = output.json(&json!({
            "device": device.name(),
            "precision": options.precision.name(),
            "ceilings": ceilings,
            "rates": all_rates,
        }));
    }
    end(&ranks, printed.and_then(|()| output.flush()))
}

impl BenchFlags {
    /// Checks that ranks can do together what is asked.
    fn check_ranks(&self, ranks: &Ranks) -> Result<()> {
        if ranks.is_alone() || !self.tune {
            return Ok(());
        }
        Err(Error::usage(
            format!("--tune on {} ranks", ranks.count()),
            "it measures one adapter",
            "Start it without mpirun",
        ))
    }
}

/// Checks that the device has the precision, and measures its ceilings.
fn prepare(device: &mut Device, options: &BenchOptions) -> Result<Ceilings> {
    check_precision(device, options.precision)?;
    if options.precision == PrecisionKind::Mixed {
        check_mixed_products(device)?;
    }
    ceilings(device, options)
}

/// Prints the device and the titles of columns, unless JSON is printed.
fn print_title(
    output: &mut Output,
    flags: &BenchFlags,
    device: &Device,
    ceilings: &Ceilings,
) -> Result<()> {
    if flags.json {
        return Ok(());
    }
    output.line(format_args!(
        "{}: matrix product {:.1} GFLOP/s, reading and writing {:.1} GB/s",
        device.name(),
        ceilings.product_gflops,
        ceilings.bandwidth_gbs
    ))?;
    output.line(format_args!(
        "{:50}training             product     share   evaluation   generation",
        ""
    ))?;
    output.line(format_args!(
        "{:18}H       V    D    B   T   tokens/s   GFLOP/s   GFLOP/s of product     \
         tokens/s     tokens/s",
        ""
    ))?;
    output.flush()
}

/// Prints a line of rates and a line with each kernel's share of the time.
fn print_rates(output: &mut Output, rates: &Rates) -> Result<()> {
    let Configuration {
        name,
        num_layers,
        hidden_size,
        vocab_size,
        embedding_size,
        batch,
        time_steps,
        ..
    } = rates.configuration;
    let or_dash = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.0}"));
    let gflops = rates
        .training_gflops
        .map_or("-".into(), |rate| format!("{rate:.1}"));
    let share = rates
        .share
        .map_or("-  ".into(), |share| format!("{:.1} %", 100.0 * share));
    output.line(format_args!(
        "{:8} {num_layers:2} x {hidden_size:4} {vocab_size:7} {embedding_size:4} {batch:4} \
         {time_steps:3} {:10.0} {gflops:>9} {:9.1} {share:>10}  {:>11}  {:>11}",
        format!("({name})"),
        rates.training,
        rates.product_gflops,
        or_dash(rates.evaluation),
        or_dash(rates.generation)
    ))?;
    let total: f64 = rates.kernels.values().map(|entry| entry.0).sum();
    let mut kernels: Vec<_> = rates.kernels.iter().collect();
    kernels.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    let shares: Vec<_> = kernels
        .iter()
        .map(|(name, entry)| format!("{name} {:.1} %", 100.0 * entry.0 / total))
        .collect();
    output.line(format_args!("      {}", shares.join(", ")))?;
    if let Some(ranks) = rates.ranks {
        output.line(format_args!(
            "      {} ranks with {batch} streams each: communication {:.1} to {:.1} % of the time",
            ranks.count,
            100.0 * ranks.communication[0],
            100.0 * ranks.communication[1]
        ))?;
    }
    if let Some(host) = rates.host {
        output.line(format_args!(
            "      a window: {:.0} dispatches, {:.0} µs of the host",
            host.dispatches, host.microseconds
        ))?;
    }
    output.flush()
}
