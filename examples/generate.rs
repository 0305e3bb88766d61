//! Generates sentences.
//!
//! ```text
//! cargo run --release --example generate -- [DIRECTORY]
//! ```
//!
//! DIRECTORY has a model that `elman train` or the example `train` wrote. Without it, a small model
//! is trained on the built-in grammar.

mod support;

use std::error::Error;

use elman::{Device, Generator, LanguageModel, Sampling};

fn main() -> Result<(), Box<dyn Error>> {
    let mut device = Device::cpu(std::thread::available_parallelism()?.get());
    let model = match std::env::args_os().nth(1) {
        Some(directory) => LanguageModel::load(directory, &mut device)?,
        None => support::small_model(&mut device)?,
    };
    let sampling = Sampling {
        temperature: 0.8,
        ..Sampling::default()
    };
    let seed = 1;
    let mut generator = Generator::new(&mut device, model.network(), sampling, seed)?;
    for _ in 0..5 {
        let tokens = generator.sentence(&mut device, model.network(), 100)?;
        println!("{}", model.decode(&tokens));
    }
    Ok(())
}
