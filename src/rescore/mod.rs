//! Rescoring of n-best lists: hypotheses of a recognizer or translator, scored by language models.
//!
//! In: n-best lists in the format of rnnlm or SRILM, read one list at a time. Out: the
//! log-probability of each token of every hypothesis. All hypotheses of a list are scored from the
//! same state and history; a shared prefix is computed only once.

mod nbest;
mod prefix_scorer;

pub use nbest::{Hypothesis, ListIds, NbestFormat, NbestList, NbestReader};
pub use prefix_scorer::{PrefixContext, PrefixScorer};
