//! Sources of probabilities on a device, and the weights of their mixture.

use super::{SourceFlags, Sources};
use crate::cli::{model, sentence_tags};
use crate::corpus::Tokens;
use crate::device::Device;
use crate::error::Result;
use crate::mixture::{
    self, Component, ExternalProbs, NetworkComponent, NetworkOptions, NgramComponent, NgramReader,
    Weights,
};
use crate::model::Model;
use crate::parallel::Ranks;

impl Sources {
    /// Loads the models onto a device.
    pub(in crate::cli) fn load(&self, device: &mut Device) -> Result<Vec<Model>> {
        self.checkpoints
            .iter()
            .map(|checkpoint| model(device, checkpoint))
            .collect()
    }

    /// Gives dynamic models their trained weights back.
    pub(in crate::cli) fn reset(&self, device: &mut Device, models: &[Model]) -> Result<()> {
        for (model, checkpoint) in models.iter().zip(&self.checkpoints) {
            model.parameters().upload(device, &checkpoint.parameters)?;
        }
        Ok(())
    }

    /// All sources, at the start of a text.
    pub(in crate::cli) fn components<'a>(
        &'a self,
        device: &mut Device,
        models: &'a [Model],
        tokens: &'a Tokens,
        options: NetworkOptions,
        flags: &SourceFlags,
    ) -> Result<Vec<Box<dyn Component + 'a>>> {
        let mut components: Vec<Box<dyn Component + 'a>> = Vec::new();
        for model in models {
            components.push(Box::new(NetworkComponent::new(
                device,
                model,
                tokens,
                options,
                self.statistics.as_ref(),
            )?));
        }
        components.extend(self.others(flags)?);
        Ok(components)
    }

    /// The sources beside the networks, at the start of a text.
    pub(in crate::cli) fn others<'a>(
        &'a self,
        flags: &SourceFlags,
    ) -> Result<Vec<Box<dyn Component + 'a>>> {
        let mut components: Vec<Box<dyn Component + 'a>> = Vec::new();
        if let Some(ngram) = &self.ngram {
            components.push(Box::new(NgramComponent::new(NgramReader::new(
                ngram,
                &self.vocabulary,
            )?)));
        }
        if let Some(path) = &flags.lm_prob {
            components.push(Box::new(ExternalProbs::open(path)?));
        }
        Ok(components)
    }

    /// The weights on the first rank, which mixes. Those of the other ranks have no meaning.
    pub(in crate::cli) fn weights_on(
        &self,
        ranks: &Ranks,
        device: &mut Device,
        models: &[Model],
        options: NetworkOptions,
        flags: &SourceFlags,
    ) -> Result<Weights> {
        ranks.agree(ranks.together(|| match ranks.is_first() {
            true => self.weights(device, models, options, flags),
            false => Ok(Weights::even(models.len())),
        }))
    }

    /// The weights of the sources: those of the flags, or the best for the text of --tune, which
    /// are printed. Dynamic models are reset after tuning.
    pub(in crate::cli) fn weights(
        &self,
        device: &mut Device,
        models: &[Model],
        options: NetworkOptions,
        flags: &SourceFlags,
    ) -> Result<Weights> {
        let Some(path) = &flags.tune else {
            return flags.weights();
        };
        let unit = self.checkpoints[0].description.unit;
        let (tokens, _) = sentence_tags::read_text(path, unit, &self.vocabulary)?;
        let mut components = self.components(device, models, &tokens, options, flags)?;
        let weights = mixture::tune(device, &mut components, &tokens)?;
        if options.dynamic.is_some() {
            self.reset(device, models)?;
        }
        let names = flags
            .models
            .iter()
            .chain(&flags.arpa)
            .map(|path| path.display().to_string());
        let list: Vec<_> = names
            .zip(weights.values())
            .map(|(name, weight)| format!("{weight:.4} {name}"))
            .collect();
        note_line!("best weights for {}: {}", path.display(), list.join(", "));
        Ok(weights)
    }
}
