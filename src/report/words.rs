//! What a model knows about words: the neighbors of frequent ones, and a map of them.
//!
//! In: the vectors of a checkpoint's input layer. Out: nearest neighbors by cosine, and the two
//! principal components. No device and no text is needed.

mod principal;

use rayon::prelude::*;
use serde::Serialize;

use super::tokens::name;
use crate::checkpoint::Checkpoint;
use crate::corpus::{UNKNOWN, Vocabulary};
use crate::model::{EMBEDDING_WEIGHT, find_parameter, parameter_specs};
use principal::principal_components;

/// The first types of the vocabulary, among which neighbors are found.
const CANDIDATES: usize = 20_000;
/// The number of types whose neighbors are listed, and of neighbors.
const LISTED: usize = 40;
const NEIGHBORS: usize = 6;
/// The number of types on the map, and of those that its axes are computed from.
const MAPPED: usize = 120;
const AXES_FROM: usize = 2000;

/// The vectors of a model's words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Words {
    /// The directory of the model.
    pub name: String,
    /// What the vectors are, such as `embedding`.
    pub source: String,
    /// The number of elements of a vector.
    pub size: usize,
    /// The first types of the vocabulary with their nearest neighbors.
    pub neighbors: Vec<Neighbors>,
    /// The first types on the plane of the two principal components.
    pub map: Vec<MappedWord>,
    /// The parts of the variance that the two components have.
    pub variance: [f64; 2],
}

/// A type and those whose vectors have the largest cosine with its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbors {
    /// The type.
    pub token: String,
    /// Its neighbors, nearest first.
    pub nearest: Vec<Neighbor>,
}

/// A neighbor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbor {
    /// The type.
    pub token: String,
    /// The cosine.
    pub cosine: f64,
}

/// A type on the map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MappedWord {
    /// The type.
    pub token: String,
    /// Its place.
    pub at: [f64; 2],
}

impl Words {
    /// Compares the vectors of a checkpoint.
    pub fn of(directory: &str, checkpoint: &Checkpoint) -> Self {
        let (source, vectors) = vectors(checkpoint);
        let vocabulary = &checkpoint.vocabulary;
        let ids: Vec<usize> = (1..vectors.len())
            .filter(|&id| is_word(vocabulary, id))
            .collect();
        let candidates = &ids[..ids.len().min(CANDIDATES)];
        let units: Vec<Vec<f32>> = candidates
            .iter()
            .map(|&id| normalized(&vectors[id]))
            .collect();
        let unit = checkpoint.description.unit;
        let name = |id: usize| name(id as u32, unit, vocabulary);
        let listed = (0..candidates.len().min(LISTED)).into_par_iter();
        let neighbors = listed.map(|index| Neighbors {
            token: name(candidates[index]),
            nearest: nearest(&units, index)
                .into_iter()
                .map(|(other, cosine)| Neighbor {
                    token: name(candidates[other]),
                    cosine: f64::from(cosine),
                })
                .collect(),
        });
        let rows: Vec<&[f32]> = ids
            .iter()
            .take(AXES_FROM)
            .map(|&id| &*vectors[id])
            .collect();
        let components = principal_components(&rows);
        let map = ids.iter().zip(&components.places).take(MAPPED);
        Self {
            name: directory.to_owned(),
            source: source.to_owned(),
            size: vectors.first().map_or(0, Vec::len),
            neighbors: neighbors.collect(),
            map: map
                .map(|(&id, &at)| MappedWord {
                    token: name(id),
                    at,
                })
                .collect(),
            variance: components.variance,
        }
    }
}

/// The vector of each type: its embedding or, of one-hot input, the weights from it.
fn vectors(checkpoint: &Checkpoint) -> (&'static str, Vec<Vec<f32>>) {
    let specs = parameter_specs(&checkpoint.description.config);
    let vocab_size = checkpoint.vocabulary.len();
    if let Some(id) = find_parameter(&specs, EMBEDDING_WEIGHT) {
        let values = checkpoint.parameters.of(id);
        let size = (values.len() / vocab_size).max(1);
        return (
            "embedding",
            values.chunks_exact(size).map(<[f32]>::to_vec).collect(),
        );
    }
    let values = find_parameter(&specs, "rnn.weight_ih_l0").map(|id| checkpoint.parameters.of(id));
    let values = values.unwrap_or_default();
    let vector = |id: usize| {
        values
            .iter()
            .skip(id)
            .step_by(vocab_size)
            .copied()
            .collect()
    };
    (
        "input weight of the first layer",
        (0..vocab_size).map(vector).collect(),
    )
}

fn is_word(vocabulary: &Vocabulary, id: usize) -> bool {
    vocabulary.types()[id] != UNKNOWN
}

fn normalized(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    vector.iter().map(|value| value * scale).collect()
}

/// The indices of the nearest other vectors, with their cosines.
fn nearest(units: &[Vec<f32>], index: usize) -> Vec<(usize, f32)> {
    let own = &units[index];
    let cosine = |other: &Vec<f32>| own.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    let others = units
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    let mut cosines: Vec<_> = others
        .map(|(other, vector)| (other, cosine(vector)))
        .collect();
    cosines.sort_by(|a, b| b.1.total_cmp(&a.1));
    cosines.truncate(NEIGHBORS);
    cosines
}
