//! Reads the lines of a file of any size, plain or compressed, and counts them for error messages.

use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use crate::decompress::{self, Reader};
use crate::error::{Error, Result};

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// Maximum number of bytes in a line. A file in another format may have gigabytes without a
/// newline.
const MAX_LINE: u64 = 1 << 20;

/// Whether a character separates the fields of an ARPA file. All other characters, such as U+00A0
/// or U+3000, are part of a word, as in texts.
pub(super) fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// A reader that returns one line at a time.
pub(super) struct ArpaLines<R> {
    source: R,
    /// The name of the file in error messages.
    name: String,
    line: Vec<u8>,
    line_number: u64,
}

/// Opens a file, compressed or not.
pub(super) fn open(path: &Path) -> Result<ArpaLines<Reader>> {
    let source = decompress::open(path)?;
    Ok(ArpaLines::new(source, &decompress::name(path)))
}

impl<R: BufRead> ArpaLines<R> {
    pub(super) fn new(source: R, name: &str) -> Self {
        Self {
            source,
            name: name.to_owned(),
            line: Vec::new(),
            line_number: 0,
        }
    }

    /// Advances to the next line. Returns false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.line.clear();
        self.line_number += 1;
        let read = self
            .source
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.line);
        let bytes = read.map_err(|error| self.failed(error))?;
        if bytes as u64 == MAX_LINE && self.line.last() != Some(&b'\n') {
            return Err(self.invalid(
                "the line",
                &format!("it is longer than {MAX_LINE} bytes"),
                "Give an n-gram model in ARPA format",
            ));
        }
        if self.line_number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(bytes > 0)
    }

    /// The bytes of the line, without leading and trailing separators.
    pub(super) fn bytes(&self) -> &[u8] {
        let is_text = |byte: &u8| !is_separator(char::from(*byte));
        match (
            self.line.iter().position(is_text),
            self.line.iter().rposition(is_text),
        ) {
            (Some(first), Some(last)) => &self.line[first..=last],
            _ => &[],
        }
    }

    /// The line, without leading and trailing separators.
    pub(super) fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.bytes()).map_err(|error| {
            let byte = self.bytes()[error.valid_up_to()];
            self.invalid(
                &format!("the byte 0x{byte:02x}"),
                "it is not UTF-8",
                "Convert the file to UTF-8",
            )
        })
    }

    /// The fields of the line.
    pub(super) fn fields(&self) -> Result<Vec<&str>> {
        let fields = self.text()?.split(is_separator);
        Ok(fields.filter(|field| !field.is_empty()).collect())
    }

    /// The name of the file in error messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The line number, counted from 1.
    pub(super) fn line_number(&self) -> u64 {
        self.line_number
    }

    /// Reads the rest of the file, to detect corrupt compressed data there.
    pub(super) fn finish(mut self) -> Result<()> {
        let rest = std::io::copy(&mut self.source, &mut std::io::sink());
        rest.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// An error in the current line.
    pub(super) fn invalid(&self, what: &str, rule: &str, hint: &str) -> Error {
        self.invalid_at(self.line_number, what, rule, hint)
    }

    /// An error in the given line.
    pub(super) fn invalid_at(&self, line: u64, what: &str, rule: &str, hint: &str) -> Error {
        Error::invalid(format!("{}, line {line}: {what}", self.name), rule, hint)
    }

    fn failed(&self, error: std::io::Error) -> Error {
        match error.kind() {
            // Errors of the decoder; reading a plain file does not return them.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => self
                .invalid(
                    "the compressed data",
                    &format!("it is truncated or corrupt at or shortly before this line ({error})"),
                    "Copy the file again, and check it with `gzip -t` or `zstd -t`",
                ),
            _ => Error::io("read", Path::new(&self.name))(error),
        }
    }
}
