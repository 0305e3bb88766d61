//! Reading of files that may be gzip-compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// The first bytes of a gzip stream.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Size of the read buffers in bytes.
const BUFFER_BYTES: usize = 1 << 16;

/// Opens a file and decompresses it if its first bytes are those of a gzip stream.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut magic = Vec::new();
    file.by_ref()
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(Error::io("read", path))?;
    let is_compressed = magic == MAGIC;
    let file = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic).chain(file));
    Ok(if is_compressed {
        Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            MultiGzDecoder::new(file),
        ))
    } else {
        Box::new(file)
    })
}
