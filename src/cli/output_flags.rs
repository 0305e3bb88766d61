//! Flags of the output layers for large vocabularies, and what they resolve to.

use clap::Args;

use crate::error::{Error, Result};
use crate::model::Clusters;

/// Flags as they were given.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct OutputFlags {
    /// For --output adaptive: numbers of frequent words at which the head ends and each cluster but the last, with commas between them
    /// [default: those of 2000,10000,50000,200000 that are at most half of the vocabulary's size; for small vocabularies a quarter of it]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    cutoffs: Vec<usize>,
    /// What a cluster's state is smaller by than that of the words before: H/4, H/16 and so on with 4 [default: 4]
    #[arg(long, value_name = "N")]
    tail_divisor: Option<usize>,
}

impl OutputFlags {
    /// The clusters of an output layer for so many types, where it has some.
    pub(super) fn clusters(&self, output: &str, vocab_size: usize) -> Result<Option<Clusters>> {
        let is_given = [("--cutoffs", !self.cutoffs.is_empty()), ("--tail-divisor", self.tail_divisor.is_some())];
        match (output, is_given.iter().find(|(_, given)| *given)) {
            ("adaptive", _) => {
                let cutoffs = if self.cutoffs.is_empty() { Clusters::usual(vocab_size) } else { self.cutoffs.clone() };
                Ok(Some(Clusters { cutoffs, divisor: self.tail_divisor.unwrap_or(Clusters::USUAL_DIVISOR) }))
            }
            (_, None) => Ok(None),
            (_, Some((flag, _))) => {
                let rule = format!("--output {output} has no clusters");
                Err(Error::usage(*flag, rule, "Take --output adaptive, or leave --cutoffs and --tail-divisor out"))
            }
        }
    }
}
