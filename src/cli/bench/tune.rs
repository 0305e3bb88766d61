//! `elman bench --tune`: times both schedules of recurrences, and judges the rule that chooses.

use serde_json::json;

use super::BenchFlags;
use crate::bench::{LayerSize, ScheduleRule, ScheduleTimes, Tuning, tune, tuning_sizes};
use crate::cli::output::Output;
use crate::error::Result;

/// Time steps of a window, as in the configurations.
const TIME_STEPS: usize = 35;

pub(super) fn run(flags: &BenchFlags) -> Result<()> {
    let mut device = flags.device.open()?;
    let tuning = tune(&mut device, &tuning_sizes(), TIME_STEPS)?;
    let mut output = Output::new();
    if flags.json {
        output.json(&json!({ "device": device.name(), "tuning": tuning }))?;
        return output.flush();
    }
    output.line(format_args!(
        "{}: µs of the recurrence of a window of {TIME_STEPS} steps, forward and backward",
        device.name()
    ))?;
    output.line("cell      H    B    G·H²  one dispatch  one a step   faster by")?;
    for times in &tuning.times {
        print_times(&mut output, times, tuning.rule.limit)?;
    }
    print_rules(&mut output, &tuning)?;
    output.flush()
}

/// Prints a line of times. A star marks a layer for which the rule chooses the slower schedule.
fn print_times(output: &mut Output, times: &ScheduleTimes, limit: usize) -> Result<()> {
    let ScheduleTimes {
        size,
        window,
        steps,
    } = *times;
    let LayerSize {
        cell,
        hidden_size,
        batch,
        ..
    } = size;
    let is_wrong = (window < steps) != (size.weights() <= limit);
    output.line(format_args!(
        "{cell:6} {hidden_size:4} {batch:4} {:>7} {window:13.0} {steps:11.0} {:10.2} {}",
        side(size.weights()),
        window.max(steps) / window.min(steps),
        if is_wrong { "*" } else { "" }
    ))
}

/// A number of weights as that of a square matrix.
fn side(weights: usize) -> String {
    format!("{:.0}²", (weights as f64).sqrt())
}

fn print_rules(output: &mut Output, tuning: &Tuning) -> Result<()> {
    let Tuning { rule, best, .. } = tuning;
    let percent = |rule: &ScheduleRule| 100.0 * rule.loss;
    output.line(format_args!(
        "The rule: one dispatch for a window up to a G·H² of {}, else one a step (* is slower).",
        side(rule.limit)
    ))?;
    output.line(format_args!(
        "It takes {:.1} % longer than the faster schedules, the mean of all lines.",
        percent(rule)
    ))?;
    if best == rule {
        return output.line("No other limit is better by more than 1 %.");
    }
    output.line(format_args!(
        "A limit of {} would take {:.1} % longer.",
        side(best.limit),
        percent(best)
    ))
}
