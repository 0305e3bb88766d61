//! Valid files of every format that Elman reads, in a temporary directory, and the check that
//! nothing beside them is written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use elman::checkpoint::{CorpusRecord, LOG, LockedDirectory, MANIFEST, TrainingLog, save};
use elman::error::Result;
use elman::model::{Binning, Classes};
use elman::prepared::{Request, Selection, prepare};
use elman::train::Progress;
use elman::{Config, Corpus, Device, Limits, Recipe, TextSource, Trainer, Unit};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;

use super::rnnlm_model;

const TEXT: &str = "a b c\nb c\nc a\n";
const ARPA: &str = "\\data\\
ngram 1=4
ngram 2=3
ngram 3=1

\\1-grams:
-1\t</s>
-99\t<s>\t-0.5
-0.5\ta\t-0.3
-0.6\t<unk>

\\2-grams:
-0.2\t<s> a\t-0.1
-0.4\ta a
-0.3\ta </s>

\\3-grams:
-0.1\t<s> a </s>

\\end\\
";
/// A file beside the directory of the files, which no reader may touch.
const OUTSIDE: &str = "outside.txt";
/// The directory that is opened to write into it.
const LOCKED: &str = "locked";
/// The directory of a prepared text.
const PREPARED: &str = "prepared";

/// Small texts of the formats that have no writer here.
const TEXTS: [(&str, &str); 10] = [
    ("text.txt", TEXT),
    ("types.txt", "a 1\nb\t2\n</s> 0\nc 3\n"),
    ("model.arpa", ARPA),
    ("vectors.txt", "3 2\na 0.5 1\nb -1 2\nc 1e-3 4\n"),
    ("lists.txt", "1 a b\n1 b c\n2 c\n"),
    ("srilm.txt", "-2.5 -1 2 a b\n-3 -2 1 b\n\n-1 -1 1 c\n"),
    ("probabilities.txt", "0.5\n0.25\n1e-3\n1\n"),
    (
        "run.toml",
        "# a recipe\ncell = \"lstm\"\nhidden = [20, 10]\nlr = 0.1\ntied = false\n",
    ),
    (
        "tables.toml",
        "[small]\nhidden = 20\n[large]\nhidden = 40\npreset = \"seed\"\n",
    ),
    (
        "irstlm.arpa",
        "iARPA\n\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-0.5\t<s>\t-0.3\n-0.5\t</s>\n\
         -0.5\ta\t-0.2\n\n\\2-grams:\n-0.4\t<s> a\n\n\\end\\\n",
    ),
];

/// Valid files of every format.
pub struct Files {
    root: TempDir,
    /// The content of every file, by its path below the directory.
    originals: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Writes the files.
    pub fn new() -> Result<Self> {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::write(root.path().join(OUTSIDE), OUTSIDE).expect("written");
        let directory = root.path().join("files");
        fs::create_dir(&directory).expect("a new directory");
        write_models(&directory)?;
        write_texts(&directory);
        let mut originals = BTreeMap::new();
        collect(&directory, "", &mut originals);
        Ok(Self { root, originals })
    }

    /// The content of a file.
    pub fn original(&self, name: &str) -> &[u8] {
        &self.originals[name]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("files").join(name)
    }

    /// Gives a file another content.
    pub fn replace(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Gives a file its content again, and with it those files that its reader may change.
    pub fn restore(&self, name: &str) {
        if !name.starts_with(LOCKED) {
            return self.replace(name, self.original(name));
        }
        fs::remove_dir_all(self.path(LOCKED)).expect("removed");
        let locked = self.originals.iter();
        for (name, content) in locked.filter(|(name, _)| name.starts_with(LOCKED)) {
            write_below(&self.path(""), name, content);
        }
    }

    /// Whether an error's message names the file, or another one in its directory.
    pub fn is_named(&self, name: &str, message: &str) -> bool {
        let path = self.path(name);
        let directory = path.parent().expect("a directory");
        message.contains(&*directory.to_string_lossy())
    }

    /// Checks that a reader of the file wrote nothing elsewhere.
    pub fn assert_nothing_else_is_written(&self, name: &str) {
        assert_eq!(names(self.root.path()), ["files", OUTSIDE], "{name}");
        let outside = fs::read(self.root.path().join(OUTSIDE));
        assert_eq!(outside.ok().as_deref(), Some(OUTSIDE.as_bytes()), "{name}");
        if name.starts_with(LOCKED) {
            return;
        }
        let path = self.path(name);
        let directory = path.parent().expect("a directory");
        let prefix = &name[..name.rfind('/').map_or(0, |slash| slash + 1)];
        for found in names(directory) {
            let other = format!("{prefix}{found}");
            let is_known = self.originals.keys().any(|known| known.starts_with(&other));
            assert!(is_known, "the reader of {name} wrote {other}");
        }
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Adds the content of the files below a directory to a map.
fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for name in names(directory) {
        let (path, name) = (directory.join(&name), format!("{prefix}{name}"));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(path).expect("readable"));
        }
    }
}

fn write_below(directory: &Path, name: &str, content: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("created");
    fs::write(path, content).expect("written");
}

/// Trains small models: `elman`, `lstm` and `subwords` without a manifest, `locked` with it.
fn write_models(directory: &Path) -> Result<()> {
    let classes = Classes {
        asked: 2,
        binning: Binning::Sqrt,
        sizes: vec![1, 3],
    };
    let elman = Config {
        hidden_size: 2,
        output: "class".into(),
        classes: Some(classes),
        ..Config::default()
    };
    let lstm = Config {
        cell: "lstm".into(),
        hidden_size: 2,
        embedding_size: 2,
        bias: true,
        initial_state: 0.0,
        ..Config::default()
    };
    let subwords = Config {
        hidden_size: 1,
        ..Config::default()
    };
    for (name, config, optimizer, unit) in [
        ("elman", &elman, "adam", Unit::Word),
        ("lstm", &lstm, "momentum", Unit::Word),
        ("subwords", &subwords, "sgd", Unit::Bpe),
        (LOCKED, &elman, "sgd", Unit::Word),
    ] {
        let model = directory.join(name);
        train(&model, config.clone(), optimizer, unit)?;
        if name != LOCKED {
            fs::remove_file(model.join(MANIFEST)).expect("removed");
        }
    }
    let locked = directory.join(LOCKED);
    let mut files = BTreeMap::new();
    collect(&locked, "", &mut files);
    for (name, content) in files.iter().filter(|(name, _)| *name != LOG) {
        write_below(&locked.join("checkpoints/3"), name, content);
    }
    write_below(&locked, ".journal", b"vocab.txt\n-tokenizer.json");
    Ok(())
}

/// Trains a model for an epoch and saves it as `elman train` does.
fn train(directory: &Path, config: Config, optimizer: &str, unit: Unit) -> Result<()> {
    let text = TEXT.repeat(12);
    let limits = Limits {
        vocab_size: (unit == Unit::Bpe).then_some(260),
        ..Limits::default()
    };
    let corpus = Corpus::read(TextSource::Memory(text.as_bytes()), None, unit, limits)?;
    let config = Config {
        vocab_size: corpus.vocabulary.len(),
        ..config
    };
    let recipe = Recipe {
        batch: 2,
        bptt: 3,
        epochs: 1,
        optimizer: optimizer.to_owned(),
        ..Recipe::default()
    };
    let description = elman::checkpoint::Description {
        version: elman::checkpoint::FORMAT,
        unit,
        skip_unknown: false,
        config: config.clone(),
    };
    let record = CorpusRecord {
        train: Some("text.txt".into()),
        ..CorpusRecord::default()
    };
    fs::create_dir(directory).expect("a new directory");
    let locked = LockedDirectory::lock(directory)?;
    let mut device = Device::cpu(1);
    let mut trainer = Trainer::from_scratch(&mut device, config, recipe.clone(), &corpus)?;
    trainer.train(&mut device, |_| {})?;
    let snapshot = trainer.snapshot(&mut device)?;
    let progress = trainer.progress();
    let vocabulary = &corpus.vocabulary;
    save(
        &locked,
        &description,
        vocabulary,
        &snapshot,
        &recipe,
        progress,
        &record,
    )?;
    write_log(&locked, progress)
}

/// The log of a run: a record of windows and one of an epoch.
fn write_log(directory: &LockedDirectory, progress: &Progress) -> Result<()> {
    let path = directory.join(LOG);
    TrainingLog::start(directory)?.epoch(progress)?;
    let epoch = fs::read_to_string(&path).expect("a log");
    let windows = "{\"epoch\":1,\"window\":2,\"loss\":1.4,\"gradient_norm\":0.5,\"lr\":0.1,\
                   \"tokens_per_second\":1000.0,\"tokens\":12,\"seconds\":0.5}\n";
    fs::write(path, format!("{windows}{epoch}")).expect("written");
    Ok(())
}

fn write_texts(directory: &Path) {
    let write = |name: &str, content: &[u8]| write_below(directory, name, content);
    for (name, text) in TEXTS {
        write(name, text.as_bytes());
    }
    write("text.txt.gz", &gzip(TEXT.as_bytes()));
    write("text.txt.zst", &zstd(TEXT.repeat(8).as_bytes()));
    write("model.arpa.gz", &gzip(ARPA.as_bytes()));
    write("text.rnnlm", &rnnlm_model::text());
    write_prepared(&directory.join(PREPARED));
    write("binary.rnnlm", &rnnlm_model::binary());
}

/// A prepared text without its manifest.
fn write_prepared(directory: &Path) {
    let text = TEXT.repeat(12);
    let source = TextSource::Memory(text.as_bytes());
    let request = Request {
        train: source,
        valid: Some(source),
        unit: Unit::Word,
        vocabulary: None,
        selection: Selection::default(),
    };
    prepare(request, directory).expect("a prepared text");
    fs::remove_file(directory.join(MANIFEST)).expect("removed");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("written to memory");
    encoder.finish().expect("written to memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}
