//! How far the last update of each epoch moved the parameters of a run, and how many gates were
//! saturated.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::chart::{Chart, Curve};
use crate::report::RunReport;
use crate::train::LastUpdate;

/// The points of curves by their names.
type Curves = BTreeMap<String, Vec<(f64, f64)>>;

/// What the template inserts for a run.
pub(super) struct LastUpdates {
    pub(super) charts: Vec<String>,
    /// The last epoch that has the figures.
    pub(super) epoch: usize,
    /// Name, norm and update-to-weight ratio of each parameter then.
    pub(super) rows: Vec<(String, [String; 2])>,
}

impl LastUpdates {
    /// Those of the run with this index on the page; none if its log has none.
    pub(super) fn new(index: usize, run: &RunReport) -> Option<Self> {
        let of_epochs = || {
            let epochs = run.epochs.iter();
            epochs.filter_map(|it| Some((it, it.record.last_update.as_ref()?)))
        };
        let (epoch, last) = of_epochs().next_back()?;
        let (mut ratios, mut saturation) = (Curves::new(), Curves::new());
        for (epoch, update) in of_epochs() {
            let x = epoch.position.tokens;
            for (part, ratio) in ratios_of_parts(update) {
                ratios.entry(part).or_default().push((x, ratio));
            }
            for (layer, &share) in update.saturation.iter().enumerate() {
                let curve = saturation.entry(layer_name(layer)).or_default();
                curve.push((x, f64::from(share)));
            }
        }
        let values = |curves: &Curves| -> Vec<f64> {
            let points = curves.values().flatten();
            points.map(|point| point.1).collect()
        };
        let ratio_axis = Axis::adaptive(values(&ratios).into_iter());
        let charts = [
            Chart {
                id: format!("updates-{index}"),
                title: "Update-to-weight ratio".to_owned(),
                y_label: "ratio".to_owned(),
                ..chart(ratios)
            }
            .draw(x_axis(run), ratio_axis),
            Chart {
                id: format!("saturation-{index}"),
                title: "Saturation".to_owned(),
                y_label: "share".to_owned(),
                ..chart(saturation)
            }
            .draw(x_axis(run), Axis::linear([0.0, 1.0].into_iter())),
        ];
        let rows = last.parameters.iter().map(|(name, change)| {
            let ratio = change.update_ratio.map(|ratio| format!("{ratio:.2e}"));
            let ratio = ratio.unwrap_or_else(|| "–".to_owned());
            (name.clone(), [format!("{:.4}", change.norm), ratio])
        });
        Some(Self {
            charts: charts
                .into_iter()
                .filter(|chart| !chart.is_empty())
                .collect(),
            epoch: epoch.record.epoch,
            rows: rows.collect(),
        })
    }
}

/// The update-to-weight ratio of each part of the network: of all its parameters together.
fn ratios_of_parts(update: &LastUpdate) -> impl Iterator<Item = (String, f64)> {
    let mut sums: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for (name, change) in &update.parameters {
        let norm = change.norm;
        let update = norm * f64::from(change.update_ratio.unwrap_or(0.0));
        let sum = sums.entry(part(name)).or_default();
        sum[0] += norm * norm;
        sum[1] += update * update;
    }
    let ratios = sums
        .into_iter()
        .map(|(part, [norm, update])| (part, (update / norm).sqrt()));
    ratios.filter(|(_, ratio)| ratio.is_finite())
}

/// The part of the network that a parameter belongs to.
fn part(name: &str) -> String {
    let layer = name
        .rsplit_once("_l")
        .and_then(|(_, layer)| layer.parse().ok());
    match (name.split_once('.'), layer) {
        (Some(("rnn", _)), Some(layer)) => layer_name(layer),
        (Some(("decoder", _)), _) => "output".to_owned(),
        (Some(("direct", _)), _) => "direct connections".to_owned(),
        (Some((part, _)), _) => part.to_owned(),
        (None, _) => name.to_owned(),
    }
}

fn layer_name(layer: usize) -> String {
    format!("layer {}", layer.saturating_add(1))
}

/// From the start of the run to its last epoch.
fn x_axis(run: &RunReport) -> Axis {
    Axis::from_zero(run.epochs.iter().map(|epoch| epoch.position.tokens))
}

/// A chart without its names.
fn chart(values: Curves) -> Chart {
    let curves = values.into_iter().enumerate();
    let curves: Vec<_> = curves
        .map(|(style, (name, points))| Curve {
            name,
            style,
            points,
            has_marks: true,
            ..Curve::default()
        })
        .collect();
    let ends = curves.iter().filter_map(|curve| {
        let (first, last) = (curve.points.first()?.1, curve.points.last()?.1);
        Some(format!(
            "{}: first {first:.2e}, last {last:.2e}.",
            curve.name
        ))
    });
    Chart {
        description: ends.collect::<Vec<_>>().join(" "),
        x_label: "training tokens".to_owned(),
        curves,
        ..Chart::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ParameterChange;

    #[test]
    fn parameters_belong_to_parts() {
        assert_eq!(part("rnn.weight_ih_l0"), "layer 1");
        assert_eq!(part("rnn.bias_hh_l11"), "layer 12");
        assert_eq!(part("decoder.class_weight"), "output");
        assert_eq!(part("embedding.weight"), "embedding");
    }

    #[test]
    fn ratios_of_parts_are_those_of_all_their_values() {
        let change = |norm, update_ratio| ParameterChange { norm, update_ratio };
        let update = LastUpdate {
            parameters: BTreeMap::from([
                ("rnn.weight_hh_l0".to_owned(), change(3.0, Some(0.1))),
                ("rnn.weight_ih_l0".to_owned(), change(4.0, Some(0.2))),
                ("decoder.bias".to_owned(), change(0.0, None)),
            ]),
            saturation: Vec::new(),
        };
        let ratios: Vec<_> = ratios_of_parts(&update).collect();
        let want = (0.09_f64 + 0.64).sqrt() / 5.0;
        assert_eq!(ratios.len(), 1);
        assert!((ratios[0].1 - want).abs() < 1e-7, "{ratios:?}");
    }
}
