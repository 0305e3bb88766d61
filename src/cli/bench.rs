//! `elman bench`: how fast a device is, against its own ceilings.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::DeviceFlags;
use super::output::Output;
use crate::bench::{BenchOptions, CONFIGURATIONS, Configuration, Rates, ceilings, rates};
use crate::error::{Error, Result};
use crate::model::CELLS;

#[derive(Debug, Args)]
pub(super) struct BenchFlags {
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Measure these configurations only, such as a,d [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    config: Vec<String>,
    /// Measure a hidden layer of this size instead [with --vocab-size, --batch and --bptt]
    #[arg(
        long,
        value_name = "H",
        conflicts_with = "config",
        requires = "vocab_size",
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    hidden: Option<u32>,
    /// Types of the vocabulary
    #[arg(
        long,
        value_name = "V",
        requires = "hidden",
        value_parser = clap::value_parser!(u32).range(2..),
    )]
    vocab_size: Option<u32>,
    /// The cell of the hidden layers: elman, gru or lstm
    #[arg(
        long,
        value_name = "CELL",
        requires = "hidden",
        default_value = "elman",
        value_parser = cell_names(),
    )]
    cell: String,
    /// Hidden layers
    #[arg(
        long,
        value_name = "L",
        requires = "hidden",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    layers: u32,
    /// Streams
    #[arg(
        long,
        value_name = "B",
        requires = "hidden",
        default_value_t = 32,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    batch: u32,
    /// Steps of a window
    #[arg(
        long,
        value_name = "T",
        requires = "hidden",
        default_value_t = 35,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    bptt: u32,
    /// Leave evaluation and generation out
    #[arg(long)]
    training_only: bool,
    /// Put an embedding of the hidden layer's size in place of one-hot input, as PyTorch's nn.RNN
    /// has it
    #[arg(long)]
    embedding: bool,
    /// Seconds of training to measure for each configuration
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Rows and columns of the matrix product that the ceiling is measured with
    #[arg(long, default_value_t = 2048, value_name = "N")]
    product: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The names of the table of cells.
fn cell_names() -> PossibleValuesParser {
    PossibleValuesParser::new(CELLS.iter().map(|row| row.name))
}

fn chosen(flags: &BenchFlags) -> Result<Vec<Configuration>> {
    let names: Vec<_> = CONFIGURATIONS.iter().map(|row| row.name).collect();
    if let Some(unknown) = flags
        .config
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(Error::usage(
            format!("--config {unknown}"),
            "there is no such configuration",
            format!("They are: {}", names.join(", ")),
        ));
    }
    if !(flags.seconds.is_finite() && flags.seconds > 0.0) || flags.product == 0 {
        return Err(Error::usage(
            "--seconds or --product",
            "they must be above 0",
            "Leave them out for the defaults",
        ));
    }
    let with_embedding = |row: &Configuration| Configuration {
        embedding_size: if flags.embedding { row.hidden_size } else { 0 },
        ..*row
    };
    if let (Some(hidden), Some(vocabulary)) = (flags.hidden, flags.vocab_size) {
        let [hidden_size, vocab_size, batch, time_steps] =
            [hidden, vocabulary, flags.batch, flags.bptt].map(|size| size as usize);
        let cell = CELLS
            .iter()
            .map(|row| row.name)
            .find(|name| *name == flags.cell)
            .unwrap_or("elman");
        let (name, num_layers, embedding_size) = ("-", flags.layers as usize, 0);
        let own = Configuration {
            name,
            cell,
            num_layers,
            hidden_size,
            vocab_size,
            embedding_size,
            batch,
            time_steps,
        };
        return Ok(vec![with_embedding(&own)]);
    }
    let wanted = |row: &&Configuration| {
        flags.config.is_empty() || flags.config.iter().any(|name| name == row.name)
    };
    Ok(CONFIGURATIONS
        .iter()
        .filter(wanted)
        .map(with_embedding)
        .collect())
}

pub(super) fn run(flags: &BenchFlags) -> Result<()> {
    let configurations = chosen(flags)?;
    let mut device = flags.device.open()?;
    let mut output = Output::new();
    let ceilings = ceilings(&mut device, flags.product, (flags.seconds / 8.0).min(1.0))?;
    if !flags.json {
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
        output.flush()?;
    }
    let plan = BenchOptions {
        seconds: flags.seconds,
        product_size: flags.product,
        training_only: flags.training_only,
    };
    let mut all = Vec::new();
    for configuration in &configurations {
        let found = rates(&mut device, configuration, &plan)?;
        if !flags.json {
            print(&mut output, &found)?;
        }
        all.push(found);
    }
    if flags.json {
        output.json(&json!({ "device": device.name(), "ceilings": ceilings, "rates": all }))?;
    }
    output.flush()
}

/// A line of rates and one of the kernels' shares.
fn print(output: &mut Output, found: &Rates) -> Result<()> {
    let Configuration {
        name,
        num_layers,
        hidden_size,
        vocab_size,
        embedding_size,
        batch,
        time_steps,
        ..
    } = found.configuration;
    let or_none = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.0}"));
    output.line(format_args!(
        "{:8} {num_layers:2} x {hidden_size:4} {vocab_size:7} {embedding_size:4} {batch:4} \
         {time_steps:3} {:10.0} {:9.1} {:9.1} {:8.1} %  {:>11}  {:>11}",
        format!("({name})"),
        found.training,
        found.training_gflops,
        found.product_gflops,
        100.0 * found.share,
        or_none(found.evaluation),
        or_none(found.generation)
    ))?;
    let total: f64 = found.kernels.values().map(|entry| entry.0).sum();
    let mut kernels: Vec<_> = found.kernels.iter().collect();
    kernels.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    let shares: Vec<_> = kernels
        .iter()
        .map(|(name, entry)| format!("{name} {:.1} %", 100.0 * entry.0 / total))
        .collect();
    output.line(format_args!("      {}", shares.join(", ")))?;
    output.flush()
}
