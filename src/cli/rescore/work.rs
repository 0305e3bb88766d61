//! Rescores lists, batch after batch, on one rank or on several.
//!
//! Every rank computes the probabilities of the hypotheses of some batches with the models. The
//! first one reads the lists, mixes in what other sources say of them, and prints.

use super::RescoreFlags;
use super::printer::{RankedList, RescorePrinter};
use super::rescorer::Rescorer;
use crate::cli::mix::Sources;
use crate::cli::ranks::batches::Batches;
use crate::cli::ranks::{self, sequences};
use crate::cli::sentence_tags;
use crate::decompress;
use crate::device::Device;
use crate::error::Result;
use crate::mixture::Weights;
use crate::model::Model;
use crate::parallel::{Ranks, Work, world};
use crate::rescore::{NbestList, NbestReader};

/// What a rank does.
pub(super) struct RescoreWork<'a> {
    device: Device,
    flags: &'a RescoreFlags,
    models: usize,
    /// On the first rank, the lists.
    reader: Option<NbestReader>,
    rescorer: Rescorer<'a>,
    printer: RescorePrinter<'a>,
    batches: Batches<ListBatch>,
}

/// Lists that are scored together.
struct ListBatch {
    lists: Vec<NbestList>,
    /// The ids of the words of their hypotheses.
    sequences: Vec<Vec<u32>>,
}

impl<'a> RescoreWork<'a> {
    pub(super) fn new(
        mut device: Device,
        flags: &'a RescoreFlags,
        sources: &'a Sources,
        models: &'a [Model],
        weights: Weights,
    ) -> Result<Self> {
        let reader = match world().is_first() {
            true => {
                let input = decompress::open_for("rescoring", &flags.file)?;
                Some(NbestReader::new(input, &flags.file, flags.form, flags.ids))
            }
            false => None,
        };
        Ok(Self {
            rescorer: Rescorer::new(&mut device, flags, sources, models, weights)?,
            device,
            flags,
            models: models.len(),
            reader,
            printer: RescorePrinter::new(flags),
            batches: Batches::new(),
        })
    }

    /// Rescores all lists.
    pub(super) fn run(mut self, ranks: &Ranks) -> Result<()> {
        ranks.divide(&mut self)?;
        ranks::on_first(ranks, || self.finish())
    }

    fn finish(self) -> Result<()> {
        self.batches.finish()?;
        self.rescorer.finish()?;
        let tags = self.reader.map(|reader| reader.tags()).unwrap_or_default();
        sentence_tags::note(&decompress::name(&self.flags.file), tags);
        self.printer.finish()
    }
}

impl Work for RescoreWork<'_> {
    fn waits_for_parts(&self) -> bool {
        decompress::is_read_once(&self.flags.file)
    }

    fn next(&mut self, count: usize) -> Result<Vec<Vec<u32>>> {
        let Some(reader) = &mut self.reader else {
            return Ok(Vec::new());
        };
        let batches = self.batches.read(count, |waits| {
            let (lists, end) = self.flags.read_batch(reader, waits);
            let sequences = self.rescorer.sequences(&lists);
            let batch = ListBatch { lists, sequences };
            ((!batch.lists.is_empty()).then_some(batch), end)
        })?;
        let part = |batch: &ListBatch| sequences::to_part(&batch.sequences);
        Ok(batches.iter().map(part).collect())
    }

    fn compute(&mut self, part: &[u32]) -> Result<Vec<f64>> {
        let sequences = sequences::of_part(part);
        self.rescorer.log_probs(&mut self.device, &sequences)
    }

    fn take(&mut self, results: Vec<Vec<f64>>) -> Result<()> {
        let Self {
            rescorer,
            printer,
            device,
            flags,
            models,
            ..
        } = self;
        self.batches.print(&results, |batch, log_probs| {
            let ListBatch { lists, sequences } = batch;
            let of_models = sequences::values_by_model(log_probs, *models, &sequences);
            let mut scores = Vec::new();
            let scored = rescorer.score(&lists, &sequences, &of_models, &mut scores);
            // The lists before the one that failed have their results.
            let mut scores = scores.into_iter();
            for list in lists {
                if scores.len() < list.hypotheses.len() {
                    break;
                }
                let unknown = rescorer.unknown(&list);
                let ranked = RankedList::new(list, scores.by_ref(), unknown, flags);
                rescorer.carry(device, &ranked)?;
                printer.print(ranked)?;
            }
            printer.flush()?;
            scored
        })
    }
}
