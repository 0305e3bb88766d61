//! The section on words: neighbors, a map, losses by rank, calibration.

use super::axis::Axis;
use super::chart::{Chart, Curve, LabeledPoint};
use crate::report::text::TextReport;
use crate::report::words::Words;

/// What the template of the section inserts.
pub(super) struct WordsSection {
    pub(super) models: Vec<WordsView>,
    pub(super) bands: Option<BandsTable>,
    pub(super) calibration: Option<CalibrationView>,
}

pub(super) struct WordsView {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) size: usize,
    pub(super) map: String,
    pub(super) neighbors: Vec<(String, String)>,
}

/// Surprisals by rank: one row for each range, two columns for each model.
pub(super) struct BandsTable {
    pub(super) models: Vec<String>,
    pub(super) rows: Vec<(String, Vec<String>)>,
}

pub(super) struct CalibrationView {
    pub(super) chart: String,
    pub(super) rows: Vec<(String, Vec<String>)>,
}

impl WordsSection {
    pub(super) fn new(words: &[Words], text: Option<&TextReport>) -> Self {
        Self {
            models: words.iter().enumerate().map(view).collect(),
            bands: text.map(bands),
            calibration: text.map(calibration),
        }
    }
}

fn view((index, words): (usize, &Words)) -> WordsView {
    let neighbors = words.neighbors.iter().map(|it| {
        let nearest = it.nearest.iter();
        let nearest = nearest.map(|other| format!("{} {:.2}", other.token, other.cosine));
        (it.token.clone(), nearest.collect::<Vec<_>>().join(", "))
    });
    WordsView {
        name: words.name.clone(),
        source: words.source.clone(),
        size: words.size,
        map: map(index, words),
        neighbors: neighbors.collect(),
    }
}

fn map(index: usize, words: &Words) -> String {
    let points = words.map.iter().map(|word| LabeledPoint {
        text: word.token.clone(),
        at: (word.at[0], word.at[1]),
    });
    let axis = |index: usize| Axis::with_margin(words.map.iter().map(move |word| word.at[index]));
    let label = |index: usize| {
        let part = 100.0 * words.variance[index];
        format!("component {} ({part:.1} %)", index + 1)
    };
    let chart = Chart {
        id: format!("map{index}"),
        title: format!(
            "The first {} types on two principal components",
            words.map.len()
        ),
        description:
            "Axes have parts of the variance. The table of neighbors says which types are near one \
             another."
                .to_owned(),
        x_label: label(0),
        y_label: label(1),
        points: points.collect(),
        ..Chart::default()
    };
    chart.draw(axis(0), axis(1))
}

fn bands(text: &TextReport) -> BandsTable {
    let first = text.models.first().map(|model| &model.reading.bands);
    let ranks = first.into_iter().flatten();
    let rows = ranks.enumerate().map(|(index, band)| {
        let of_models = text.models.iter().flat_map(|model| {
            let band = model.reading.bands.get(index);
            let cells = band.map(|it| {
                [
                    format!("{:.3}", it.bits),
                    format!("{:.1} %", 100.0 * it.share),
                ]
            });
            cells.into_iter().flatten()
        });
        let cells = std::iter::once(band.tokens.to_string()).chain(of_models);
        (band.ranks.clone(), cells.collect())
    });
    BandsTable {
        models: text.models.iter().map(|model| model.name.clone()).collect(),
        rows: rows.collect(),
    }
}

fn calibration(text: &TextReport) -> CalibrationView {
    let curve = |(style, model): (usize, &crate::report::text::ModelOnText)| Curve {
        name: model.name.clone(),
        style,
        is_thin: false,
        has_marks: true,
        points: model
            .reading
            .calibration
            .bins
            .iter()
            .map(|bin| (bin.confidence, bin.accuracy))
            .collect(),
    };
    let perfect = Curve {
        name: "perfect".to_owned(),
        style: 5,
        is_thin: true,
        has_marks: false,
        points: vec![(0.0, 0.0), (1.0, 1.0)],
    };
    let curves = text.models.iter().enumerate().map(curve).chain([perfect]);
    let chart = Chart {
        id: "calibration".to_owned(),
        title: "How often the likeliest token is right".to_owned(),
        description: "The table has the mean distance from the diagonal.".to_owned(),
        x_label: "its probability".to_owned(),
        y_label: "part that is right".to_owned(),
        curves: curves.collect(),
        ..Chart::default()
    };
    let rows = text.models.iter().map(|model| {
        let calibration = &model.reading.calibration;
        let cells = vec![
            calibration.tokens.to_string(),
            format!("{:.3}", calibration.expected_bits),
            format!("{:.3}", calibration.bits),
            format!("{:.4}", calibration.error),
        ];
        (model.name.clone(), cells)
    });
    let axis = || Axis::linear([0.0, 1.0].into_iter());
    CalibrationView {
        chart: chart.draw(axis(), axis()),
        rows: rows.collect(),
    }
}
