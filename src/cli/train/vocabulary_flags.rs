//! The flags that decide what the tokens of a model are.

use std::path::PathBuf;

use clap::Args;

use crate::corpus::{DEFAULT_SUBWORDS, Limits, MIN_SUBWORDS, Unit};
use crate::error::{Error, Result};
use crate::field::Choice;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model")]
pub(in crate::cli) struct VocabularyFlags {
    /// The unit of text that a token represents [default: word]
    #[arg(long)]
    pub(in crate::cli) unit: Option<Unit>,
    /// Maximum number of types in the vocabulary; rarer types become <unk>. With --unit bpe, the
    /// number of subwords to learn, at least 257 [default: all types; 4096 subwords]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) vocab_size: Option<usize>,
    /// Minimum number of occurrences of a type; rarer types become <unk>. With --unit bpe, minimum
    /// number of occurrences of a pair of adjacent subwords to merge it [default: 0; 2 for
    /// subwords]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) min_count: Option<u64>,
    /// Subwords of --unit bpe, instead of learning them from the training text: a byte-level BPE in
    /// Hugging Face's format, such as GPT-2's tokenizer.json
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) tokenizer: Option<PathBuf>,
    /// Use exactly the words of these texts, or of a model's vocab.txt, as the vocabulary;
    /// comma-separated files
    #[arg(
        long,
        value_name = "FILE,FILE",
        value_delimiter = ',',
        conflicts_with_all = ["vocab_size", "min_count", "tokenizer"],
    )]
    pub(in crate::cli) vocab: Vec<PathBuf>,
}

impl VocabularyFlags {
    /// The given flags that contradict a model that exists already.
    pub(super) fn given_model_flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            ("unit", self.unit.is_some()),
            ("tokenizer", self.tokenizer.is_some()),
        ];
        flags
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
    }

    /// Whether a flag selects the types of the vocabulary.
    pub(super) fn selects_types(&self) -> bool {
        !self.vocab.is_empty() || self.vocab_size.is_some() || self.min_count.is_some()
    }

    pub(in crate::cli) fn unit(&self) -> Unit {
        self.unit.unwrap_or(Unit::Word)
    }

    /// The limits of the vocabulary.
    ///
    /// # Errors
    /// If a flag is out of range or contradicts another.
    pub(in crate::cli) fn limits(&self) -> Result<Limits> {
        if let Some(path) = &self.tokenizer {
            self.check_tokenizer(&path.display().to_string())?;
            return Ok(Limits::default());
        }
        if self.unit() == Unit::Bpe {
            if !self.vocab.is_empty() {
                return Err(Error::usage(
                    "--vocab with --unit bpe",
                    "it lists whole words, but the unit is subwords",
                    "Use --tokenizer FILE, or remove --vocab",
                ));
            }
            return self.subword_limits();
        }
        if let Some(size) = self.vocab_size.filter(|&size| size < 2) {
            return Err(Error::usage(
                format!("--vocab-size {size}"),
                "it must be at least 2: the boundary token and another type",
                "Use 2 or more",
            ));
        }
        Ok(Limits {
            vocab_size: self.vocab_size,
            min_count: self.min_count.unwrap_or(0),
        })
    }

    fn subword_limits(&self) -> Result<Limits> {
        let size = self.vocab_size.unwrap_or(DEFAULT_SUBWORDS);
        if size < MIN_SUBWORDS {
            return Err(Error::usage(
                format!("--vocab-size {size} with --unit bpe"),
                format!(
                    "it must be at least {MIN_SUBWORDS}: the boundary token and a subword for \
                     every byte"
                ),
                format!("Use {MIN_SUBWORDS} or more; {DEFAULT_SUBWORDS} is the default"),
            ));
        }
        Ok(Limits {
            vocab_size: Some(size),
            min_count: self.min_count.unwrap_or(2),
        })
    }

    /// Checks the flags that contradict `--tokenizer`.
    fn check_tokenizer(&self, file: &str) -> Result<()> {
        let flag = format!("--tokenizer {file}");
        if self.unit() != Unit::Bpe {
            return Err(Error::usage(
                flag,
                format!(
                    "it defines subwords, but the unit is {}",
                    self.unit().name()
                ),
                "Add --unit bpe, or remove it",
            ));
        }
        for (other, is_given) in [
            ("--vocab-size", self.vocab_size.is_some()),
            ("--min-count", self.min_count.is_some()),
        ] {
            if is_given {
                return Err(Error::usage(
                    format!("{other} with {flag}"),
                    "it applies to subwords learned from the training text, but the tokenizer has \
                     its own subwords",
                    "Remove one of them",
                ));
            }
        }
        Ok(())
    }
}
