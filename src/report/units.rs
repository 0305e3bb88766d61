//! What the hidden units of a network follow in a text.
//!
//! A unit's activity at a token is its value after the network has read the token. Correlations are
//! over the whole text, activities over the excerpt.

use serde::Serialize;

use super::features::{self, Features};
use super::largest::Largest;
use super::pass::WindowValues;
use super::tokens::name;
use crate::corpus::{Tokens, Unit, Vocabulary};
use crate::model::Config;

/// The number of units that are listed for each property.
const RANKED: usize = 3;
/// The number of places at which a unit is strongest, and of tokens before each.
const PLACES: usize = 4;
const CONTEXT: usize = 14;

/// The units of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Units {
    /// Units by what they follow most: a few for each property that the text has.
    pub ranking: Vec<Ranked>,
    /// The units of the ranking, without duplicates.
    pub units: Vec<UnitActivity>,
}

/// A unit that follows a property of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// The property, such as `inside quotes`.
    pub property: String,
    /// The layer, counted from 0.
    pub layer: usize,
    /// The unit in its layer, counted from 0.
    pub unit: usize,
    /// The correlation of its activity with the property over the whole text.
    pub correlation: f64,
}

/// A unit on the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitActivity {
    /// The layer, counted from 0.
    pub layer: usize,
    /// The unit in its layer, counted from 0.
    pub unit: usize,
    /// Mean activity over the whole text.
    pub mean: f64,
    /// Standard deviation of the activity over the whole text.
    pub deviation: f64,
    /// The activity at each token of the excerpt.
    pub excerpt: Vec<f32>,
    /// Where in the whole text it is largest, and where it is smallest.
    pub strongest: Vec<Place>,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// The position of the token in the text, counted from 0.
    pub position: usize,
    /// The activity there.
    pub activity: f32,
    /// The tokens before.
    pub before: Vec<String>,
    /// The token.
    pub token: String,
}

/// Sums over the text, for all units of all layers one after the other.
#[derive(Debug, Default)]
struct Sums {
    count: f64,
    values: Vec<f64>,
    squares: Vec<f64>,
    /// `[properties, units]`.
    products: Vec<f64>,
    properties: [f64; features::COUNT],
    property_squares: [f64; features::COUNT],
}

/// Collects [`Units`].
pub(super) struct UnitsCollector<'a> {
    sizes: Vec<usize>,
    tokens: &'a Tokens,
    unit: Unit,
    vocabulary: &'a Vocabulary,
    features: Features<'a>,
    excerpt_len: usize,
    sums: Sums,
    /// `[excerpt, units]`.
    excerpt: Vec<f32>,
    /// For each unit, the largest values with their positions, and the smallest.
    largest: Vec<Extremes>,
    smallest: Vec<Extremes>,
}

/// The largest values, with their positions.
type Extremes = Largest<usize, PLACES>;

impl<'a> UnitsCollector<'a> {
    pub(super) fn new(
        config: &Config,
        unit: Unit,
        vocabulary: &'a Vocabulary,
        tokens: &'a Tokens,
        excerpt_len: usize,
    ) -> Self {
        let sizes: Vec<_> = (0..config.num_layers)
            .map(|layer| config.layer_size(layer))
            .collect();
        let total = sizes.iter().sum();
        Self {
            sizes,
            tokens,
            unit,
            vocabulary,
            features: Features::new(tokens, unit, vocabulary),
            excerpt_len,
            sums: Sums::default(),
            excerpt: Vec::new(),
            largest: vec![Extremes::default(); total],
            smallest: vec![Extremes::default(); total],
        }
    }

    pub(super) fn take(&mut self, window: &WindowValues<'_>) {
        if window.units.is_empty() {
            return;
        }
        let mut row = Vec::with_capacity(self.largest.len());
        for (index, position) in window.positions.clone().enumerate() {
            // The step that predicts a token has read the one before it.
            let Some(read) = position.checked_sub(1) else {
                continue;
            };
            row.clear();
            for (layer, &size) in window.units.iter().zip(&self.sizes) {
                row.extend_from_slice(&layer[index * size..(index + 1) * size]);
            }
            let properties = self.features.next();
            self.sums.add(&row, &properties);
            for (unit, &value) in row.iter().enumerate() {
                self.largest[unit].offer(value, read);
                self.smallest[unit].offer(-value, read);
            }
            if read < self.excerpt_len {
                self.excerpt.extend_from_slice(&row);
            }
        }
    }

    /// The units; none for a network without them, or a text of one token.
    pub(super) fn finish(self) -> Option<Units> {
        if self.sums.count == 0.0 {
            return None;
        }
        let mut ranking = Vec::new();
        for (property, property_name) in features::NAMES.into_iter().enumerate() {
            let mut correlations = self.sums.correlations(property);
            correlations.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
            ranking.extend(
                correlations
                    .into_iter()
                    .take(RANKED)
                    .map(|(index, correlation)| {
                        let (layer, unit) = self.unit_of(index);
                        Ranked {
                            property: property_name.to_owned(),
                            layer,
                            unit,
                            correlation,
                        }
                    }),
            );
        }
        let mut units: Vec<UnitActivity> = Vec::new();
        for ranked in &ranking {
            let is_same = |it: &UnitActivity| (it.layer, it.unit) == (ranked.layer, ranked.unit);
            if !units.iter().any(is_same) {
                units.push(self.activity(ranked.layer, ranked.unit));
            }
        }
        Some(Units { ranking, units })
    }

    /// The layer of a unit, and its index there.
    fn unit_of(&self, index: usize) -> (usize, usize) {
        let mut rest = index;
        for (layer, &size) in self.sizes.iter().enumerate() {
            if rest < size {
                return (layer, rest);
            }
            rest -= size;
        }
        (self.sizes.len(), rest)
    }

    fn activity(&self, layer: usize, unit: usize) -> UnitActivity {
        let index = self.sizes[..layer].iter().sum::<usize>() + unit;
        let total = self.largest.len();
        let (mean, variance) = self.sums.moments(index);
        let largest = self.largest[index].iter().copied();
        let smallest = self.smallest[index].iter();
        let smallest = smallest.map(|&(value, position)| (-value, position));
        UnitActivity {
            layer,
            unit,
            mean,
            deviation: variance.sqrt(),
            excerpt: self
                .excerpt
                .chunks_exact(total)
                .map(|row| row[index])
                .collect(),
            strongest: largest
                .chain(smallest)
                .map(|(activity, position)| self.place(activity, position))
                .collect(),
        }
    }

    fn place(&self, activity: f32, position: usize) -> Place {
        let name = |position| name(self.tokens.get(position), self.unit, self.vocabulary);
        Place {
            position,
            activity,
            before: (position.saturating_sub(CONTEXT)..position)
                .map(name)
                .collect(),
            token: name(position),
        }
    }
}

impl Sums {
    fn add(&mut self, row: &[f32], properties: &[f64; features::COUNT]) {
        self.values.resize(row.len(), 0.0);
        self.squares.resize(row.len(), 0.0);
        self.products.resize(row.len() * features::COUNT, 0.0);
        self.count += 1.0;
        let sums = self.values.iter_mut().zip(&mut self.squares);
        for (&value, (sum, square)) in row.iter().zip(sums) {
            let value = f64::from(value);
            *sum += value;
            *square += value * value;
        }
        let products = self.products.chunks_exact_mut(row.len());
        for ((index, &property), products) in properties.iter().enumerate().zip(products) {
            self.properties[index] += property;
            self.property_squares[index] += property * property;
            if property != 0.0 {
                for (&value, product) in row.iter().zip(products) {
                    *product += property * f64::from(value);
                }
            }
        }
    }

    /// Mean and variance of a unit.
    fn moments(&self, unit: usize) -> (f64, f64) {
        moments(self.count, self.values[unit], self.squares[unit])
    }

    /// The correlation of each unit with a property; empty where the property never changes.
    fn correlations(&self, property: usize) -> Vec<(usize, f64)> {
        let (sum, squares) = (self.properties[property], self.property_squares[property]);
        let (mean, variance) = moments(self.count, sum, squares);
        if variance <= 1e-12 {
            return Vec::new();
        }
        let units = self.values.len();
        let products = &self.products[property * units..(property + 1) * units];
        let correlation = |(unit, product): (usize, &f64)| {
            let (unit_mean, unit_variance) = self.moments(unit);
            let covariance = product / self.count - mean * unit_mean;
            let scale = (variance * unit_variance).sqrt();
            (unit_variance > 1e-12).then(|| (unit, covariance / scale))
        };
        products
            .iter()
            .enumerate()
            .filter_map(correlation)
            .collect()
    }
}

/// Mean and variance from sums.
fn moments(count: f64, sum: f64, squares: f64) -> (f64, f64) {
    let mean = sum / count;
    (mean, (squares / count - mean * mean).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_the_values() {
        let mut sums = Sums::default();
        for step in 0..50 {
            let x = f64::from(step % 7);
            let row = [x as f32 * 2.0 - 1.0, -x as f32, 0.5, (step % 2) as f32];
            let mut properties = [0.0; features::COUNT];
            properties[0] = x;
            sums.add(&row, &properties);
        }
        let found = sums.correlations(0);
        let units: Vec<_> = found.iter().map(|it| it.0).collect();
        assert_eq!(units, [0, 1, 3], "a constant unit follows nothing");
        assert!(
            (found[0].1 - 1.0).abs() < 1e-6 && (found[1].1 + 1.0).abs() < 1e-6,
            "{found:?}"
        );
        assert!(found[2].1.abs() < 0.2, "{found:?}");
        assert!(
            sums.correlations(1).is_empty(),
            "a property that never changes"
        );
    }
}
