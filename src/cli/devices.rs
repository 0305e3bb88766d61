//! `elman devices`: lists every adapter, and says which device `auto` uses.

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::device::{AdapterInfo, DeviceChoice, adapters};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct DevicesFlags {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &DevicesFlags) -> Result<()> {
    let all = adapters();
    let selected = all.iter().position(|info| DeviceChoice::Auto.matches(info));
    let mut output = Output::new();
    if flags.json {
        let list: Vec<_> = all.iter().map(json_row).collect();
        let auto = selected.map_or("cpu", |index| all[index].name.as_str());
        output.json(&json!({ "adapters": list, "auto": auto }))?;
        return output.flush();
    }
    for (index, info) in all.iter().enumerate() {
        output.line(info.description())?;
        output.line(format_args!("  driver           {}", info.driver))?;
        output.line(format_args!(
            "  largest binding  {} MiB, largest buffer {} MiB, workgroup memory {} KiB",
            info.max_binding_bytes >> 20,
            info.max_buffer_bytes >> 20,
            info.workgroup_memory_bytes >> 10
        ))?;
        let yes = |value| if value { "yes" } else { "no" };
        let matrices = match info.matrix {
            Some(size) => format!("{size} x {size}"),
            None => "no".to_owned(),
        };
        output.line(format_args!(
            "  f16 {}, cooperative matrices {}, immediates {}, timestamps {}",
            yes(info.f16),
            matrices,
            yes(info.immediates),
            yes(info.timestamps)
        ))?;
        let reason = match (selected == Some(index), info.is_software()) {
            (true, _) => "auto uses this one: the first hardware GPU".to_owned(),
            (_, true) => {
                format!(
                    "never used by auto: software is slower than the CPU path; --device {} \
                     selects it",
                    info.short_name()
                )
            }
            _ => "auto uses the one above".to_owned(),
        };
        output.line(format_args!("  {reason}"))?;
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    output.line(format_args!("CPU, {threads} threads"))?;
    output.line(if selected.is_none() {
        "  auto uses this: there is no hardware GPU"
    } else {
        "  --device cpu selects this"
    })?;
    output.flush()
}

fn json_row(info: &AdapterInfo) -> serde_json::Value {
    json!({
        "name": info.name,
        "backend": info.backend,
        "kind": info.kind,
        "driver": info.driver,
        "largest_binding": info.max_binding_bytes,
        "largest_buffer": info.max_buffer_bytes,
        "workgroup_memory": info.workgroup_memory_bytes,
        "f16": info.f16,
        "cooperative_matrix": info.matrix.is_some(),
        "immediates": info.immediates,
        "timestamps": info.timestamps,
    })
}
