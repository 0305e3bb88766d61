//! The one error type of the library.
//!
//! A message names the value, the rule it breaks and what to do instead. Fields of a configuration
//! are written in backticks, alone (`` `bptt` ``) or with a value (`` `output = sampled` ``); the
//! command line shows them as flags. The library knows no flags.

use std::path::{Path, PathBuf};

/// Everything that can fail in the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line is wrong: exit code 2. Only the command line makes this error.
    #[error("{what}: {rule}. {hint}")]
    Usage {
        /// The value that was given, with its flag.
        what: String,
        /// The rule that it breaks.
        rule: String,
        /// What to do instead.
        hint: String,
    },
    /// A field of a configuration or a recipe has a value that cannot be used: exit code 2.
    #[error("`{field}` = {value}: {rule}. {hint}")]
    InvalidConfig {
        /// The field's name in the configuration.
        field: String,
        /// The value that was given.
        value: String,
        /// The rule that it breaks.
        rule: String,
        /// What to do instead.
        hint: String,
    },
    /// A file, a text, a checkpoint or a device cannot be used: exit code 1.
    #[error("{what}: {rule}. {hint}")]
    Invalid {
        /// The thing that was checked.
        what: String,
        /// The rule that it breaks.
        rule: String,
        /// What to do instead.
        hint: String,
    },
    /// The operating system failed to read or write.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: "read", "write", "create" ….
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The graphics driver reported a failure.
    #[error("the GPU failed: {0}")]
    Gpu(String),
    /// Training produced a value that is not finite.
    #[error(
        "training diverged: {tensor} is not finite in window {window} of epoch {epoch}. {hint}"
    )]
    NotFinite {
        /// The first tensor found with such a value.
        tensor: String,
        /// Window of the epoch, counted from 1.
        window: usize,
        /// Epoch, counted from 1.
        epoch: usize,
        /// What to do instead.
        hint: String,
    },
    /// Another rank has failed, and says why.
    #[error("{rank} failed")]
    OtherRank {
        /// The rank and its host.
        rank: String,
        /// Whether the command line or a configuration is wrong there.
        is_usage: bool,
    },
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the command line or a configuration is wrong, and not a file or a device.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage { .. } | Self::InvalidConfig { .. } => true,
            Self::OtherRank { is_usage, .. } => *is_usage,
            _ => false,
        }
    }

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

    /// A field of a configuration whose value cannot be used.
    pub fn config(
        field: impl Into<String>,
        value: impl ToString,
        rule: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::InvalidConfig {
            field: field.into(),
            value: value.to_string(),
            rule: rule.into(),
            hint: hint.into(),
        }
    }

    /// Something that exists and cannot be used.
    pub fn invalid(
        what: impl Into<String>,
        rule: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Invalid {
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
}
