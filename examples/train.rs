//! Trains a model on a text file and saves it.
//!
//! ```text
//! cargo run --release --example train -- [TEXT [DIRECTORY]]
//! ```
//!
//! TEXT has one sentence per line; without it, the model is trained on sentences of the built-in
//! grammar. DIRECTORY is by default `elman-example` in the system's temporary directory.

use std::error::Error;
use std::path::PathBuf;

use elman::corpus::builtin;
use elman::{
    Config, Corpus, DeviceChoice, LanguageModel, Limits, Recipe, TextSource, Trainer, Unit,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let text = match arguments.next() {
        Some(path) => std::fs::read(path)?,
        None => builtin::draw(1_000, builtin::SEED)?.text.into_bytes(),
    };
    let directory = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("elman-example"), PathBuf::from);

    // The first GPU, or the CPU if there is none.
    let threads = std::thread::available_parallelism()?.get();
    let (mut device, _) = DeviceChoice::Auto.open(threads)?;
    println!("device: {}", device.name());

    // The last tenth of the text is held out for validation.
    let source = TextSource::Memory(&text);
    let corpus = Corpus::read(source, None, Unit::Word, Limits::default())?;
    let config = Config {
        vocab_size: corpus.vocabulary.len(),
        hidden_size: 32,
        ..Config::default()
    };
    let recipe = Recipe {
        epochs: 3,
        ..Recipe::default()
    };
    let mut trainer = Trainer::from_scratch(&mut device, config, recipe, &corpus)?;
    trainer.train(&mut device, |epoch| {
        let perplexity = epoch.valid_perplexity;
        println!("epoch {}: perplexity {perplexity:.2}", epoch.epoch);
    })?;

    let model = LanguageModel::new(trainer.into_model(), corpus.vocabulary.clone(), Unit::Word);
    model.save(&directory, &mut device)?;
    println!("saved in {}", directory.display());
    Ok(())
}
