//! SHA-256 of what is read or written, as `sha256sum` prints it.

use std::io;

use sha2::{Digest, Sha256};

/// A running SHA-256, written to like a file.
#[derive(Debug, Clone, Default)]
pub struct Hash(Sha256);

impl Hash {
    /// The hash of everything written, in hexadecimal.
    pub fn hexadecimal(self) -> String {
        self.0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
