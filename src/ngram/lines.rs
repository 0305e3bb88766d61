//! The lines of a file of any size, plain or compressed, with their numbers for messages.

use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::gzip;

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// The most bytes in a line: a file of another kind may have no line's end for gigabytes.
const LONGEST: u64 = 1 << 20;

/// Reads a source line by line.
pub(super) struct ArpaLines<R> {
    source: R,
    /// The file, in the words of a message.
    name: String,
    line: Vec<u8>,
    number: u64,
}

/// Opens a file, compressed or not.
pub(super) fn open(path: &Path) -> Result<ArpaLines<Box<dyn BufRead>>> {
    let name = path.display().to_string();
    if path.is_dir() {
        return Err(Error::invalid(
            name,
            "it is a directory",
            "Give an n-gram model in ARPA format",
        ));
    }
    Ok(ArpaLines::new(gzip::open(path)?, &name))
}

impl<R: BufRead> ArpaLines<R> {
    pub(super) fn new(source: R, name: &str) -> Self {
        Self {
            source,
            name: name.to_owned(),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Goes to the next line; false at the file's end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let read = self
            .source
            .by_ref()
            .take(LONGEST)
            .read_until(b'\n', &mut self.line);
        let bytes = read.map_err(|error| self.failed(error))?;
        if bytes as u64 == LONGEST && self.line.last() != Some(&b'\n') {
            return Err(self.invalid(
                "the line",
                &format!("it is longer than {LONGEST} bytes"),
                "Give an n-gram model in ARPA format",
            ));
        }
        if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(bytes > 0)
    }

    /// The bytes of the line, without the white space around them.
    pub(super) fn bytes(&self) -> &[u8] {
        self.line.trim_ascii()
    }

    /// The line without the white space around it.
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

    /// The line's number, from 1 on.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads what is left, so that damage to compressed data is found there too.
    pub(super) fn finish(mut self) -> Result<()> {
        let rest = std::io::copy(&mut self.source, &mut std::io::sink());
        rest.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// The refusal of something in this line.
    pub(super) fn invalid(&self, what: &str, rule: &str, hint: &str) -> Error {
        self.refused_at(self.number, what, rule, hint)
    }

    /// The refusal of something in another line.
    pub(super) fn refused_at(&self, line: u64, what: &str, rule: &str, hint: &str) -> Error {
        Error::invalid(format!("{}, line {line}: {what}", self.name), rule, hint)
    }

    fn failed(&self, error: std::io::Error) -> Error {
        match error.kind() {
            // What the decoder says; reading a plain file never fails with these.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => self
                .invalid(
                    "the compressed data",
                    &format!("it is cut off or damaged here or a little before ({error})"),
                    "Copy the file again, and look at it with `gzip -t`",
                ),
            _ => Error::io("read", Path::new(&self.name))(error),
        }
    }
}
