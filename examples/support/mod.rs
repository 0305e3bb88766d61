//! A model for the examples that are given none.

use elman::corpus::builtin;
use elman::{
    Config, Corpus, Device, LanguageModel, Limits, Recipe, Result, TextSource, Trainer, Unit,
};

/// Trains a small model on sentences of the built-in grammar.
pub fn small_model(device: &mut Device) -> Result<LanguageModel> {
    eprintln!("no model given; training a small one on the built-in grammar");
    let text = builtin::draw(500, builtin::SEED)?.text;
    let source = TextSource::Memory(text.as_bytes());
    let corpus = Corpus::read(source, None, Unit::Word, Limits::default())?;
    let config = Config {
        vocab_size: corpus.vocabulary.len(),
        hidden_size: 32,
        ..Config::default()
    };
    let recipe = Recipe {
        batch: 8,
        epochs: 3,
        ..Recipe::default()
    };
    let mut trainer = Trainer::from_scratch(device, config, recipe, &corpus)?;
    trainer.train(device, |_| {})?;
    let model = trainer.into_model();
    Ok(LanguageModel::new(
        model,
        corpus.vocabulary.clone(),
        Unit::Word,
    ))
}
