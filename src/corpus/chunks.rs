//! Splits a text into units on all threads, in constant memory.
//!
//! In: the bytes of a text, in one streaming pass. Out: its units, in groups that start at the
//! start of a line and are split side by side. The text is read in batches of chunks: while the
//! threads split one batch, the units of the one before are taken and the next one is read.

use std::io::{Read, Write};
use std::path::Path;

use super::size::TextSize;
use super::splitter::{InvalidUtf8, Splitter};
use super::text_report::TextReport;
use super::unit::Unit;
use super::unknown::UnknownWords;
use super::words::SentenceTags;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// Bytes of a chunk.
const CHUNK: usize = 1 << 20;
/// Maximum number of chunks of a batch.
const MOST_CHUNKS: usize = 32;

/// What is done with the units of a group, whose result is `S`.
pub(super) trait Units: Sync {
    /// The result of the units of a group.
    type Group: Send;

    /// The result of a group without units.
    fn start(&self) -> Self::Group;

    /// Adds the next unit of a group.
    fn push(&self, group: &mut Self::Group, unit: &str);
}

/// Bytes of a text that are split together.
struct Chunk {
    bytes: Vec<u8>,
    /// Whether they end in a newline.
    ends_line: bool,
}

/// The chunks of a text, each of which ends at the end of a line if it contains one.
struct Chunks<R> {
    source: R,
    /// The start of the next chunk.
    rest: Vec<u8>,
    is_at_end: bool,
}

impl<R: Read> Chunks<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            rest: Vec::new(),
            is_at_end: false,
        }
    }

    /// The next chunk; `None` at the end of the text. What is read is added to `hash`.
    fn next(&mut self, hash: &mut Hash) -> std::io::Result<Option<Chunk>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let old = bytes.len();
        if !self.is_at_end {
            bytes.reserve_exact(CHUNK - old);
            let missing = (CHUNK - old) as u64;
            (&mut self.source).take(missing).read_to_end(&mut bytes)?;
            self.is_at_end = bytes.len() < CHUNK;
            // Hashing cannot fail.
            let _ = hash.write_all(&bytes[old..]);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let end = bytes.iter().rposition(|&byte| byte == b'\n');
        if let (Some(end), false) = (end, self.is_at_end) {
            self.rest = bytes.split_off(end + 1);
        }
        let ends_line = bytes.last() == Some(&b'\n');
        Ok(Some(Chunk { bytes, ends_line }))
    }
}

/// Chunks that are split one after the other: all but the last do not end a line.
struct Job<S> {
    chunks: Vec<Chunk>,
    splitter: Splitter,
    group: S,
    outcome: std::result::Result<(), InvalidUtf8>,
}

impl<S> Job<S> {
    fn run(&mut self, units: &impl Units<Group = S>) {
        let Self {
            chunks,
            splitter,
            group,
            outcome,
        } = self;
        *outcome = chunks
            .iter()
            .try_for_each(|chunk| splitter.push(&chunk.bytes, &mut |unit| units.push(group, unit)));
    }
}

/// Reads texts one after the other and adds up what they have.
#[derive(Debug)]
pub(super) struct TextReader {
    unit: Unit,
    hash: Hash,
    bytes: u64,
    size: Option<TextSize>,
    tags: SentenceTags,
}

impl TextReader {
    pub(super) fn new(unit: Unit) -> Self {
        Self {
            unit,
            hash: Hash::default(),
            bytes: 0,
            size: Some(TextSize::default()),
            tags: SentenceTags::default(),
        }
    }

    /// Reads a text and calls `take` with the groups of its units, in the order of the text.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8 where the unit requires it, or `take` fails.
    pub(super) fn read<U: Units>(
        &mut self,
        source: impl Read,
        name: &str,
        units: &U,
        take: &mut impl FnMut(U::Group) -> Result<()>,
    ) -> Result<()> {
        let mut chunks = Chunks::new(source);
        // The state at the end of a batch, whose last line may continue.
        let mut last = Splitter::new(self.unit);
        let mut lines = 0;
        let mut batch = self.next_batch(&mut chunks, name)?;
        let mut groups = Vec::new();
        while !batch.is_empty() {
            let mut jobs = self.jobs(batch, last, units);
            batch = rayon::in_place_scope(|scope| {
                for job in &mut jobs {
                    scope.spawn(|_| job.run(units));
                }
                groups.drain(..).try_for_each(&mut *take)?;
                self.next_batch(&mut chunks, name)
            })?;
            let mut before: Option<Splitter> = None;
            for job in jobs {
                if let Some(done) = before.replace(job.splitter) {
                    lines += done.lines();
                    self.add(&done);
                }
                job.outcome.map_err(|error| error.in_file(name, lines))?;
                groups.push(job.group);
            }
            last = before.unwrap_or_else(|| Splitter::at_line_start(self.unit));
        }
        groups.into_iter().try_for_each(&mut *take)?;
        let mut group = units.start();
        last.finish(&mut |unit| units.push(&mut group, unit))
            .map_err(|error| error.in_file(name, lines))?;
        self.add(&last);
        take(group)
    }

    /// The next chunks, as many as the threads split while others are read.
    fn next_batch(&mut self, chunks: &mut Chunks<impl Read>, name: &str) -> Result<Vec<Chunk>> {
        let most = (4 * rayon::current_num_threads()).min(MOST_CHUNKS);
        let mut batch = Vec::new();
        while batch.len() < most {
            let next = chunks.next(&mut self.hash);
            let Some(chunk) = next.map_err(Error::io("read", Path::new(name)))? else {
                break;
            };
            self.bytes += chunk.bytes.len() as u64;
            batch.push(chunk);
        }
        Ok(batch)
    }

    /// The jobs of a batch, the first of which continues with the state `last`.
    fn jobs<U: Units>(&self, batch: Vec<Chunk>, last: Splitter, units: &U) -> Vec<Job<U::Group>> {
        let mut jobs = Vec::new();
        let mut job = self.job(last, units);
        for chunk in batch {
            let ends_line = chunk.ends_line;
            job.chunks.push(chunk);
            if ends_line {
                let next = self.job(Splitter::at_line_start(self.unit), units);
                jobs.push(std::mem::replace(&mut job, next));
            }
        }
        if !job.chunks.is_empty() {
            jobs.push(job);
        }
        jobs
    }

    fn job<U: Units>(&self, splitter: Splitter, units: &U) -> Job<U::Group> {
        Job {
            chunks: Vec::new(),
            splitter,
            group: units.start(),
            outcome: Ok(()),
        }
    }

    /// Adds what a splitter has counted.
    fn add(&mut self, splitter: &Splitter) {
        self.size = self
            .size
            .zip(splitter.size())
            .map(|(one, other)| one.add(other));
        self.tags += splitter.tags();
    }

    /// The report of all texts that were read.
    pub(super) fn report(self) -> TextReport {
        TextReport {
            bytes: self.bytes,
            sha256: self.hash.hexadecimal(),
            size: self.size,
            unknown: UnknownWords::default(),
            tags: self.tags,
        }
    }
}
