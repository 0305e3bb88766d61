//! What a model has learned and how: the data of a report, and its page.
//!
//! In: directories that `elman train` wrote, and a text. Out: a [`Report`] of plain structs, which
//! serde writes as JSON. With the feature `report`, [`page()`] makes one HTML page of it, which
//! needs no other file.
//!
//! | module | what it computes |
//! | --- | --- |
//! | [`run`] | curves of training and validation, from the log |
//! | [`floor`] | the lowest perplexity that a model can be expected to reach |
//! | [`text`] | what models do with a text, in one pass |
//! | [`reading`] | surprisals, the likeliest tokens, losses by rank, calibration |
//! | [`ngram`] | the surprisals of an n-gram model |
//! | [`units`] | what hidden units follow |
//! | [`memory`] | how far gradients reach back |
//! | [`words`] | neighbors of words, and a map of them |

mod features;
pub mod floor;
mod largest;
pub mod memory;
pub mod ngram;
#[cfg(feature = "report")]
mod page;
mod pass;
pub mod reading;
pub mod run;
pub mod text;
mod tokens;
pub mod units;
pub mod words;

use serde::Serialize;

pub use floor::Floor;
pub use ngram::NgramReading;
#[cfg(feature = "report")]
pub use page::page;
pub use run::RunReport;
pub use text::{Text, TextReport};
pub use words::Words;

/// Everything that a report shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The runs, in the order in which they were given.
    pub runs: Vec<RunReport>,
    /// A text as the models read it, if there is one.
    pub text: Option<TextReport>,
    /// The word vectors of each model.
    pub words: Vec<Words>,
}
