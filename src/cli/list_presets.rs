//! `elman presets`: lists the presets, or prints the file of one.

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::presets::{PRESETS, names};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct PresetsFlags {
    /// Print the file of this preset, whose lines `elman train --config` takes too
    #[arg(value_name = "NAME", value_parser = names())]
    preset: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &PresetsFlags) -> Result<()> {
    let mut output = Output::new();
    let is_selected = |name: &str| {
        flags
            .preset
            .as_deref()
            .is_none_or(|selected| selected == name)
    };
    let presets: Vec<_> = PRESETS
        .iter()
        .filter(|preset| is_selected(preset.name))
        .collect();
    if flags.json {
        let rows = presets.iter().map(|preset| {
            let description = preset.description();
            json!({ "name": preset.name, "description": description, "flags": preset.text })
        });
        output.json(&json!({ "presets": rows.collect::<Vec<_>>() }))?;
    } else if flags.preset.is_some() {
        for preset in presets {
            output.bytes(preset.text.as_bytes())?;
        }
    } else {
        for preset in presets {
            output.line(format_args!("{}\n  {}", preset.name, preset.description()))?;
        }
        output.line("\nelman train --preset NAME uses one; elman presets NAME prints its flags")?;
    }
    output.flush()
}
