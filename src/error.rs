//! The one error type of the library.
//!
//! A message names the value, the rule and the way out; the command line prints the whole chain of
//! causes.

use std::path::{Path, PathBuf};

/// What can go wrong, in the words that a user reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line asks for something that cannot be: exit code 2.
    #[error("{what}: {rule}. {hint}")]
    Usage {
        /// The value that was given, with the flag it was given to.
        what: String,
        /// The rule that it breaks.
        rule: String,
        /// What to do instead.
        hint: String,
    },
    /// A file, a text, a checkpoint or a device that cannot be used as it is: exit code 1.
    #[error("{what}: {rule}. {hint}")]
    Refused {
        /// The thing that was looked at.
        what: String,
        /// The rule that it breaks.
        rule: String,
        /// What to do instead.
        hint: String,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: "read", "write", "create" ….
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The graphics driver reported a failure.
    #[error("the GPU failed: {0}")]
    Gpu(String),
    /// Training produced a number that is not finite.
    #[error("{tensor} is not finite in window {window} of epoch {epoch}. {hint}")]
    NotFinite {
        /// The first tensor seen with a bad number in it.
        tensor: String,
        /// Window of the epoch, counted from 1.
        window: usize,
        /// Epoch, counted from 1.
        epoch: usize,
        /// What to do now.
        hint: String,
    },
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A wrong use of the command line.
    pub fn usage(
        what: impl Into<String>,
        rule: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Usage {
            what: what.into(),
            rule: rule.into(),
            hint: hint.into(),
        }
    }

    /// Something that exists and cannot be used.
    pub fn refused(
        what: impl Into<String>,
        rule: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Refused {
            what: what.into(),
            rule: rule.into(),
            hint: hint.into(),
        }
    }

    /// A failed system call on `path`; for use with `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// The process's exit code: 2 for wrong usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            _ => 1,
        }
    }
}
