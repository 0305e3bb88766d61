//! `elman check`: compares every kernel on a GPU with the CPU, to test the driver.

use clap::Args;
use serde_json::json;

use super::DeviceFlags;
use super::output::Output;
use crate::check::check;
use crate::device::Device;
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Print every case, not only those that fail
    #[arg(long, conflicts_with = "json")]
    verbose: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &CheckFlags) -> Result<()> {
    let mut gpu = flags.device.open()?;
    if !gpu.is_gpu() {
        return Err(Error::invalid(
            gpu.name(),
            "the check compares a GPU with the CPU, and this device is not a GPU",
            "`elman devices` lists the adapters; --device NAME selects one, including software \
             adapters",
        ));
    }
    let name = gpu.name().to_owned();
    let mut cpu = Device::cpu(flags.device.threads());
    let mut output = Output::new();
    let mut failed = Vec::new();
    let mut count = 0_usize;
    let mut lines = Vec::new();
    check(&mut cpu, &mut gpu, &mut |report| {
        count += 1;
        if !report.passed() {
            failed.push(report.to_string());
        }
        if flags.verbose || !report.passed() {
            lines.push(report.to_string());
        }
    })?;
    if flags.json {
        output.json(&json!({ "device": name, "cases": count, "failed": failed }))?;
    } else {
        for line in lines {
            output.line(line)?;
        }
        output.line(format_args!(
            "{} of {count} cases agree with the CPU on {name}",
            count - failed.len()
        ))?;
    }
    output.flush()?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        name,
        format!(
            "{} of {count} kernel cases disagree with the CPU",
            failed.len()
        ),
        "Train with --device cpu, and report the driver and the cases",
    ))
}
