//! `elman devices`: every adapter, and which one `auto` takes.

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::device::{AdapterReport, DeviceChoice, adapters};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct DevicesFlags {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &DevicesFlags) -> Result<()> {
    let all = adapters();
    let taken = all
        .iter()
        .position(|report| DeviceChoice::Auto.takes(report));
    let mut output = Output::new();
    if flags.json {
        let list: Vec<_> = all.iter().map(json_row).collect();
        let auto = taken.map_or("cpu", |index| all[index].name.as_str());
        output.json(&json!({ "adapters": list, "auto": auto }))?;
        return output.flush();
    }
    for (number, report) in all.iter().enumerate() {
        output.line(report.title())?;
        output.line(format_args!("  driver           {}", report.driver))?;
        output.line(format_args!(
            "  largest binding  {} MiB, largest buffer {} MiB, workgroup memory {} KiB",
            report.largest_binding >> 20,
            report.largest_buffer >> 20,
            report.workgroup_memory >> 10
        ))?;
        let yes = |value| if value { "yes" } else { "no" };
        output.line(format_args!(
            "  f16 {}, immediates {}, timestamps {}",
            yes(report.f16),
            yes(report.immediates),
            yes(report.timestamps)
        ))?;
        let why = match (taken == Some(number), report.is_software()) {
            (true, _) => "auto takes this one: the first real GPU".to_owned(),
            (_, true) => {
                format!(
                    "never taken by auto: software is slower than the CPU path; --device {} takes \
                     it",
                    report.short_name()
                )
            }
            _ => "auto takes the one above".to_owned(),
        };
        output.line(format_args!("  {why}"))?;
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    output.line(format_args!("CPU, {threads} threads"))?;
    output.line(if taken.is_none() {
        "  auto takes this: there is no real GPU"
    } else {
        "  --device cpu takes this"
    })?;
    output.flush()
}

fn json_row(report: &AdapterReport) -> serde_json::Value {
    json!({
        "name": report.name,
        "backend": report.backend,
        "kind": report.kind,
        "driver": report.driver,
        "largest_binding": report.largest_binding,
        "largest_buffer": report.largest_buffer,
        "workgroup_memory": report.workgroup_memory,
        "f16": report.f16,
        "immediates": report.immediates,
        "timestamps": report.timestamps,
    })
}
