//! What a model generated while it was trained.

use crate::report::RunReport;

/// The most texts of a run.
const MAX_SAMPLES: usize = 12;

/// A text, and the epoch after which it was generated.
pub(super) struct Sample {
    pub(super) epoch: usize,
    pub(super) text: String,
}

/// The texts of a run, spread evenly over its epochs where there are many; with the first and the
/// last one.
pub(super) fn samples(run: &RunReport) -> Vec<Sample> {
    let of_epochs = run.epochs.iter().filter_map(|it| {
        Some(Sample {
            epoch: it.record.epoch,
            text: it.record.sample.clone()?,
        })
    });
    let all: Vec<_> = of_epochs.collect();
    let (count, last) = (all.len(), all.len().saturating_sub(1));
    let places: Vec<usize> = match count {
        0..=MAX_SAMPLES => (0..count).collect(),
        _ => (0..MAX_SAMPLES)
            .map(|k| (k * last) / (MAX_SAMPLES - 1))
            .collect(),
    };
    let chosen = all.into_iter().enumerate();
    chosen
        .filter(|(place, _)| places.contains(place))
        .map(|(_, sample)| sample)
        .collect()
}
