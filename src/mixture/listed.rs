//! Probabilities that another program made: one a line, one for each token of the text with its
//! sentence ends, as `rnnlm -lm-prob` takes them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Component;
use crate::corpus::Tokens;
use crate::device::Device;
use crate::error::{Error, Result};

/// A file of probabilities, read as the text is.
#[derive(Debug)]
pub struct ExternalProbs {
    lines: std::io::Lines<BufReader<File>>,
    path: PathBuf,
    /// Lines read so far.
    number: usize,
}

impl ExternalProbs {
    /// Opens the file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Ok(Self {
            lines: BufReader::new(file).lines(),
            path: path.to_owned(),
            number: 0,
        })
    }

    /// ln of the next line's probability, that of the text's token of this number, counted from 1.
    ///
    /// # Errors
    /// If there is none, or it is no probability.
    pub fn next(&mut self, token: usize) -> Result<f64> {
        let name = self.path.display();
        let line = self.lines.next().ok_or_else(|| {
            Error::invalid(
                format!("--lm-prob {name}, which ends after line {}", self.number),
                format!(
                    "token {token} of the text has no line; every token has one, and so has \
                    the end of every line of text"
                ),
                "Make the list from the same text",
            )
        })?;
        self.number += 1;
        let line = line.map_err(Error::io("read", &self.path))?;
        let probability = line
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|probability| (0.0..=1.0).contains(probability));
        probability.map(f64::ln).ok_or_else(|| {
            Error::invalid(
                format!("--lm-prob {name}, line {}: {line:?}", self.number),
                "a line is a probability from 0 to 1, not its logarithm",
                "Write one number a line, such as 0.0123",
            )
        })
    }

    /// Hears that the text has ended after so many tokens.
    ///
    /// # Errors
    /// If there is another line.
    pub fn end(&mut self, tokens: usize) -> Result<()> {
        let rest = self
            .lines
            .by_ref()
            .filter(|line| line.as_ref().map_or(true, |line| !line.trim().is_empty()))
            .count();
        if rest == 0 {
            return Ok(());
        }
        Err(Error::invalid(
            format!("--lm-prob {}", self.path.display()),
            format!(
                "the text has {tokens} tokens with the ends of its lines, and there are {rest} \
                 lines more"
            ),
            "Make the list from the same text",
        ))
    }
}

impl Component for ExternalProbs {
    fn read(
        &mut self,
        _device: &mut Device,
        _tokens: &Tokens,
        run: Range<usize>,
    ) -> Result<Vec<f64>> {
        run.map(|position| self.next(position + 1)).collect()
    }

    fn finish(&mut self) -> Result<()> {
        self.end(self.number)
    }
}
