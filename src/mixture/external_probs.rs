//! Probabilities from another program: the first number of each line, for each token of the text
//! including sentence ends, in the format of `rnnlm -lm-prob`. The rest of a line is ignored, such
//! as the word.

use std::io::BufRead;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Component;
use crate::corpus::{Tokens, Unit, is_separator, without_byte_order_mark};
use crate::decompress::{self, Reader};
use crate::device::Device;
use crate::error::{Error, Result};

/// A file of probabilities, read in parallel with the text.
pub struct ExternalProbs {
    lines: std::io::Split<Reader>,
    path: PathBuf,
    /// Number of lines read so far.
    line: usize,
}

impl std::fmt::Debug for ExternalProbs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalProbs")
            .field("path", &self.path)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl ExternalProbs {
    /// Opens a file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            lines: decompress::open(path)?.split(b'\n'),
            path: path.to_owned(),
            line: 0,
        })
    }

    /// Reads the probability of a token of the text, counted from 1, from the next line. Returns
    /// its ln.
    ///
    /// # Errors
    /// If there is no next line, or it is not a probability.
    pub fn next(&mut self, token: usize) -> Result<f64> {
        let name = self.path.display();
        let line = self.lines.next().ok_or_else(|| {
            Error::invalid(
                format!("`lm_prob = {name}`, which ends after line {}", self.line),
                format!(
                    "token {token} of the text has no line; every token needs one, including the \
                     end of every line of text"
                ),
                "Generate the file from the same text",
            )
        })?;
        self.line += 1;
        let line = line.map_err(Error::io("read", &self.path))?;
        let text = match self.line {
            1 => without_byte_order_mark(&line, Unit::Word),
            _ => &line,
        };
        let first = text
            .split(|&byte| is_separator(char::from(byte)))
            .find(|field| !field.is_empty());
        let probability = first
            .and_then(|field| std::str::from_utf8(field).ok()?.parse::<f64>().ok())
            .filter(|probability| (0.0..=1.0).contains(probability));
        probability.map(f64::ln).ok_or_else(|| {
            let line = String::from_utf8_lossy(&line);
            Error::invalid(
                format!(
                    "`lm_prob = {name}`, line {}: {:?}",
                    self.line,
                    line.trim_end_matches(is_separator)
                ),
                "each line must start with a probability from 0 to 1, not its logarithm",
                "Write one number per line, such as 0.0123; what follows it is ignored",
            )
        })
    }

    /// Checks that the file ends with the text, which has the given number of tokens.
    ///
    /// # Errors
    /// If the file has further lines.
    pub fn end(&mut self, tokens: usize) -> Result<()> {
        let rest = self
            .lines
            .by_ref()
            .filter(|line| {
                let is_blank = |line: &Vec<u8>| line.iter().all(|&byte| is_separator(byte.into()));
                line.as_ref().map_or(true, |line| !is_blank(line))
            })
            .count();
        if rest == 0 {
            return Ok(());
        }
        Err(Error::invalid(
            format!("`lm_prob = {}`", self.path.display()),
            format!(
                "the text has {tokens} tokens including line endings, but the file has {rest} more \
                 line(s)"
            ),
            "Generate the file from the same text",
        ))
    }
}

impl Component for ExternalProbs {
    fn read(
        &mut self,
        _device: &mut Device,
        _tokens: &Tokens,
        chunk: Range<usize>,
    ) -> Result<Vec<f64>> {
        chunk.map(|position| self.next(position + 1)).collect()
    }

    fn finish(&mut self) -> Result<()> {
        self.end(self.line)
    }
}
