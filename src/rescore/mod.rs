//! Re-ranking lists of hypotheses: what a recogniser or a translator found likely, scored by
//! language models.
//!
//! In: n-best lists in the form of rnnlm or of SRILM, streamed. Out: for every hypothesis the
//! log-probability of each of its tokens. All hypotheses of a list are scored from the same state
//! and history; a prefix that several have is computed once.

mod lists;
mod prefixes;

pub use lists::{Hypothesis, Ids, List, ListFormat, ListReader};
pub use prefixes::{Context, PrefixScorer};
