//! Extending the vocabulary of a model that is fine-tuned (`elman train --init --extend-vocab`).

use std::collections::HashSet;

use crate::checkpoint::{Checkpoint, Description};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::model::{Config, ParameterSpec, parameter_specs};

/// Appends the types of another vocabulary to a model's. The parameters of a new type are those of
/// `<unk>`, or the mean over all types where there is no `<unk>`. New words join the last class
/// where there are classes.
///
/// # Errors
/// If the tokens are subwords, which a tokenizer defines.
pub(super) fn extend(checkpoint: Checkpoint, other: &Vocabulary) -> Result<Checkpoint> {
    let Checkpoint {
        description,
        vocabulary,
        parameters,
        initial_states,
    } = checkpoint;
    if description.unit == Unit::Bpe {
        return Err(Error::usage(
            "--extend-vocab",
            "the model's tokens are subwords, which can represent any text",
            "Remove it",
        ));
    }
    let mut types = vocabulary.types().to_vec();
    let unknown = types
        .iter()
        .position(|token| token == crate::corpus::UNKNOWN);
    // The vocabulary's own lookup would map unknown words to <unk>.
    let known: HashSet<&str> = vocabulary.types().iter().map(String::as_str).collect();
    let is_new = |token: &&String| !known.contains(token.as_str());
    types.extend(other.types().iter().filter(is_new).cloned());
    let added = types.len() - vocabulary.len();
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
    let old_specs = parameter_specs(before);
    let new_specs = parameter_specs(&config);
    let parameters = parameters
        .into_iter()
        .enumerate()
        .map(|(index, values)| {
            let (old, new) = (&old_specs[index], &new_specs[index]);
            extended(old, new, values, unknown, vocabulary.len())
        })
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

/// A parameter extended along the dimension that has one element or one row for each type.
fn extended(
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
        // A cluster's rows are not indexed by word.
        let row = match unknown.filter(|_| rows == words) {
            Some(unknown) => values[unknown * old..][..old].to_vec(),
            None => (0..old)
                .map(|column| mean(values.iter().skip(column).step_by(old), rows))
                .collect(),
        };
        let added = after.shape[0] - before.shape[0];
        return [values, row.repeat(added)].concat();
    }
    // One-hot input has a column for each type.
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

    /// The parameters of new words are those of `<unk>`, or the mean; those of old words do not
    /// change.
    #[test]
    fn new_words_start_as_unknown_words() {
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
                let after = extend(before.clone(), &other).expect("extended");
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
