//! Which tensor of a PyTorch file is which parameter.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::tensors::ForeignTensors;
use super::{DECODER, DECODER_BIAS, EMBEDDING, PROJECTION};
use crate::error::{Error, Result};

/// The parts of a recurrent layer: two weights, two biases.
const LAYER_PARTS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// The names of a file, complete and without a stranger.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
    /// The file's name for each of Elman's.
    in_file: BTreeMap<String, String>,
    /// L, at least 1.
    pub(super) layers: usize,
    /// Whether the recurrent layers have biases.
    pub(super) bias: bool,
}

impl Names {
    /// Finds every parameter of a network.
    ///
    /// # Errors
    /// If a tensor is missing, or there is one that no network of Elman's has.
    pub(super) fn find(file: &ForeignTensors<'_>) -> Result<Self> {
        refuse_other_networks(file)?;
        let prefix = common_prefix(file.names());
        let most_layers = file.names().count();
        let (mut in_file, mut surplus, mut layers) =
            (BTreeMap::<String, String>::new(), Vec::new(), 1);
        for name in file.names() {
            let known = name.strip_prefix(&prefix).and_then(own_name);
            // A layer's number is below the number of tensors, or layers are missing without end.
            match known.filter(|own| {
                !in_file.contains_key(own) && layer(own).is_none_or(|layer| layer < most_layers)
            }) {
                Some(own) => {
                    layers = layers.max(layer(&own).map_or(1, |layer| layer + 1));
                    in_file.insert(own, name.to_owned());
                }
                None => surplus.push(name.to_owned()),
            }
        }
        let bias = in_file.keys().any(|name| name.starts_with("rnn.bias"));
        let names = Self {
            prefix,
            in_file,
            layers,
            bias,
        };
        let missing = names.missing(file);
        if names.has(PROJECTION) && !names.has(EMBEDDING) {
            surplus.push(names.in_file(PROJECTION));
        }
        if missing.is_empty() && surplus.is_empty() {
            return Ok(names);
        }
        let mut rule = Vec::new();
        if !missing.is_empty() {
            rule.push(format!("it lacks {}", missing.join(", ")));
        }
        if !surplus.is_empty() {
            rule.push(format!(
                "it holds what no model of Elman's has: {}",
                surplus.join(", ")
            ));
        }
        Err(Error::invalid(
            file.file(),
            rule.join("; "),
            "Save a model of one nn.RNN, nn.GRU or nn.LSTM called rnn, an nn.Linear called \
             decoder, and an nn.Embedding called encoder or none",
        ))
    }

    /// Parameters that the others call for, under the names that the file would have for them.
    fn missing(&self, file: &ForeignTensors<'_>) -> Vec<String> {
        let parts = if self.bias {
            &LAYER_PARTS[..]
        } else {
            &LAYER_PARTS[..2]
        };
        let mut wanted: Vec<String> = (0..self.layers)
            .flat_map(|layer| parts.iter().map(move |part| format!("rnn.{part}_l{layer}")))
            .collect();
        // The output layer may be the embedding, where that is as wide as what it is given.
        let width = |name: &str| {
            file.shape(&self.in_file(name))
                .and_then(<[usize]>::last)
                .copied()
        };
        let hidden = width(&format!("rnn.weight_hh_l{}", self.layers - 1));
        let can_be_tied = self.has(EMBEDDING)
            && (self.has(PROJECTION) || hidden.is_none() || width(EMBEDDING) == hidden);
        if !can_be_tied {
            wanted.push(DECODER.to_owned());
        }
        wanted.retain(|name| !self.has(name));
        wanted.iter().map(|name| self.in_file(name)).collect()
    }

    /// Whether the file has the parameter that Elman calls `own`.
    pub(super) fn has(&self, own: &str) -> bool {
        self.in_file.contains_key(own)
    }

    /// The file's name for Elman's `own`, there or not.
    pub(super) fn in_file(&self, own: &str) -> String {
        self.in_file
            .get(own)
            .cloned()
            .unwrap_or_else(|| format!("{}{own}", self.prefix))
    }
}

/// Networks that have PyTorch's names and are none of Elman's.
fn refuse_other_networks(file: &ForeignTensors<'_>) -> Result<()> {
    for name in file.names() {
        let (rule, hint) = if name.ends_with("_reverse") {
            (
                "it belongs to a bidirectional network, which reads the words that a language \
                 model is to predict",
                "Train it without bidirectional",
            )
        } else if name.contains("weight_hr_l") {
            (
                "it belongs to an LSTM with projections, which Elman does not have",
                "Train it without proj_size",
            )
        } else {
            continue;
        };
        return Err(Error::invalid(
            format!("{name} of {}", file.file()),
            rule,
            hint,
        ));
    }
    Ok(())
}

/// Elman's name for the parameter that PyTorch's examples, or Elman, call `name`.
fn own_name(name: &str) -> Option<String> {
    match name {
        "encoder.weight" | EMBEDDING => Some(EMBEDDING.to_owned()),
        PROJECTION | DECODER | DECODER_BIAS => Some(name.to_owned()),
        _ => layer(name).map(|_| name.to_owned()),
    }
}

/// The number of the recurrent layer that a parameter belongs to.
fn layer(name: &str) -> Option<usize> {
    let (part, number) = name.strip_prefix("rnn.")?.split_once("_l")?;
    let layer: usize = number.parse().ok()?;
    (LAYER_PARTS.contains(&part) && layer.to_string() == number).then_some(layer)
}

/// What stands before most of the names that are known without it.
fn common_prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut votes = BTreeMap::<&str, usize>::new();
    for name in names {
        let mut starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        if let Some(start) = starts.find(|&start| own_name(&name[start..]).is_some()) {
            *votes.entry(&name[..start]).or_default() += 1;
        }
    }
    let winner = votes
        .into_iter()
        .max_by_key(|&(prefix, count)| (count, Reverse(prefix.len())));
    winner.map_or_else(String::new, |(prefix, _)| prefix.to_owned())
}
