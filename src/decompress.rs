//! Opens files to read: plain, or compressed with gzip or zstd, which their first bytes tell.
//!
//! In: a path; `-` is standard input. Out: the decompressed bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::activity::{Activity, CountedReader};
use crate::error::{Error, Result};

/// The first bytes of a gzip stream.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The first bytes of a zstd frame.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Size of the read buffers in bytes.
const BUFFER_BYTES: usize = 1 << 16;

/// A buffered reader. [`BufReader::buffer`] is what can be read without waiting.
pub type Reader = BufReader<Box<dyn Read>>;

/// Opens a file, or standard input if the path is `-`, and decompresses it if its first bytes are
/// those of gzip or zstd. Standard input is opened once: what was read of it is gone.
///
/// # Errors
/// If the file cannot be opened or read, or is standard input that was opened before.
pub fn open(path: &Path) -> Result<Reader> {
    open_for("reading", path)
}

/// Opens a file as [`open`] does. `verb` says what is done with the file while it is read.
///
/// # Errors
/// As [`open`].
pub fn open_for(verb: &str, path: &Path) -> Result<Reader> {
    let source: Box<dyn Read> = if is_standard_input(path) {
        standard_input(verb)?
    } else {
        if path.is_dir() {
            // Without permission, what is in it is not known: it may be a prepared text.
            path.join(".").metadata().map_err(Error::io("open", path))?;
            return Err(Error::invalid(
                path.display().to_string(),
                "it is a directory",
                "Give a file, or - for standard input",
            ));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        let activity = Activity::start_with_file(verb, path, &file);
        Box::new(CountedReader::new(file, activity))
    };
    decompressed(source).map_err(|error| Error::io("read", Path::new(&name(path)))(error))
}

/// The decompressed content of a file.
///
/// # Errors
/// As [`open`].
#[cfg(feature = "cli")]
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?
        .read_to_end(&mut content)
        .map_err(Error::io("read", Path::new(&name(path))))?;
    Ok(content)
}

/// Standard input, as an activity unless a person types it.
fn standard_input(verb: &str) -> Result<Box<dyn Read>> {
    static IS_OPENED: AtomicBool = AtomicBool::new(false);
    if IS_OPENED.swap(true, Ordering::Relaxed) {
        return Err(Error::invalid(
            "standard input",
            "it is read once, and was read before",
            "Write it to a file, and give the name of the file instead of -",
        ));
    }
    let input = io::stdin();
    if input.is_terminal() {
        return Ok(Box::new(input));
    }
    let activity = Activity::start(format_args!("{verb} standard input"), None);
    Ok(Box::new(CountedReader::new(input, activity)))
}

/// Whether a file can be read only once: standard input or another pipe. What comes next may come
/// after any time, as from a person or another program.
#[cfg(feature = "cli")]
pub fn is_read_once(path: &Path) -> bool {
    let is_pipe = |path: &Path| {
        path.metadata()
            .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
    };
    is_standard_input(path) || is_pipe(path)
}

/// Whether a path means standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of a file in messages.
pub fn name(path: &Path) -> String {
    if is_standard_input(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn buffered(source: impl Read + 'static) -> Reader {
    BufReader::with_capacity(BUFFER_BYTES, Box::new(source))
}

fn decompressed(source: Box<dyn Read>) -> io::Result<Reader> {
    let mut source = buffered(source);
    let start = first_bytes(&mut source)?;
    let is = |magic: &[u8]| start.starts_with(magic);
    let (is_gzip, is_zstd) = (is(GZIP), is(ZSTD));
    let source = buffered(io::Cursor::new(start).chain(source));
    Ok(if is_gzip {
        buffered(MultiGzDecoder::new(source))
    } else if is_zstd {
        buffered(ZstdReader::new(source))
    } else {
        source
    })
}

/// Takes bytes off a source until they are, or cannot become, the first bytes of a compressed
/// stream. A source with less to read, such as a terminal, is not waited for longer than that.
fn first_bytes(source: &mut Reader) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    let is_undecided = |start: &[u8]| {
        let begins = |magic: &[u8]| start.len() < magic.len() && magic.starts_with(start);
        begins(GZIP) || begins(ZSTD)
    };
    while is_undecided(&start) {
        let available = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let Some(&byte) = available.first() else {
            break;
        };
        start.push(byte);
        source.consume(1);
    }
    Ok(start)
}

/// Decompresses the frames of a zstd stream, one after the other. `ruzstd` decodes one frame and
/// leaves its checksum to the caller.
struct ZstdReader {
    source: Reader,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl ZstdReader {
    fn new(source: Reader) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            in_frame: false,
        }
    }

    /// Starts the next frame of data. Returns false at the end of the source.
    fn start_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.source).take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(damaged(error)),
            }
        }
        Ok(false)
    }

    /// Ends a frame whose data were read.
    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum of a zstd frame is not that of its data",
            ));
        }
        Ok(())
    }
}

impl Read for ZstdReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame && (self.decoder.can_collect() > 0 || buffer.is_empty()) {
                return self.decoder.read(buffer);
            }
            if self.in_frame && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(damaged)?;
                continue;
            }
            if self.in_frame {
                self.end_frame()?;
            }
            if !self.start_frame()? {
                return Ok(0);
            }
        }
    }
}

/// A failure of `ruzstd` as its innermost cause; the outer messages describe its internal parts.
fn damaged(error: FrameDecoderError) -> io::Error {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the zstd data are damaged or incomplete ({cause})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "the dog sings\n" as `zstd` writes it, with a checksum.
    const FRAME: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\x71\0\0the dog sings\n\xf6\x6d\xac\x5e";

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decompressed(Box::new(io::Cursor::new(bytes.to_vec())))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn frames_follow_each_other() {
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], FRAME].concat();
        let text = read(&[FRAME, &skipped, FRAME].concat()).expect("frames");
        assert_eq!(text, b"the dog sings\n".repeat(3));
    }

    #[test]
    fn damaged_frames_are_errors() {
        for length in 4..FRAME.len() {
            assert!(read(&FRAME[..length]).is_err(), "{length} bytes");
        }
        let mut other = FRAME.to_vec();
        *other.last_mut().expect("bytes") ^= 1;
        assert!(read(&other).is_err(), "another checksum");
    }

    #[test]
    fn plain_texts_stay_as_they_are() {
        for text in ["", "(", "\u{1f}", "(\n", "the dog\n"] {
            assert_eq!(read(text.as_bytes()).expect("text"), text.as_bytes());
        }
    }
}
