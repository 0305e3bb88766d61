//! The section on runs: curves, tables, recipes.

use super::axis::Axis;
use super::chart::{Chart, Curve, Level, MAX_POINTS};
use super::growth::{Sample, samples};
use super::last_updates::LastUpdates;
use crate::report::RunReport;
use crate::report::run::{Epoch, Interval, Position};
use crate::train::EpochRecord;

/// The most rows of a table of epochs.
const MAX_ROWS: usize = 60;

/// What the template of the section inserts.
pub(super) struct RunSection {
    pub(super) notes: Vec<String>,
    pub(super) heads: &'static [&'static str],
    pub(super) rows: Vec<Row>,
    pub(super) charts: Vec<String>,
    pub(super) max_points: usize,
    pub(super) details: Vec<Details>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<String>,
}

pub(super) struct Details {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) missing: Vec<String>,
    pub(super) command: Option<String>,
    pub(super) epochs: Vec<EpochRow>,
    /// The number of epochs without a row.
    pub(super) skipped: usize,
    pub(super) last_updates: Option<LastUpdates>,
    pub(super) samples: Vec<Sample>,
}

pub(super) struct EpochRow {
    pub(super) epoch: usize,
    pub(super) cells: Vec<String>,
    pub(super) note: &'static str,
}

impl RunSection {
    pub(super) fn new(runs: &[RunReport]) -> Self {
        let vocabularies = |run: &RunReport| (run.model.unit, run.model.config.vocab_size);
        let are_comparable = runs
            .iter()
            .all(|run| vocabularies(run) == vocabularies(&runs[0]));
        let mut notes = Vec::new();
        if !are_comparable {
            notes.push(
                "The runs have different units or vocabularies. Their losses and perplexities per \
                 token do not compare: only the shapes of the curves do."
                    .to_owned(),
            );
        }
        let by_tokens = match runs.iter().all(|run| run.tokens_per_epoch.is_some()) {
            true => "training tokens",
            false => "training tokens, or epochs where the recipe is not known",
        };
        let charts = [
            loss_chart(runs, "loss-tokens", by_tokens, |position| position.tokens),
            loss_chart(runs, "loss-time", "seconds", |position| position.elapsed),
            rate_chart(runs, "lr", "Learning rate", "rate", by_tokens, |it| it.lr),
            rate_chart(runs, "gradient", "Gradient norm", "norm", by_tokens, |it| {
                it.gradient_norm
            }),
            rate_chart(runs, "speed", "Speed", "tokens/s", by_tokens, |it| {
                it.tokens_per_second
            }),
        ];
        Self {
            notes,
            heads: &[
                "epochs",
                "best epoch",
                "valid loss",
                "valid perplexity",
                "best to expect",
                "time",
                "tokens/s",
                "device",
                "Elman",
            ],
            rows: runs.iter().map(row).collect(),
            charts: charts
                .into_iter()
                .filter(|chart| !chart.is_empty())
                .collect(),
            max_points: MAX_POINTS,
            details: runs.iter().enumerate().map(details).collect(),
        }
    }

    pub(super) fn has_charts(&self) -> bool {
        !self.charts.is_empty()
    }
}

/// Training and validation loss of all runs.
fn loss_chart(runs: &[RunReport], id: &str, x_label: &str, x: fn(&Position) -> f64) -> String {
    let mut curves = Vec::new();
    for (style, run) in runs.iter().enumerate() {
        let intervals = run.intervals.iter();
        let training = intervals.filter_map(|it| Some((x(&it.position), it.loss?)));
        let epochs = run.epochs.iter();
        let validation = epochs.map(|it| (x(&it.position), it.record.valid_loss));
        let epochs = run.epochs.iter();
        let of_epochs = epochs.map(|it| (x(&it.position), it.record.train_loss));
        let training = longer(training.collect(), of_epochs.collect());
        curves.push(Curve {
            name: format!("{}, training", run.name),
            style,
            is_thin: true,
            has_marks: false,
            points: finite(training),
        });
        curves.push(Curve {
            name: format!("{}, validation", run.name),
            style,
            is_thin: false,
            has_marks: true,
            points: finite(validation.collect()),
        });
    }
    curves.retain(|curve| !curve.points.is_empty());
    let floors = runs.iter().enumerate();
    let levels: Vec<_> = floors
        .filter_map(|(style, run)| {
            let floor = run.floor.as_ref()?;
            Some(Level {
                name: format!("{}: {}", run.name, floor.name),
                style,
                value: floor.loss(),
            })
        })
        .collect();
    let xs = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.0));
    let ys = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.1));
    let (x_axis, y_axis) = (
        Axis::from_zero(xs),
        Axis::linear(ys.chain(levels.iter().map(|level| level.value))),
    );
    let sentences = runs.iter().filter_map(|run| {
        let (first, best) = (run.epochs.first()?, run.best()?);
        Some(format!(
            "{}: validation loss {:.3} after epoch 1, lowest {:.3} after epoch {}.",
            run.name, first.record.valid_loss, best.record.valid_loss, best.record.epoch
        ))
    });
    let chart = Chart {
        id: id.to_owned(),
        title: format!(
            "Loss over {}",
            if id == "loss-time" { "time" } else { "tokens" }
        ),
        description: sentences.collect::<Vec<_>>().join(" "),
        x_label: x_label.to_owned(),
        y_label: "nats per token".to_owned(),
        curves,
        levels,
        points: Vec::new(),
    };
    chart.draw(x_axis, y_axis)
}

/// A value of the log over tokens.
fn rate_chart(
    runs: &[RunReport],
    id: &str,
    title: &str,
    y_label: &str,
    x_label: &str,
    value: fn(&Values) -> Option<f64>,
) -> String {
    let curve = |(style, run): (usize, &RunReport)| {
        let intervals = run
            .intervals
            .iter()
            .map(|it| (it.position.tokens, Values::from(it)));
        let epochs = run
            .epochs
            .iter()
            .map(|it| (it.position.tokens, Values::from(&it.record)));
        let of = |(x, values): (f64, Values)| Some((x, value(&values)?));
        let points = longer(
            intervals.filter_map(of).collect(),
            epochs.filter_map(of).collect(),
        );
        Curve {
            name: run.name.clone(),
            style,
            points: finite(points),
            ..Curve::default()
        }
    };
    let mut curves: Vec<_> = runs.iter().enumerate().map(curve).collect();
    curves.retain(|curve| !curve.points.is_empty());
    let xs = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.0));
    let ys = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(|point| point.1));
    let y_axis = match id {
        // A gradient that explodes hides all others on a linear axis.
        "gradient" => Axis::adaptive(ys),
        _ => Axis::from_zero(ys),
    };
    let x_axis = Axis::from_zero(xs);
    let sentences = curves.iter().map(|curve| {
        let ys = curve.points.iter().map(|point| point.1);
        let (low, high) = (
            ys.clone().fold(f64::INFINITY, f64::min),
            ys.fold(0.0, f64::max),
        );
        format!("{}: from {low:.3e} to {high:.3e}.", curve.name)
    });
    let chart = Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        description: sentences.collect::<Vec<_>>().join(" "),
        x_label: x_label.to_owned(),
        y_label: y_label.to_owned(),
        curves,
        ..Chart::default()
    };
    chart.draw(x_axis, y_axis)
}

/// The values that the log has of windows and of epochs.
struct Values {
    lr: Option<f64>,
    gradient_norm: Option<f64>,
    tokens_per_second: Option<f64>,
}

impl From<&Interval> for Values {
    fn from(interval: &Interval) -> Self {
        Self {
            lr: interval.lr,
            gradient_norm: interval.gradient_norm,
            tokens_per_second: interval.tokens_per_second,
        }
    }
}

impl From<&EpochRecord> for Values {
    fn from(record: &EpochRecord) -> Self {
        Self {
            lr: Some(f64::from(record.lr)),
            gradient_norm: None,
            tokens_per_second: Some(record.tokens_per_second),
        }
    }
}

/// The curve of windows, or that of epochs where it has more points, since epochs are short.
fn longer(of_windows: Vec<(f64, f64)>, of_epochs: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    match of_windows.len() < of_epochs.len() {
        true => of_epochs,
        false => of_windows,
    }
}

fn finite(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let is_finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    points.into_iter().filter(is_finite).collect()
}

/// The row of a run.
fn row(run: &RunReport) -> Row {
    let best = run.best();
    let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let record = |of: fn(&EpochRecord) -> String| text(best.map(|epoch| of(&epoch.record)));
    let epochs = match run.planned_epochs {
        Some(planned) => format!("{} of {planned}", run.epochs.len()),
        None => run.epochs.len().to_string(),
    };
    Row {
        name: run.name.clone(),
        cells: vec![
            epochs,
            record(|record| record.epoch.to_string()),
            record(|record| format!("{:.4}", record.valid_loss)),
            record(|record| perplexity(record.valid_perplexity)),
            text(run.floor.as_ref().map(|floor| perplexity(floor.perplexity))),
            duration(run.seconds),
            text(mean_speed(&run.epochs).map(|speed| format!("{speed:.0}"))),
            text(run.device.clone()),
            text(run.elman.clone()),
        ],
    }
}

/// Training tokens per second: the mean over the time of all epochs.
fn mean_speed(epochs: &[Epoch]) -> Option<f64> {
    let seconds: f64 = epochs.iter().map(|it| it.record.seconds).sum();
    let tokens = epochs
        .iter()
        .map(|it| it.record.tokens_per_second * it.record.seconds);
    (seconds > 0.0).then(|| tokens.sum::<f64>() / seconds)
}

fn details((index, run): (usize, &RunReport)) -> Details {
    let config = &run.model.config;
    let sizes: Vec<_> = (0..config.num_layers)
        .map(|layer| config.layer_size(layer).to_string())
        .collect();
    let embedding = match config.embedding_size {
        0 => String::new(),
        size => format!(", embedding {size}"),
    };
    let best = run.best().map(|epoch| epoch.record.epoch);
    let step = run.epochs.len().div_ceil(MAX_ROWS).max(1);
    let shown = run.epochs.iter().enumerate().filter(|(index, it)| {
        index % step == 0 || index + 1 == run.epochs.len() || Some(it.record.epoch) == best
    });
    let epochs: Vec<_> = shown
        .map(|(_, it)| epoch_row(&it.record, Some(it.record.epoch) == best))
        .collect();
    Details {
        name: run.name.clone(),
        model: format!(
            "{} layer(s) of {} {} cells on {}{embedding}, {} output over {} types.",
            config.num_layers,
            sizes.join(", "),
            config.cell,
            run.model.unit.plural(),
            config.output,
            config.vocab_size
        ),
        missing: run.missing.clone(),
        command: run.command.clone(),
        skipped: run.epochs.len() - epochs.len(),
        epochs,
        last_updates: LastUpdates::new(index, run),
        samples: samples(run),
    }
}

fn epoch_row(record: &EpochRecord, is_best: bool) -> EpochRow {
    EpochRow {
        epoch: record.epoch,
        cells: vec![
            format!("{:.4}", record.train_loss),
            format!("{:.4}", record.valid_loss),
            perplexity(record.valid_perplexity),
            format!("{:.3e}", record.lr),
            format!("{:.0}", record.tokens_per_second),
            format!("{:.1}", record.seconds),
        ],
        note: match (
            is_best,
            record.diverged,
            record.rolled_back,
            record.averaged,
        ) {
            (true, ..) => "lowest validation loss",
            (_, true, ..) => "diverged",
            (_, _, true, _) => "rolled back",
            (.., true) => "averaged weights",
            _ => "",
        },
    }
}

/// A perplexity; a large one in scientific form.
pub(super) fn perplexity(value: f64) -> String {
    match value {
        _ if value.is_infinite() => "above 1e308".to_owned(),
        _ if value >= 1e9 => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    }
}

/// A time in words.
fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.1} s"),
        _ if seconds < 7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
