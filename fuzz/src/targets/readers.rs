//! Reads a file as the program does, and uses what was read, so that a value that a reader lets
//! pass cannot make its user panic.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use elman::checkpoint::import::{pytorch, rnnlm};
use elman::checkpoint::vectors::WordVectors;
use elman::checkpoint::{Checkpoint, CheckpointFiles, LockedDirectory, TrainingLog, generations};
use elman::corpus::{Subwords, TextSource, UNKNOWN, read_tokens, split, split_line};
use elman::error::Result;
use elman::mixture::ExternalProbs;
use elman::ngram::NgramModel;
use elman::prepared::PreparedText;
use elman::report::{Report, RunReport, page};
use elman::rescore::{ListIds, NbestFormat, NbestReader};
use elman::tensor::NONE;
use elman::{Config, Corpus, Device, LanguageModel, Limits, Scorer, Unit, Vocabulary, cli};

/// Reads a file. Other files that it needs are in the same directory.
pub type Read = fn(&Path) -> Result<()>;

/// A line with a word that is in no vocabulary.
const LINE: &str = "a b \u{e9}\0 c";

fn directory(path: &Path) -> &Path {
    path.parent().expect("a directory")
}

/// Scores a line with a model.
fn score(checkpoint: Checkpoint) -> Result<()> {
    let mut device = Device::cpu(1);
    let model = LanguageModel::from_checkpoint(checkpoint, &mut device)?;
    let line = model.encode(LINE)?;
    let mut scorer = Scorer::new(&mut device, model.network(), false)?;
    let scores = scorer.score(&mut device, model.network(), &[line])?;
    assert_eq!(scores.len(), 1);
    Ok(())
}

/// A model with its training state, and the flags that repeat its run.
pub fn checkpoint(path: &Path) -> Result<()> {
    let directory = directory(path);
    let files = CheckpointFiles::open(directory)?;
    let checkpoint = files.checkpoint()?;
    files.training_state(&checkpoint)?;
    score(checkpoint)?;
    cli::check_flag_file(directory)?;
    match files.has_manifest() {
        true => files.verify(),
        false => Ok(()),
    }
}

/// The tensors of a model as those of PyTorch.
pub fn pytorch_tensors(path: &Path) -> Result<()> {
    let vocabulary = path.with_file_name("vocab.txt");
    let imported = pytorch::read(path, &vocabulary, Unit::Word)?;
    imported.stated_activation()?;
    imported.stated_initial_state()?;
    score(imported.into_checkpoint(Config::default())?)
}

/// The list of types of a model of PyTorch, beside the directory of its tensors.
pub fn pytorch_types(path: &Path) -> Result<()> {
    let tensors = path.with_file_name("lstm").join("model.safetensors");
    let _ = pytorch::read(&tensors, path, Unit::Char);
    let _ = pytorch::read(&tensors, path, Unit::Byte);
    pytorch::read(&tensors, path, Unit::Word).map(drop)
}

pub fn rnnlm_model(path: &Path) -> Result<()> {
    let (imported, config) = rnnlm::read(path)?;
    score(imported.into_checkpoint(config)?)
}

/// A prepared text, whose tokens are all read.
pub fn prepared(path: &Path) -> Result<()> {
    let corpus = PreparedText::open(directory(path))?.corpus;
    for tokens in [&corpus.train, &corpus.valid] {
        let is_type = |id: u32| id == NONE || (id as usize) < corpus.vocabulary.len();
        assert!(tokens.iter().all(is_type), "an id without a type");
        tokens.check()?;
    }
    Ok(())
}

/// A log, with the page that shows it.
pub fn log(path: &Path) -> Result<()> {
    let runs = vec![RunReport::read(directory(path), true)?];
    let (text, words) = (None, Vec::new());
    let html = page(&Report { runs, text, words });
    assert!(html.contains("</html>"));
    Ok(())
}

/// The directory of a run that goes on: completes an interrupted save, replaces damaged files, and
/// makes the log agree.
pub fn resumed_directory(path: &Path) -> Result<()> {
    let root = path.ancestors().find(|path| path.ends_with("locked"));
    let locked = LockedDirectory::lock(root.expect("a directory to lock"))?;
    locked.restore_if_damaged()?;
    generations(&locked)?;
    let record = CheckpointFiles::open(&locked)?.training_record()?;
    TrainingLog::resume(&locked, &record.progress).map(drop)
}

/// A text of every unit, with the splitter that reads a text in memory, and with a vocabulary.
pub fn text(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).expect("a file");
    let types = ["</s>", "a", "b", UNKNOWN].map(str::to_owned).to_vec();
    let vocabulary = Vocabulary::new(types)?;
    let mut result = Ok(());
    for unit in [Unit::Char, Unit::Byte, Unit::Bpe, Unit::Word] {
        let limits = Limits {
            vocab_size: (unit == Unit::Bpe).then_some(260),
            ..Limits::default()
        };
        result = Corpus::read(TextSource::File(path), None, unit, limits).map(drop);
        let mut pieces = 0;
        let _ = split(&bytes, unit, |_| pieces += 1);
        let _ = split_line(&bytes, unit, |_| pieces += 1);
        if unit != Unit::Byte {
            assert!(pieces <= 2 * bytes.len() + 2, "{pieces} pieces");
        }
    }
    let _ = read_tokens(path, Unit::Word, &vocabulary);
    let _ = Vocabulary::from_texts(&[path.to_owned()], Unit::Word);
    result
}

/// A tokenizer, and a text that it encodes and decodes.
pub fn tokenizer(path: &Path) -> Result<()> {
    Subwords::read(path)?.encode(LINE);
    checkpoint(path)
}

/// An n-gram model, probabilities of it, and what is written of it.
pub fn ngrams(path: &Path) -> Result<()> {
    let model = NgramModel::read(path)?;
    let mut history = model.sentence_start();
    for word in ["a", "b", "</s>"].map(|word| model.id(word)) {
        if let Some(word) = word {
            assert!(!model.log10_prob(&history, word).is_nan());
        }
        history = model.advance(&history, word);
    }
    Ok(())
}

pub fn lists(path: &Path) -> Result<()> {
    let format = match path.ends_with("srilm.txt") {
        true => NbestFormat::Srilm,
        false => NbestFormat::Rnnlm,
    };
    let all = |ids| {
        let file = File::open(path).expect("a file");
        let reader = BufReader::new(Box::new(file) as Box<_>);
        let mut reader = NbestReader::new(reader, path, format, ids);
        while reader.next_list()?.is_some() {}
        Ok(())
    };
    match format {
        NbestFormat::Srilm => {
            let _ = all(ListIds::FirstColumn);
            all(ListIds::None)
        }
        NbestFormat::Rnnlm => {
            let _ = all(ListIds::None);
            all(ListIds::FirstColumn)
        }
    }
}

pub fn vectors(path: &Path) -> Result<()> {
    let types = ["</s>", "a", "b", "c"].map(str::to_owned).to_vec();
    WordVectors::read(path, &Vocabulary::new(types)?).map(drop)
}

pub fn probabilities(path: &Path) -> Result<()> {
    let mut probabilities = ExternalProbs::open(path)?;
    (0..4).try_for_each(|token| probabilities.next(token).map(drop))?;
    probabilities.end(4)
}

/// A file of flags, or of tables of flags.
pub fn flags(path: &Path) -> Result<()> {
    match path.ends_with("tables.toml") {
        true => cli::check_flag_tables(path),
        false => cli::check_flag_file(path),
    }
}
