//! SHA-256 of data that is read or written, in the format of `sha256sum`.

use std::io;

use sha2::{Digest, Sha256};

/// An incremental SHA-256 hash with a [`std::io::Write`] interface.
#[derive(Debug, Clone, Default)]
pub struct Hash(Sha256);

impl Hash {
    /// The hash of all bytes that `source` has, in hexadecimal.
    ///
    /// # Errors
    /// If reading fails.
    pub fn of(mut source: impl io::Read) -> io::Result<String> {
        let mut hash = Self::default();
        io::copy(&mut source, &mut hash)?;
        Ok(hash.hexadecimal())
    }

    /// The hash of all bytes written, in hexadecimal.
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
