//! The section on memory: how far gradients reach back.

use super::axis::Axis;
use super::chart::{Chart, Curve};
use crate::report::text::TextReport;

/// What the template of the section inserts.
pub(super) struct MemorySection {
    pub(super) chart: String,
    pub(super) lags: Vec<usize>,
    pub(super) rows: Vec<(String, Vec<String>)>,
    pub(super) positions: usize,
    /// Models without a figure.
    pub(super) without: Vec<String>,
}

impl MemorySection {
    pub(super) fn new(text: &TextReport) -> Self {
        let mut curves = Vec::new();
        let mut rows = Vec::new();
        let mut lags = Vec::new();
        let mut positions = 0;
        for model in &text.models {
            let Some(memory) = &model.memory else {
                continue;
            };
            lags.clone_from(&memory.lags);
            positions = memory.positions;
            for (layer, norms) in memory.layers.iter().enumerate() {
                let name = match memory.layers.len() {
                    1 => model.name.clone(),
                    _ => format!("{}, layer {}", model.name, layer + 1),
                };
                let points = memory.lags.iter().zip(norms);
                let points = points.map(|(&lag, &norm)| (lag as f64, norm));
                curves.push(Curve {
                    name: name.clone(),
                    style: curves.len(),
                    is_thin: false,
                    has_marks: true,
                    points: points
                        .filter(|point| point.1 > 0.0 && point.1.is_finite())
                        .collect(),
                });
                rows.push((
                    name,
                    norms.iter().map(|norm| format!("{norm:.2e}")).collect(),
                ));
            }
        }
        let xs = curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.0));
        let ys = curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.1));
        let (x, y) = (Axis::logarithmic(xs), Axis::logarithmic(ys));
        let chart = Chart {
            id: "memory-chart".to_owned(),
            title: "Gradient of a loss with respect to earlier states".to_owned(),
            description: "The table below has the values.".to_owned(),
            x_label: "steps back".to_owned(),
            y_label: "mean norm".to_owned(),
            curves,
            ..Chart::default()
        };
        let without = text.models.iter().filter(|model| model.memory.is_none());
        Self {
            chart: chart.draw(x, y),
            lags,
            rows,
            positions,
            without: without.map(|model| model.name.clone()).collect(),
        }
    }
}
