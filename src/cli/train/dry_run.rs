//! `elman train --dry-run`: what a run would need and do, without writing anything.
//!
//! In: [`TrainFlags`]. Out: memory, times and flags on standard output. Windows of the training
//! text are measured on the device.

use std::time::Duration;

use serde_json::json;

use super::flags::TrainFlags;
use super::{model_conditions, print_sizes, start, texts, warn_of_warm_up};
use crate::check::check_mixed_products;
use crate::cli::is_used;
use crate::cli::output::Output;
use crate::cli::replay::run_flags;
use crate::cli::table_flags::flag_line;
use crate::device::Device;
use crate::error::Result;
use crate::train::PrecisionKind;

/// The longest time for the measurement of windows.
const MEASUREMENT: Duration = Duration::from_secs(8);

pub(super) fn run(flags: &TrainFlags, device: &mut Device) -> Result<()> {
    let recipe = flags.recipe()?;
    if recipe.precision == PrecisionKind::Mixed {
        check_mixed_products(device)?;
    }
    let (text, valid) = texts::texts(flags)?;
    let init = start::initial_model(flags, &text)?;
    let unit = init
        .as_ref()
        .map_or(flags.vocabulary.unit(), |model| model.description.unit);
    let vocabulary = init.as_ref().map(|model| model.vocabulary.clone());
    let corpus = texts::read_corpus(flags, &text, valid.as_ref(), unit, vocabulary)?;
    let record = texts::corpus_record(flags, text.path(), valid, &corpus)?;
    let (mut trainer, description) = start::trainer(device, flags, recipe, init, (&corpus).into())?;
    print_sizes(&trainer, &corpus, device);
    warn_of_warm_up(&trainer);
    if is_used(&flags.out)? {
        note_line!(
            "note: {} exists and is not empty; the run needs --force, or another --out",
            flags.out.display()
        );
    }
    // Before the measurement: afterwards the device holds what only the measurement needed.
    let (device_bytes, saving_bytes) = (device.allocated_bytes(), trainer.snapshot_bytes());
    let mut flags_of_run = run_flags(&description, &record, trainer.recipe());
    model_conditions::retain_effective(&mut flags_of_run, &description.config);
    let epochs = trainer.recipe().epochs;
    let seconds = trainer.measure_epoch(device, MEASUREMENT)?;
    let mut output = Output::new();
    if flags.json {
        let values = flags_of_run
            .iter()
            .map(|(name, value)| (name.clone(), json!(value.to_string_lossy())));
        output.json(&json!({
            "parameters": trainer.model().parameters().len(),
            "windows_per_epoch": trainer.windows_per_epoch(),
            "device_bytes": device_bytes,
            "saving_bytes": saving_bytes,
            "epoch_seconds": seconds,
            "epochs": epochs,
            "run_seconds": seconds * epochs as f64,
            "flags": serde_json::Map::from_iter(values),
            "device": device.name(),
        }))?;
        return output.flush();
    }
    output.line(format_args!("an epoch   {}", rounded(seconds)))?;
    output.line(format_args!(
        "the run    {}, if it takes all {epochs} epochs",
        rounded(seconds * epochs as f64)
    ))?;
    output.line(format_args!(
        "memory     {} MiB on the device, about {} MiB more while it is saved",
        device_bytes.div_ceil(1 << 20),
        saving_bytes.div_ceil(1 << 20)
    ))?;
    output.line("flags")?;
    for flag in &flags_of_run {
        output.line(format_args!("  {}", flag_line(flag)))?;
    }
    output.flush()
}

/// A time with two digits.
fn rounded(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 6000.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}
