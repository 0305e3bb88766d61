//! `elman train --init`: the model that a run begins with, and the words that it learns beside its
//! own.

use std::collections::HashMap;
use std::path::Path;

use super::model_shape::ModelShape;
use crate::checkpoint::{Checkpoint, Description};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Config, ParameterSpec, parameter_specs};

/// Reads the model; the flags may not ask for another one.
pub(super) fn read(directory: &Path, shape: &ModelShape) -> Result<Checkpoint> {
    if let Some(flag) = shape.given().first() {
        return Err(Error::usage(
            format!("--{flag} with --init"),
            format!("the model is that of {}", directory.display()),
            "Leave it out, or train a new model without --init",
        ));
    }
    Checkpoint::read(directory)
}

/// The model with the types of another vocabulary behind its own. What belongs to a new type is as
/// it is of `<unk>`, which the model knew it as, or the mean of all where it has no `<unk>`; new
/// words join the last class where there are classes.
///
/// # Errors
/// If its tokens are subwords, which are a tokenizer's.
pub(super) fn extend(checkpoint: Checkpoint, other: &Vocabulary) -> Result<Checkpoint> {
    let Checkpoint {
        description,
        vocabulary,
        parameters,
        initial_states,
    } = checkpoint;
    if description.unit == Unit::Bpe {
        let rule = "its tokens are subwords, which can spell every text";
        return Err(Error::usage("--extend-vocab", rule, "Leave it out"));
    }
    let mut types = vocabulary.types().to_vec();
    let unknown = types
        .iter()
        .position(|token| token == crate::corpus::UNKNOWN);
    // An exact look-up: one that takes words for <unk> would find all of them.
    let known: HashMap<&str, ()> = vocabulary
        .types()
        .iter()
        .map(|token| (token.as_str(), ()))
        .collect();
    let new: Vec<&String> = other
        .types()
        .iter()
        .filter(|token| !known.contains_key(token.as_str()))
        .collect();
    let added = new.len();
    types.extend(new.into_iter().cloned());
    let before = &description.config;
    let mut config = Config {
        vocab_size: types.len(),
        ..before.clone()
    };
    if let Some(last) = config
        .classes
        .as_mut()
        .and_then(|classes| classes.sizes.last_mut())
    {
        *last += added;
    }
    config.validate()?;
    let pairs = parameter_specs(before)
        .into_iter()
        .zip(parameter_specs(&config))
        .zip(parameters);
    let parameters = pairs
        .map(|((before, after), values)| grown(&before, &after, values, unknown, vocabulary.len()))
        .collect();
    let vocabulary = Vocabulary::new(types)?;
    let vocabulary = if description.skip_unknown {
        vocabulary.skipping_unknown()
    } else {
        vocabulary
    };
    Ok(Checkpoint {
        description: Description {
            config,
            ..description
        },
        vocabulary,
        parameters,
        initial_states,
    })
}

/// A parameter with room for more types, along whichever side of it has one number or one row for
/// each.
fn grown(
    before: &ParameterSpec,
    after: &ParameterSpec,
    values: Vec<f32>,
    unknown: Option<usize>,
    words: usize,
) -> Vec<f32> {
    if before.shape == after.shape {
        return values;
    }
    let columns = |one: &ParameterSpec| one.shape.get(1).copied().unwrap_or(1);
    let (old, new) = (columns(before), columns(after));
    if old == new {
        let rows = before.len() / old;
        // A cluster's rows are not those of all words.
        let row = match unknown.filter(|_| rows == words) {
            Some(unknown) => values[unknown * old..][..old].to_vec(),
            None => (0..old)
                .map(|column| mean(values.iter().skip(column).step_by(old), rows))
                .collect(),
        };
        let added = after.shape[0] - before.shape[0];
        return [values, row.repeat(added)].concat();
    }
    // One-hot input: a column for each type.
    let row = |row: &[f32]| {
        let value = unknown.map_or_else(|| mean(row.iter(), old), |unknown| row[unknown]);
        [row.to_vec(), vec![value; new - old]].concat()
    };
    values.chunks_exact(old).flat_map(row).collect()
}

fn mean<'a>(values: impl Iterator<Item = &'a f32>, count: usize) -> f32 {
    values.sum::<f32>() / count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::FORMAT;
    use crate::model::{Binning, Classes, initial_values};

    fn checkpoint(config: Config, types: &[&str]) -> Checkpoint {
        let parameters = initial_values(&config, 3);
        let vocabulary =
            Vocabulary::new(types.iter().map(|&token| token.to_owned()).collect()).expect("types");
        let description = Description {
            version: FORMAT,
            unit: Unit::Word,
            skip_unknown: false,
            config,
        };
        Checkpoint {
            description,
            vocabulary,
            parameters,
            initial_states: None,
        }
    }

    /// Every parameter of a word: that of a new one is <unk>'s, or the mean, and those of old ones
    /// are as they were.
    #[test]
    fn new_words_begin_as_unknown_ones() {
        let classes = Some(Classes {
            asked: 2,
            binning: Binning::Sqrt,
            sizes: vec![1, 2],
        });
        let one_hot = Config {
            vocab_size: 3,
            hidden_size: 4,
            bias: true,
            decoder_bias: true,
            ..Config::default()
        };
        let embedded = Config {
            embedding_size: 2,
            output: "class".into(),
            classes,
            ..one_hot.clone()
        };
        let other = Vocabulary::new(["</s>", "new", "a", "other"].map(str::to_owned).to_vec())
            .expect("types");
        for config in [one_hot, embedded] {
            for types in [["</s>", "a", "<unk>"], ["</s>", "a", "b"]] {
                let before = checkpoint(config.clone(), &types);
                let after = extend(before.clone(), &other).expect("it grows");
                assert_eq!(
                    after.vocabulary.types()[3..],
                    ["new".to_owned(), "other".to_owned()]
                );
                let parameter_specs = parameter_specs(&after.description.config);
                for ((spec, old), new) in parameter_specs
                    .iter()
                    .zip(&before.parameters)
                    .zip(&after.parameters)
                {
                    assert_eq!(new.len(), spec.len(), "{}", spec.name);
                    if old.len() == new.len() {
                        assert_eq!(old, new, "{}", spec.name);
                        continue;
                    }
                    let is_one_hot = spec.name == "rnn.weight_ih_l0";
                    let columns = spec.shape.get(1).copied().unwrap_or(1);
                    let of_word = |values: &[f32], word: usize, words: usize| -> Vec<f32> {
                        if is_one_hot {
                            values.iter().skip(word).step_by(words).copied().collect()
                        } else {
                            values[word * columns..][..columns].to_vec()
                        }
                    };
                    let olds: Vec<_> = (0..3).map(|word| of_word(old, word, 3)).collect();
                    let mean = || {
                        (0..olds[0].len())
                            .map(|i| (olds[0][i] + olds[1][i] + olds[2][i]) / 3.0)
                            .collect::<Vec<_>>()
                    };
                    let want = if types[2] == "<unk>" {
                        olds[2].clone()
                    } else {
                        mean()
                    };
                    for word in 0..5 {
                        let got = of_word(new, word, 5);
                        let want = olds.get(word).unwrap_or(&want);
                        assert!(
                            got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6),
                            "{} of word {word}",
                            spec.name
                        );
                    }
                }
            }
        }
    }
}
