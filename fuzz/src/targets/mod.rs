//! What is fuzzed: each target has some files and their readers.
//!
//! An input is the name of a file, a newline, and the file's content. The file takes the place of a
//! valid one, and is read. A reader may accept or refuse it. It may not panic, allocate much more
//! memory than the file has bytes, write elsewhere, or refuse the file without naming it.

mod files;
pub mod readers;
mod rnnlm_model;

use super::allocations::largest_allocation;
use elman::error::Result;
use files::Files;
use readers::Read;

/// An allocation may have this many bytes whatever the file, and this many for each of its bytes.
pub const ALLOWANCE: usize = 16 << 20;
pub const MULTIPLE: usize = 64;
/// A zstd frame states its window, up to 100 MB, and the decoder reserves that.
const ZSTD_WINDOW: usize = 160 << 20;
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The bytes that an allocation may have for a file.
fn most_bytes(content: &[u8]) -> usize {
    let window = if content.starts_with(ZSTD) {
        ZSTD_WINDOW
    } else {
        0
    };
    ALLOWANCE + window + MULTIPLE * content.len()
}

/// Some files and their readers.
pub struct Target {
    pub name: &'static str,
    files: &'static [(&'static str, Read)],
}

pub static TARGETS: [Target; 9] = [
    Target {
        name: "checkpoint",
        files: &[
            ("elman/config.json", readers::checkpoint),
            ("elman/training.json", readers::checkpoint),
            ("elman/vocab.txt", readers::checkpoint),
            ("lstm/config.json", readers::checkpoint),
            ("lstm/training.json", readers::checkpoint),
            ("subwords/config.json", readers::checkpoint),
            ("subwords/vocab.txt", readers::checkpoint),
            ("subwords/tokenizer.json", readers::tokenizer),
        ],
    },
    Target {
        name: "tensors",
        files: &[
            ("elman/model.safetensors", readers::checkpoint),
            ("elman/training.safetensors", readers::checkpoint),
            ("lstm/model.safetensors", readers::pytorch_tensors),
            ("lstm/training.safetensors", readers::checkpoint),
            ("types.txt", readers::pytorch_types),
        ],
    },
    Target {
        name: "runs",
        files: &[
            ("elman/log.jsonl", readers::log),
            ("lstm/training.json", readers::log),
            ("locked/.journal", readers::resumed_directory),
            ("locked/manifest.json", readers::resumed_directory),
            ("locked/log.jsonl", readers::resumed_directory),
            (
                "locked/checkpoints/3/manifest.json",
                readers::resumed_directory,
            ),
        ],
    },
    Target {
        name: "text",
        files: &[
            ("text.txt", readers::text),
            ("text.txt.gz", readers::text),
            ("text.txt.zst", readers::text),
        ],
    },
    Target {
        name: "prepared",
        files: &[
            ("prepared/corpus.json", readers::prepared),
            ("prepared/vocab.txt", readers::prepared),
            ("prepared/text.tokens", readers::prepared),
            ("prepared/valid.tokens", readers::prepared),
        ],
    },
    Target {
        name: "ngram",
        files: &[
            ("model.arpa", readers::ngrams),
            ("irstlm.arpa", readers::ngrams),
            ("model.arpa.gz", readers::ngrams),
        ],
    },
    Target {
        name: "lists",
        files: &[
            ("lists.txt", readers::lists),
            ("srilm.txt", readers::lists),
            ("vectors.txt", readers::vectors),
            ("probabilities.txt", readers::probabilities),
        ],
    },
    Target {
        name: "rnnlm",
        files: &[
            ("text.rnnlm", readers::rnnlm_model),
            ("binary.rnnlm", readers::rnnlm_model),
        ],
    },
    Target {
        name: "flags",
        files: &[
            ("run.toml", readers::flags),
            ("tables.toml", readers::flags),
        ],
    },
];

/// Valid files, one of which an input replaces.
pub struct Bench(Files);

impl Bench {
    /// Writes the valid files.
    pub fn new() -> Result<Self> {
        Files::new().map(Self)
    }

    /// Reads a valid file of a target; the error of a reader that refuses it.
    pub fn read_valid(&self, target: &Target) -> Result<()> {
        for (name, read) in target.files {
            read(&self.0.path(name))?;
            self.0.restore(name);
        }
        Ok(())
    }

    /// The inputs that are the target's valid files, each with a name.
    pub fn seeds(&self, target: &Target) -> Vec<(String, Vec<u8>)> {
        let seed = |(name, _): &(&str, Read)| {
            let content = [name.as_bytes(), b"\n", self.0.original(name)].concat();
            (name.replace('/', "-"), content)
        };
        target.files.iter().map(seed).collect()
    }

    /// Reads an input. Returns whether it names a file of the target.
    ///
    /// # Panics
    /// If the reader does what no reader may do.
    pub fn read(&self, target: &Target, input: &[u8]) -> bool {
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            return false;
        };
        let (name, content) = (&input[..end], &input[end + 1..]);
        let mut files = target.files.iter();
        let Some((name, read)) = files.find(|(file, _)| file.as_bytes() == name) else {
            return false;
        };
        self.0.replace(name, content);
        let path = self.0.path(name);
        let mut result = Ok(());
        let largest = largest_allocation(|| result = read(&path));
        let most = most_bytes(content);
        assert!(
            largest <= most,
            "{name} has {} bytes, and its reader allocates {largest} at once",
            content.len()
        );
        if let Err(error) = result {
            let message = error.to_string();
            assert!(self.0.is_named(name, &message), "{name}: {message}");
        }
        self.0.assert_nothing_else_is_written(name);
        self.0.restore(name);
        true
    }
}
