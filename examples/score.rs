//! Prints the log10 probability of each line of standard input.
//!
//! ```text
//! cargo run --release --example score -- [DIRECTORY] < sentences.txt
//! ```
//!
//! DIRECTORY has a model that `elman train` or the example `train` wrote. Without it, a small model
//! is trained on the built-in grammar and two sentences are scored.

mod support;

use std::error::Error;

use elman::{Device, LanguageModel, Scorer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut device = Device::cpu(std::thread::available_parallelism()?.get());
    let (model, lines) = match std::env::args_os().nth(1) {
        Some(directory) => {
            let lines = std::io::stdin().lines().collect::<Result<Vec<_>, _>>()?;
            (LanguageModel::load(directory, &mut device)?, lines)
        }
        None => (
            support::small_model(&mut device)?,
            vec!["the dog sees the cat".into(), "cat the sees dog the".into()],
        ),
    };
    let mut sentences = Vec::new();
    for line in &lines {
        sentences.push(model.encode(line)?);
    }
    let mut scorer = Scorer::new(&mut device, model.network(), false)?;
    let scores = scorer.score(&mut device, model.network(), &sentences)?;
    for (line, score) in lines.iter().zip(scores) {
        println!("{:.4}\t{line}", score.log10_prob);
    }
    Ok(())
}
