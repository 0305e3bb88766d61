//! `elman bench`: how fast a device is, against its own ceilings.

use clap::Args;
use serde_json::json;

use super::DeviceFlags;
use super::output::Output;
use crate::bench::{CONFIGURATIONS, Configuration, ceilings, rates};
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct BenchFlags {
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Measure these configurations only, such as a,d [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    config: Vec<String>,
    /// Put an embedding of the hidden layer's size in place of one-hot input, as PyTorch's nn.RNN has it
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

fn chosen(flags: &BenchFlags) -> Result<Vec<Configuration>> {
    let names: Vec<_> = CONFIGURATIONS.iter().map(|row| row.name).collect();
    if let Some(unknown) = flags.config.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::usage(
            format!("--config {unknown}"),
            "there is no such configuration",
            format!("They are: {}", names.join(", ")),
        ));
    }
    if !(flags.seconds.is_finite() && flags.seconds > 0.0) || flags.product == 0 {
        return Err(Error::usage("--seconds or --product", "they must be above 0", "Leave them out for the defaults"));
    }
    let wanted = |row: &&Configuration| flags.config.is_empty() || flags.config.iter().any(|name| name == row.name);
    let with_embedding = |row: &Configuration| Configuration { embedding_size: if flags.embedding { row.hidden_size } else { 0 }, ..*row };
    Ok(CONFIGURATIONS.iter().filter(wanted).map(with_embedding).collect())
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
        output.line("                                       training               evaluation   generation")?;
        output.line("        H      V    D    B   T   tokens/s   GFLOP/s  of peak     tokens/s     tokens/s")?;
        output.flush()?;
    }
    let mut all = Vec::new();
    for configuration in &configurations {
        let found = rates(&mut device, configuration, flags.seconds)?;
        if !flags.json {
            let Configuration { name, hidden_size, vocab_size, embedding_size, batch, time_steps } = *configuration;
            output.line(format_args!(
                "({name}) {hidden_size:5} {vocab_size:6} {embedding_size:4} {batch:4} {time_steps:3} {:10.0} {:9.1} {:6.1} %  {:11.0}  {:11.0}",
                found.training,
                found.training_gflops,
                100.0 * found.training_gflops / ceilings.product_gflops,
                found.evaluation,
                found.generation
            ))?;
            let total: f64 = found.kernels.values().map(|entry| entry.0).sum();
            let mut kernels: Vec<_> = found.kernels.iter().collect();
            kernels.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
            let shares: Vec<_> = kernels.iter().map(|(name, entry)| format!("{name} {:.1} %", 100.0 * entry.0 / total)).collect();
            output.line(format_args!("      {}", shares.join(", ")))?;
            output.flush()?;
        }
        all.push(found);
    }
    if flags.json {
        output.json(&json!({ "device": device.name(), "ceilings": ceilings, "rates": all }))?;
    }
    output.flush()
}
