//! A chart as SVG: curves, points and levels over two axes. Colors and dashes are classes, which
//! the style of the page defines for light, dark and print.

use askama::Template;

use super::axis::{Axis, Tick};

/// The sizes of a chart, in the units of its view box. It is small, so that the letters of a chart
/// that is scaled to a phone stay readable.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// The most points of a curve. Longer curves are averaged.
pub(super) const MAX_POINTS: usize = 400;
/// The width of a letter at a point, and the height of a line.
const LETTER: f64 = 5.6;
const LINE: f64 = 10.0;
/// The number of styles of curves.
const STYLES: usize = 6;

/// What a chart shows.
#[derive(Debug, Default)]
pub(super) struct Chart {
    pub(super) id: String,
    pub(super) title: String,
    /// What a reader of the curves would say, for readers who do not see them.
    pub(super) description: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) curves: Vec<Curve>,
    pub(super) levels: Vec<Level>,
    pub(super) points: Vec<LabeledPoint>,
}

/// A curve.
#[derive(Debug, Default)]
pub(super) struct Curve {
    pub(super) name: String,
    /// The index of the style: color and dashes.
    pub(super) style: usize,
    pub(super) is_thin: bool,
    pub(super) has_marks: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// A horizontal line.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: String,
    pub(super) style: usize,
    pub(super) value: f64,
}

/// A point with a text.
#[derive(Debug)]
pub(super) struct LabeledPoint {
    pub(super) text: String,
    pub(super) at: (f64, f64),
}

/// A chart with all its coordinates.
#[derive(Template)]
#[template(path = "chart.html", config = "src/report/page/askama.toml")]
struct DrawnChart<'a> {
    chart: &'a Chart,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
    curves: Vec<DrawnCurve<'a>>,
    levels: Vec<(&'a Level, f64)>,
    points: Vec<(&'a str, String, String)>,
}

/// The coordinates of a point as text; none for a point that has no place.
type Place<'a> = dyn Fn(&(f64, f64)) -> Option<(String, String)> + 'a;

struct DrawnCurve<'a> {
    name: &'a str,
    class: String,
    line: String,
    marks: Vec<(String, String)>,
}

impl Chart {
    /// The SVG with its legend; nothing for a chart without a point.
    pub(super) fn draw(&self, x: Axis, y: Axis) -> String {
        let has_points = self.curves.iter().any(|curve| !curve.points.is_empty());
        if !has_points && self.points.is_empty() {
            return String::new();
        }
        let across = |value| Some(LEFT + x.place(value)? * (WIDTH - LEFT - RIGHT));
        let down = |value| Some(HEIGHT - BOTTOM - y.place(value)? * (HEIGHT - TOP - BOTTOM));
        let ticks = |ticks: Vec<Tick>, place: &dyn Fn(f64) -> Option<f64>| {
            let placed = ticks
                .into_iter()
                .filter_map(|tick| Some((place(tick.value)?, tick.label)));
            placed
                .map(|(at, label)| (at.round(), label))
                .collect::<Vec<_>>()
        };
        let at =
            |&(x, y): &(f64, f64)| Some((format!("{:.1}", across(x)?), format!("{:.1}", down(y)?)));
        let drawn = DrawnChart {
            chart: self,
            x_ticks: ticks(x.ticks(), &across),
            y_ticks: ticks(y.ticks(), &down),
            curves: self.curves.iter().map(|curve| curve.draw(&at)).collect(),
            levels: self
                .levels
                .iter()
                .filter_map(|it| Some((it, down(it.value)?.round())))
                .collect(),
            points: self.place_texts(&at),
        };
        drawn.render().expect("a template writes to memory")
    }
}

impl Chart {
    /// The points with their texts. A text that would cover an earlier one is left out.
    fn place_texts(&self, at: &Place<'_>) -> Vec<(&str, String, String)> {
        let mut taken: Vec<[f64; 3]> = Vec::new();
        let points = self.points.iter().filter_map(|point| {
            let (x, y) = at(&point.at)?;
            let half = point.text.chars().count() as f64 * LETTER / 2.0 + 1.0;
            let own = [x.parse().ok()?, y.parse().ok()?, half];
            let covers = |other: &[f64; 3]| {
                (own[0] - other[0]).abs() < half + other[2] && (own[1] - other[1]).abs() < LINE
            };
            if taken.iter().any(covers) {
                return Some(("", x, y));
            }
            taken.push(own);
            Some((point.text.as_str(), x, y))
        });
        points.collect()
    }
}

impl Curve {
    fn draw(&self, at: &Place<'_>) -> DrawnCurve<'_> {
        let marks: Vec<_> = averaged(&self.points).iter().filter_map(at).collect();
        let line: Vec<_> = marks.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let weight = if self.is_thin { " thin" } else { "" };
        DrawnCurve {
            name: &self.name,
            class: format!("s{}{weight}", self.style % STYLES),
            line: line.join(" "),
            // Many marks hide the curve, and a single point is none.
            marks: match marks.len() {
                1 => marks,
                2..=40 if self.has_marks => marks,
                _ => Vec::new(),
            },
        }
    }
}

/// At most [`MAX_POINTS`] points: the means of as many groups of neighbors.
fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let sum = group
            .iter()
            .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        (sum.0 / group.len() as f64, sum.1 / group.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}
