//! The section on units: what they follow, and a text colored by one of them.

use super::colored::{Colored, ColoredToken, SIGNED, signed_index};
use crate::report::text::{ModelOnText, TextReport};
use crate::report::units::{Ranked, UnitActivity, Units};

/// The limits of an activity, in standard deviations from its mean.
const LIMITS: [f64; 4] = [0.5, 1.0, 1.5, 2.5];

/// What the template of the section inserts, for one model.
pub(super) struct ModelUnits {
    pub(super) name: String,
    /// Each property with the units that follow it most.
    pub(super) ranking: Vec<(String, String)>,
    /// The text, colored by the first unit.
    pub(super) text: Colored,
    pub(super) units: Vec<UnitView>,
}

pub(super) struct UnitView {
    pub(super) name: String,
    /// The index in [`SIGNED`] of each token's color, one digit each.
    pub(super) colors: String,
    pub(super) summary: String,
    /// Activity, tokens before, token.
    pub(super) places: Vec<(String, String, String)>,
}

/// The views of all models that have units.
pub(super) fn models(text: &TextReport) -> Vec<ModelUnits> {
    let models = text.models.iter().enumerate();
    models
        .filter_map(|(index, model)| {
            let units = model.units.as_ref()?;
            (!units.units.is_empty()).then(|| view(text, index, model, units))
        })
        .collect()
}

fn view(text: &TextReport, index: usize, model: &ModelOnText, units: &Units) -> ModelUnits {
    let first = &units.units[0];
    let tokens = text.excerpt.iter().enumerate().map(|(position, written)| {
        let class = first
            .excerpt
            .get(position)
            .map_or("h0", |&it| SIGNED[color(first, it)]);
        ColoredToken::new(written, class.to_owned(), String::new())
    });
    ModelUnits {
        name: model.name.clone(),
        ranking: ranking(units),
        text: Colored {
            id: format!("unit-text{index}"),
            label: format!("Text colored by a unit of {}", model.name),
            tokens: tokens.collect(),
        },
        units: units
            .units
            .iter()
            .map(|unit| unit_view(unit, units))
            .collect(),
    }
}

fn ranking(units: &Units) -> Vec<(String, String)> {
    let of_property = units
        .ranking
        .chunk_by(|one, other| one.property == other.property);
    let row = |group: &[Ranked]| {
        let names = group
            .iter()
            .map(|it| format!("{} ({:+.3})", unit_name(it.layer, it.unit), it.correlation));
        (
            group[0].property.clone(),
            names.collect::<Vec<_>>().join("; "),
        )
    };
    of_property.map(row).collect()
}

fn unit_name(layer: usize, unit: usize) -> String {
    format!("layer {}, unit {unit}", layer + 1)
}

/// The index in [`SIGNED`] of an activity's color.
fn color(unit: &UnitActivity, activity: f32) -> usize {
    let distance = f64::from(activity) - unit.mean;
    let deviations = if unit.deviation > 0.0 {
        distance / unit.deviation
    } else {
        0.0
    };
    signed_index(deviations, LIMITS)
}

fn unit_view(unit: &UnitActivity, units: &Units) -> UnitView {
    let digit = |&activity: &f32| color(unit, activity).to_string();
    let followed = units
        .ranking
        .iter()
        .find(|it| (it.layer, it.unit) == (unit.layer, unit.unit));
    let follows = followed.map_or_else(String::new, |it| {
        format!(": {} ({:+.2})", it.property, it.correlation)
    });
    let place = |it: &crate::report::units::Place| {
        (
            format!("{:+.3}", it.activity),
            it.before.join(" "),
            it.token.clone(),
        )
    };
    UnitView {
        name: format!("{}{follows}", unit_name(unit.layer, unit.unit)),
        colors: unit.excerpt.iter().map(digit).collect(),
        summary: format!(
            "mean {:+.3}, standard deviation {:.3}",
            unit.mean, unit.deviation
        ),
        places: unit.strongest.iter().map(place).collect(),
    }
}
