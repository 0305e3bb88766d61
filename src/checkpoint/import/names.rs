//! Maps the tensor names of a PyTorch file to the names of Elman's parameters.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::tensors::ForeignTensors;
use super::{DECODER, DECODER_BIAS, EMBEDDING, PROJECTION};
use crate::error::{Error, Result};

/// The parameters of a recurrent layer: two weights, then two biases.
const LAYER_PARTS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// The names of a file's tensors. Every parameter of the network has a tensor, and every tensor is
/// a parameter.
#[derive(Debug)]
pub(super) struct TensorNames {
    prefix: String,
    /// The name in the file for each name in Elman.
    in_file: BTreeMap<String, String>,
    /// L, at least 1.
    pub(super) layers: usize,
    /// Whether the recurrent layers have biases.
    pub(super) bias: bool,
}

impl TensorNames {
    /// Finds the tensor of every parameter of the network.
    ///
    /// # Errors
    /// If a tensor is missing, or the file has a tensor that Elman's networks do not have.
    pub(super) fn find(file: &ForeignTensors<'_>) -> Result<Self> {
        reject_unsupported(file)?;
        let prefix = common_prefix(file.names());
        let tensor_count = file.names().count();
        let mut in_file = BTreeMap::<String, String>::new();
        let mut surplus = Vec::new();
        let mut layers = 1;
        for name in file.names() {
            let parameter = name
                .strip_prefix(&prefix)
                .and_then(parameter_name)
                .filter(|parameter| !in_file.contains_key(parameter))
                // A layer index of at least the number of tensors would add that many layers to
                // the list of missing ones.
                .filter(|parameter| {
                    layer_index(parameter).is_none_or(|index| index < tensor_count)
                });
            match parameter {
                Some(parameter) => {
                    layers = layers.max(layer_index(&parameter).map_or(1, |index| index + 1));
                    in_file.insert(parameter, name.to_owned());
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
        if names.has(PROJECTION) && !names.has(EMBEDDING) {
            surplus.push(names.in_file(PROJECTION));
        }
        names.check(file, &surplus)?;
        Ok(names)
    }

    /// Checks that no parameter is missing and that there are no `surplus` tensors.
    fn check(&self, file: &ForeignTensors<'_>, surplus: &[String]) -> Result<()> {
        let missing = self.missing(file);
        let mut rule = Vec::new();
        if !missing.is_empty() {
            rule.push(format!("it lacks {}", missing.join(", ")));
        }
        if !surplus.is_empty() {
            rule.push(format!(
                "it has tensors that Elman does not know: {}",
                surplus.join(", ")
            ));
        }
        if rule.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(
            file.file(),
            rule.join("; "),
            "Save a model with one nn.RNN, nn.GRU or nn.LSTM named rnn, an nn.Linear named \
             decoder, and optionally an nn.Embedding named encoder",
        ))
    }

    /// The missing parameters, under the names that the file would use.
    fn missing(&self, file: &ForeignTensors<'_>) -> Vec<String> {
        let parts = if self.bias {
            &LAYER_PARTS[..]
        } else {
            &LAYER_PARTS[..2]
        };
        let mut required: Vec<String> = (0..self.layers)
            .flat_map(|layer| parts.iter().map(move |part| format!("rnn.{part}_l{layer}")))
            .collect();
        // The output layer can be the embedding if the embedding is as wide as the output layer's
        // input.
        let width = |name: &str| {
            file.shape(&self.in_file(name))
                .and_then(<[usize]>::last)
                .copied()
        };
        let hidden = width(&format!("rnn.weight_hh_l{}", self.layers - 1));
        let can_be_tied = self.has(EMBEDDING)
            && (self.has(PROJECTION) || hidden.is_none() || width(EMBEDDING) == hidden);
        if !can_be_tied {
            required.push(DECODER.to_owned());
        }
        required.retain(|name| !self.has(name));
        required.iter().map(|name| self.in_file(name)).collect()
    }

    /// Whether the file has a parameter.
    pub(super) fn has(&self, parameter: &str) -> bool {
        self.in_file.contains_key(parameter)
    }

    /// The name in the file for a parameter, whether the file has it or not.
    pub(super) fn in_file(&self, parameter: &str) -> String {
        self.in_file
            .get(parameter)
            .cloned()
            .unwrap_or_else(|| format!("{}{parameter}", self.prefix))
    }
}

/// Rejects PyTorch networks that Elman does not support.
fn reject_unsupported(file: &ForeignTensors<'_>) -> Result<()> {
    for name in file.names() {
        let (rule, hint) = if name.ends_with("_reverse") {
            (
                "it belongs to a bidirectional network, which reads the words that a language \
                 model predicts",
                "Train it without bidirectional",
            )
        } else if name.contains("weight_hr_l") {
            (
                "it belongs to an LSTM with projections, which Elman does not support",
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
fn parameter_name(name: &str) -> Option<String> {
    match name {
        "encoder.weight" | EMBEDDING => Some(EMBEDDING.to_owned()),
        PROJECTION | DECODER | DECODER_BIAS => Some(name.to_owned()),
        _ => layer_index(name).map(|_| name.to_owned()),
    }
}

/// The index of the recurrent layer that a parameter belongs to.
fn layer_index(name: &str) -> Option<usize> {
    let (part, digits) = name.strip_prefix("rnn.")?.split_once("_l")?;
    let index: usize = digits.parse().ok()?;
    (LAYER_PARTS.contains(&part) && index.to_string() == digits).then_some(index)
}

/// The most frequent prefix of the names that are known without it.
fn common_prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for name in names {
        let mut starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        if let Some(start) = starts.find(|&start| parameter_name(&name[start..]).is_some()) {
            *counts.entry(&name[..start]).or_default() += 1;
        }
    }
    let most_frequent = counts
        .into_iter()
        .max_by_key(|&(prefix, count)| (count, Reverse(prefix.len())));
    most_frequent.map_or_else(String::new, |(prefix, _)| prefix.to_owned())
}
