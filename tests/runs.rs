//! Runs on a small corpus: starting, advancing, saving, resuming and comparing them.

use elman::checkpoint::{
    self, CheckpointFiles, CorpusRecord, Description, FORMAT, LockedDirectory, TrainingState,
};
use elman::corpus::{Corpus, Limits, TextSource, Unit, builtin};
use elman::device::Device;
use elman::field::Choice;
use elman::model::{Config, initial_values};
use elman::train::{Event, Recipe, Snapshot, Trainer};
use tempfile::TempDir;

pub fn corpus(sentences: usize) -> Corpus {
    let text = builtin::draw(sentences, 11)
        .expect("the grammar draws")
        .text;
    Corpus::read(
        TextSource::Memory(text.as_bytes()),
        None,
        Unit::Word,
        Limits::default(),
    )
    .expect("a corpus")
}

pub fn config(corpus: &Corpus) -> Config {
    Config {
        vocab_size: corpus.vocabulary.len(),
        hidden_size: 13,
        ..Config::default()
    }
}

pub fn start<'a>(device: &mut Device, corpus: &'a Corpus, recipe: &Recipe) -> Trainer<'a> {
    start_with(device, corpus, config(corpus), recipe)
}

pub fn start_with<'a>(
    device: &mut Device,
    corpus: &'a Corpus,
    config: Config,
    recipe: &Recipe,
) -> Trainer<'a> {
    let values = initial_values(&config, recipe.seed);
    Trainer::new(device, config, &values, recipe.clone(), corpus).expect("a trainer")
}

/// A rate at which the optimizer learns.
pub fn rate(optimizer: &str) -> f32 {
    match optimizer {
        "adam" | "adamw" => 0.003,
        "rmsprop" => 0.001,
        "momentum" | "nesterov" => 0.02,
        _ => 0.1,
    }
}

/// Advances until at least `windows` windows of the run are done or the run is finished. Returns
/// the losses of these windows.
pub fn advance(trainer: &mut Trainer<'_>, device: &mut Device, windows: usize) -> Vec<f32> {
    let mut losses = Vec::new();
    while losses.len() < windows {
        match trainer.advance(device).expect("training continues") {
            Event::Steps { loss_sums, .. } => losses.extend(loss_sums),
            Event::Epoch(_) => {}
            Event::Finished => break,
        }
    }
    losses
}

/// Writes the run to disk, as a process does before it ends.
pub fn save(trainer: &mut Trainer<'_>, device: &mut Device, corpus: &Corpus) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = trainer.model().config().clone();
    let description = Description {
        version: FORMAT,
        unit: Unit::Word,
        skip_unknown: false,
        config,
    };
    let record = CorpusRecord::default();
    let snapshot = trainer.snapshot(device).expect("a snapshot");
    let (recipe, progress) = (trainer.recipe(), trainer.progress());
    let locked = LockedDirectory::lock(directory.path()).expect("locked");
    checkpoint::save(
        &locked,
        &description,
        &corpus.vocabulary,
        &snapshot,
        recipe,
        progress,
        &record,
    )
    .expect("saved");
    directory
}

/// Reads the run back as another process that resumes it. `change` modifies the recipe where a
/// resumed run may.
pub fn load<'a>(
    directory: &TempDir,
    device: &mut Device,
    corpus: &'a Corpus,
    change: impl FnOnce(Recipe) -> Recipe,
) -> Trainer<'a> {
    let files = CheckpointFiles::open(directory.path()).expect("opened");
    let read = files.checkpoint().expect("read");
    assert_eq!(read.vocabulary, corpus.vocabulary);
    let TrainingState { snapshot, record } = files.training_state(&read).expect("read");
    Trainer::resume(
        device,
        read.description.config,
        snapshot,
        record.progress,
        change(record.recipe),
        corpus,
    )
    .expect("resumed")
}

pub fn bits(snapshot: &Snapshot) -> Vec<u32> {
    let optimizer = snapshot.optimizer.values().flatten();
    let (best, last, average) = (
        snapshot.best.as_deref(),
        snapshot.last.as_deref(),
        snapshot.average.as_ref(),
    );
    let others = [best, last, average].into_iter().flatten().flatten();
    snapshot
        .parameters
        .iter()
        .chain(others)
        .chain(optimizer)
        .chain(&snapshot.carried)
        .flatten()
        .map(|value| value.to_bits())
        .collect()
}

/// Demands that a run that is interrupted after `windows` windows or a few more and resumed ends
/// with the same bits as an uninterrupted one. Returns whether it was interrupted within an epoch.
#[must_use = "a run interrupted between epochs shows little"]
pub fn resumes_bit_identically(
    device: &mut Device,
    corpus: &Corpus,
    recipe: &Recipe,
    windows: usize,
) -> bool {
    resumes_bit_identically_with(device, corpus, &config(corpus), recipe, windows)
}

/// [`resumes_bit_identically`] for any model.
#[must_use = "a run interrupted between epochs shows little"]
pub fn resumes_bit_identically_with(
    device: &mut Device,
    corpus: &Corpus,
    config: &Config,
    recipe: &Recipe,
    windows: usize,
) -> bool {
    let mut whole = start_with(device, corpus, config.clone(), recipe);
    advance(&mut whole, device, usize::MAX);
    let mut part = start_with(device, corpus, config.clone(), recipe);
    // The place of the interruption must not depend on the machine's speed.
    part.set_max_steps_per_event(1);
    advance(&mut part, device, windows);
    let directory = save(&mut part, device, corpus);
    let mut resumed = load(&directory, device, corpus, |recipe| recipe);
    advance(&mut resumed, device, usize::MAX);
    let [a, b] =
        [&mut whole, &mut resumed].map(|trainer| trainer.snapshot(device).expect("a snapshot"));
    let place = part.progress();
    let what = format!(
        "{}, {}, {}",
        config.output,
        recipe.optimizer,
        recipe.schedule.name()
    );
    assert!(
        bits(&a) == bits(&b),
        "{what}, interrupted in epoch {} after window {}",
        place.epochs + 1,
        place.window
    );
    assert_eq!(
        whole.progress().history.len(),
        resumed.progress().history.len()
    );
    (1..part.windows_per_epoch()).contains(&place.window)
}

/// Checks that interrupted runs of the network that `config` describes, with texts of one stream
/// and with independent sentences, are bit-identical to runs in one go.
///
/// # Panics
/// If they are not.
pub fn check_resuming(device: &mut Device, config_of: impl Fn(Config) -> Config) {
    let corpus = corpus(90);
    let config = config_of(Config {
        embedding_size: 6,
        bias: true,
        decoder_bias: true,
        initial_state: 0.0,
        ..config(&corpus)
    });
    for independent in [false, true] {
        let recipe = Recipe {
            batch: 4,
            bptt: 5,
            epochs: 2,
            optimizer: "adam".into(),
            lr: rate("adam"),
            independent,
            seed: 5,
            ..Recipe::default()
        };
        assert!(
            resumes_bit_identically_with(device, &corpus, &config, &recipe, 7),
            "interrupted between epochs"
        );
    }
}
