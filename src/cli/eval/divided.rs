//! Evaluation on several ranks: each computes the probabilities that the networks give to a text of
//! its own, or to its part of the same text. The first one mixes and prints.

use std::path::{Path, PathBuf};

use super::{EvalFlags, EvalRun};
use crate::cli::ranks;
use crate::corpus::{TextReport, read_tokens};
use crate::decompress;
use crate::error::{Error, Result};
use crate::mixture::{Component, Computed, NetworkOptions, TextPart, read_part};
use crate::parallel::Ranks;

/// What a rank evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Division {
    /// All texts, alone.
    None,
    /// Some of the texts.
    Texts,
    /// A part of each text.
    Parts,
}

impl Division {
    /// How ranks divide the texts.
    ///
    /// # Errors
    /// If they cannot.
    pub(super) fn of(flags: &EvalFlags, options: NetworkOptions, ranks: &Ranks) -> Result<Self> {
        if ranks.is_alone() {
            return Ok(Self::None);
        }
        if flags
            .texts
            .iter()
            .any(|text| decompress::is_standard_input(text))
        {
            return Err(ranks::standard_input_of_ranks(ranks));
        }
        let has_parts = options.streams > 1 || options.has_independent_sentences();
        if flags.texts.len() > 1 && !has_parts {
            return Ok(Self::Texts);
        }
        options.check_ranks(ranks)?;
        Ok(Self::Parts)
    }
}

/// What the networks say of a text, where several ranks have computed it.
pub(super) type Networks<'a> = Option<&'a NetworkProbs<'a>>;

/// ln P of the tokens of a text by each network.
pub(super) struct NetworkProbs<'a> {
    ranks: &'a Ranks,
    /// The rank that has computed the first part; each following rank has the next one.
    first: usize,
    /// The hash of the text that each rank has read.
    hashes: Vec<String>,
    /// ln P of the tokens of each part, by the first network, then by the next.
    parts: Vec<Vec<f64>>,
    networks: usize,
}

impl NetworkProbs<'_> {
    /// The networks as components of a mixture.
    ///
    /// # Errors
    /// If a rank has read another text.
    pub(super) fn components<'a>(
        &self,
        path: &Path,
        text: &TextReport,
    ) -> Result<Vec<Box<dyn Component + 'a>>> {
        let other = self.hashes.iter().position(|hash| *hash != text.sha256);
        if let Some(other) = other {
            return Err(Error::invalid(
                format!(
                    "{} on {}",
                    path.display(),
                    self.ranks.name(self.first + other)
                ),
                format!("it differs from that on {}", self.ranks.name(0)),
                "Give all ranks the same texts",
            ));
        }
        let of_network = |network: usize| {
            let part = |part: &Vec<f64>| {
                let length = part.len() / self.networks;
                part[network * length..(network + 1) * length].to_vec()
            };
            self.parts.iter().flat_map(part).collect()
        };
        let computed = |network| Box::new(Computed::new(of_network(network))) as Box<dyn Component>;
        Ok((0..self.networks).map(computed).collect())
    }
}

impl EvalRun<'_> {
    /// Calls `take` for each text, in order, on the first rank.
    ///
    /// # Errors
    /// On all ranks, if a text cannot be evaluated or `take` fails.
    pub(super) fn for_each_text(
        &mut self,
        ranks: &Ranks,
        division: Division,
        take: &mut dyn FnMut(&mut Self, &Path, Networks<'_>) -> Result<()>,
    ) -> Result<()> {
        let texts = &self.flags.texts;
        if division == Division::None {
            return texts.iter().try_for_each(|path| take(self, path, None));
        }
        let together = match division {
            Division::Texts => ranks.count(),
            _ => 1,
        };
        for texts in texts.chunks(together) {
            let probs = self.network_probs(ranks, division, texts)?;
            let mut texts = texts.iter().zip(&probs);
            ranks::on_first(ranks, || {
                texts.try_for_each(|(path, probs)| take(self, path, Some(probs)))
            })?;
        }
        Ok(())
    }

    /// What the networks say of the texts: of one text for each rank, or of one for all.
    fn network_probs<'r>(
        &mut self,
        ranks: &'r Ranks,
        division: Division,
        texts: &[PathBuf],
    ) -> Result<Vec<NetworkProbs<'r>>> {
        let own = match division {
            Division::Texts => texts.get(ranks.index()).map(|path| (path, TextPart::Whole)),
            _ => {
                let (rank, ranks) = (ranks.index(), ranks.count());
                texts
                    .first()
                    .map(|path| (path, TextPart::OfRank { rank, ranks }))
            }
        };
        let computed = || own.map(|(path, part)| self.compute(path, part)).transpose();
        let computed = ranks.together(computed);
        let (hash, values) = ranks.agree(computed)?.unwrap_or_default();
        let hashes = ranks.gather(hash.as_bytes()).into_iter();
        let hashes = hashes.map(|hash| String::from_utf8_lossy(&hash).into_owned());
        let parts = hashes.zip(ranks.gather(&values)).collect::<Vec<_>>();
        let together = match division {
            Division::Texts => 1,
            _ => ranks.count(),
        };
        let rounds = parts.chunks(together).take(texts.len()).enumerate();
        let probs = rounds.map(|(index, of_text)| {
            let (hashes, parts) = of_text.iter().cloned().unzip();
            NetworkProbs {
                ranks,
                first: index * together,
                hashes,
                parts,
                networks: self.models.len(),
            }
        });
        Ok(probs.collect())
    }

    /// The hash of a text, and ln P of the tokens of its part by each network.
    fn compute(&mut self, path: &Path, part: TextPart) -> Result<(String, Vec<f64>)> {
        let unit = self.sources.checkpoints[0].description.unit;
        let (tokens, report) = read_tokens(path, unit, &self.sources.vocabulary)?;
        let mut values = Vec::new();
        for model in self.models {
            let statistics = self.sources.statistics.as_ref();
            let options = self.options;
            let device = &mut self.device;
            values.extend(read_part(
                device, model, &tokens, options, statistics, part,
            )?);
        }
        if self.options.dynamic.is_some() {
            self.sources.reset(&mut self.device, self.models)?;
        }
        Ok((report.sha256, values))
    }
}
