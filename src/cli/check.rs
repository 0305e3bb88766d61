//! `elman check`: compares every kernel and whole training steps on a GPU with the CPU, to test the
//! driver.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::DeviceFlags;
use super::output::{Output, check_overwrite_by};
use crate::check::{Extent, check};
use crate::device::{Device, adapters};
use crate::error::{Error, Result};
use crate::output_file::write_file;

#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Print every case, not only those that fail
    #[arg(long, conflicts_with = "json")]
    verbose: bool,
    /// Check large sizes too, which take minutes on a software adapter
    #[arg(long)]
    all: bool,
    /// Write a report to attach to a bug report: version, adapter, driver, limits, features, and
    /// every case with its worst error
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace the report if it exists
    #[arg(long, requires = "report")]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The cases that have been compared, as lines.
#[derive(Default)]
struct Cases {
    all: Vec<String>,
    failed: Vec<String>,
}

pub(super) fn run(flags: &CheckFlags) -> Result<()> {
    if let Some(file) = &flags.report {
        check_overwrite_by("--report", file, flags.force)?;
    }
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
    let mut cases = Cases::default();
    let extent = if flags.all {
        Extent::All
    } else {
        Extent::Usual
    };
    let checked = check(&mut cpu, &mut gpu, extent, &mut |report| {
        cases.all.push(report.to_string());
        if !report.passed() {
            cases.failed.push(report.to_string());
        }
    });
    if let Some(file) = &flags.report {
        // A device that failed is what a report is for.
        let error = checked.as_ref().err().map(ToString::to_string);
        write_report(file, &name, &cases, error)?;
    }
    checked?;
    print(flags, &name, &cases)?;
    if cases.failed.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        name,
        format!(
            "{} of {} cases disagree with the CPU",
            cases.failed.len(),
            cases.all.len()
        ),
        "Train with --device cpu, and report the driver and the cases, with the file that --report \
         FILE writes",
    ))
}

fn print(flags: &CheckFlags, name: &str, cases: &Cases) -> Result<()> {
    let mut output = Output::new();
    let Cases { all, failed } = cases;
    if flags.json {
        output.json(&json!({ "device": name, "cases": all.len(), "failed": failed }))?;
    } else {
        for line in if flags.verbose { all } else { failed } {
            output.line(line)?;
        }
        output.line(summary(name, cases))?;
        if let Some(file) = &flags.report {
            output.line(format_args!("report: {}", file.display()))?;
        }
    }
    output.flush()
}

fn summary(name: &str, Cases { all, failed }: &Cases) -> String {
    format!(
        "{} of {} cases agree with the CPU on {name}",
        all.len() - failed.len(),
        all.len()
    )
}

fn write_report(file: &Path, name: &str, cases: &Cases, error: Option<String>) -> Result<()> {
    let text = report_text(name, cases, error);
    write_file(file, |mut file| file.write_all(text.as_bytes()))
}

/// A text for people: what was checked, on what, and the results, failures first.
fn report_text(name: &str, cases: &Cases, error: Option<String>) -> String {
    let mut text = format!(
        "elman check, version {} on {} {}\n\nadapter: {name}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let all = adapters();
    if let Some(adapter) = all.iter().find(|adapter| adapter.description() == name) {
        text.push_str(&adapter.details());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&summary(name, cases));
    text.push('\n');
    if let Some(error) = error {
        let _ = writeln!(text, "the check ended early: {error}");
    }
    for (title, lines) in [("failed", &cases.failed), ("all cases", &cases.all)] {
        let _ = writeln!(text, "\n{title}: {}", lines.len());
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_version_the_failures_and_the_error() {
        let cases = Cases {
            all: vec!["ok     a".into(), "FAILED b".into()],
            failed: vec!["FAILED b".into()],
        };
        let text = report_text("a GPU", &cases, Some("the device was lost".into()));
        for part in [
            concat!("elman check, version ", env!("CARGO_PKG_VERSION")),
            "adapter: a GPU\n",
            "1 of 2 cases agree with the CPU on a GPU\n",
            "the check ended early: the device was lost\n",
            "failed: 1\nFAILED b\n",
            "all cases: 2\nok     a\nFAILED b\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
