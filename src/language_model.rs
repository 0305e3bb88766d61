//! A trained language model: a network on a device, with its vocabulary.
//!
//! In: a checkpoint, or a trained [`Model`]. Out: what [`Scorer`](crate::score::Scorer),
//! [`Generator`](crate::generate::Generator) and [`Evaluator`](crate::evaluate::Evaluator) need:
//! the network, and texts as token ids.

use std::path::Path;

use crate::checkpoint::{Checkpoint, Description, FORMAT};
use crate::corpus::{TextWriter, Unit, Vocabulary, without_byte_order_mark};
use crate::device::Device;
use crate::error::Result;
use crate::model::Model;
use crate::score::tokenize_line;

/// A network on a device, its vocabulary, and the unit of its tokens.
///
/// # Examples
///
/// Score a sentence with a model that `elman train` or [`LanguageModel::save`] wrote:
///
/// ```no_run
/// use elman::{Device, LanguageModel, Scorer};
///
/// let mut device = Device::cpu(2);
/// let model = LanguageModel::load("model", &mut device)?;
/// let sentence = model.encode("the cat sleeps")?;
/// let mut scorer = Scorer::new(&mut device, model.network(), false)?;
/// let scores = scorer.score(&mut device, model.network(), &[sentence])?;
/// println!("{:.4}", scores[0].log10_prob);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Debug)]
pub struct LanguageModel {
    network: Model,
    description: Description,
    vocabulary: Vocabulary,
    initial_states: Option<Vec<Vec<f32>>>,
}

impl LanguageModel {
    /// Combines a trained network with the vocabulary and the unit of the corpus it was trained on.
    pub fn new(network: Model, vocabulary: Vocabulary, unit: Unit) -> Self {
        let description = Description {
            version: FORMAT,
            unit,
            skip_unknown: false,
            config: network.config().clone(),
        };
        Self {
            network,
            description,
            vocabulary,
            initial_states: None,
        }
    }

    /// Reads a checkpoint directory and uploads its parameters.
    ///
    /// # Errors
    /// If the checkpoint is missing, damaged or of a newer version, or the model is too large for
    /// the device.
    pub fn load(directory: impl AsRef<Path>, device: &mut Device) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::read(directory.as_ref())?, device)
    }

    /// Uploads the parameters of a checkpoint.
    ///
    /// # Errors
    /// If the model is too large for the device.
    pub fn from_checkpoint(checkpoint: Checkpoint, device: &mut Device) -> Result<Self> {
        let config = checkpoint.description.config.clone();
        let network = Model::new(device, config, &checkpoint.parameters)?
            .with_initial_states(checkpoint.initial_states.clone())?;
        Ok(Self {
            network,
            description: checkpoint.description,
            vocabulary: checkpoint.vocabulary,
            initial_states: checkpoint.initial_states,
        })
    }

    /// Writes the model to a checkpoint directory, without training state.
    ///
    /// # Errors
    /// If the device fails or the directory cannot be written; its previous contents stay intact
    /// then.
    pub fn save(&self, directory: impl AsRef<Path>, device: &mut Device) -> Result<()> {
        let checkpoint = Checkpoint {
            description: self.description.clone(),
            vocabulary: self.vocabulary.clone(),
            parameters: self.network.parameters().download(device)?,
            initial_states: self.initial_states.clone(),
        };
        checkpoint.write(directory.as_ref())
    }

    /// The network.
    pub fn network(&self) -> &Model {
        &self.network
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What a token is.
    pub fn unit(&self) -> Unit {
        self.description.unit
    }

    /// Tokenizes a line: its token ids, without `</s>`. An unknown word is `<unk>`, or
    /// [`NONE`](crate::tensor::NONE) if the vocabulary has no `<unk>`.
    ///
    /// # Errors
    /// Does not fail for a `&str` today.
    pub fn encode(&self, line: &str) -> Result<Vec<u32>> {
        let line = without_byte_order_mark(line.as_bytes(), self.unit());
        Ok(tokenize_line(line, self.unit(), &self.vocabulary)?.ids)
    }

    /// The text of some tokens. Invalid UTF-8, which models of bytes can generate, is replaced.
    ///
    /// # Panics
    /// If a token is not in the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut writer = TextWriter::new(self.unit(), true);
        let mut text = Vec::new();
        for &token in tokens {
            writer.write(self.vocabulary.token(token), &mut text);
        }
        writer.finish(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}
