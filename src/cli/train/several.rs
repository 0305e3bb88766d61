//! Training of several models on one corpus, each within a budget of time.
//!
//! In: the [`TrainFlags`] of each model. Out: their directories, as `elman train` writes them.

use std::path::PathBuf;
use std::time::Duration;

use super::flags::TrainFlags;
use super::interrupt::Interrupt;
use super::resume::SavedRun;
use super::texts::{self, TrainingText};
use super::training_run::Outcome;
use super::{lock, model_conditions, ranks, start};
use crate::cli::is_used;
use crate::corpus::{Corpus, Tokens, Unit, Vocabulary};
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::parallel::{Ranks, world};
use crate::prepared::read_corpus_with;
use crate::train::{CorpusShare, Recipe, Trainer};

/// The largest part of a budget for the measurement of how long an epoch takes, and the longest
/// time for it.
const MEASURED_PART: f64 = 0.05;
const LONGEST_MEASUREMENT: Duration = Duration::from_secs(5);
/// The part of a budget that the epochs of a schedule are planned to take: the rest is for what the
/// measurement does not know.
const PLANNED_PART: f64 = 0.95;

/// A corpus that is read once for several models.
pub(in crate::cli) struct SharedCorpus {
    pub(in crate::cli) corpus: Corpus,
    pub(in crate::cli) unit: Unit,
    train: PathBuf,
    valid: Option<PathBuf>,
}

/// How the training of one of several models ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum RunEnd {
    /// It is complete.
    Finished,
    /// A signal has interrupted it.
    Interrupted(u8),
}

impl SharedCorpus {
    /// Reads the texts and makes the vocabulary that the flags of the first model describe.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(in crate::cli) fn read(flags: &TrainFlags) -> Result<Self> {
        let (text, valid) = texts::texts(flags)?;
        let unit = flags.vocabulary.unit();
        let corpus = texts::read_corpus(flags, &text, valid.as_ref(), unit, None)?;
        let TrainingText::File(train) = text else {
            return Err(Error::usage(
                "TEXT",
                "it is missing",
                "Give a file to train on",
            ));
        };
        Ok(Self {
            corpus,
            unit,
            train,
            valid,
        })
    }

    /// Reads the texts with the vocabulary of a model.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(in crate::cli) fn read_with(
        train: PathBuf,
        valid: Option<PathBuf>,
        vocabulary: Vocabulary,
        unit: Unit,
    ) -> Result<Self> {
        let corpus = read_corpus_with(vocabulary, &train, valid.as_deref(), unit)?;
        Ok(Self {
            corpus,
            unit,
            train,
            valid,
        })
    }

    /// The validation text in another vocabulary.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(in crate::cli) fn valid_in(&self, vocabulary: &Vocabulary, unit: Unit) -> Result<Tokens> {
        let (train, valid) = (self.train.clone(), self.valid.clone());
        Ok(Self::read_with(train, valid, vocabulary.clone(), unit)?
            .corpus
            .valid)
    }

    /// Checks what can be checked of a run before it trains.
    ///
    /// # Errors
    /// If a flag is invalid.
    pub(in crate::cli) fn check(&self, flags: &TrainFlags) -> Result<()> {
        let check = || {
            let recipe = flags.recipe()?;
            world().streams("batch", recipe.batch)?;
            let config = start::configuration(flags, &self.corpus)?;
            model_conditions::check(flags, &config)
        };
        check().map_err(|error| flags.origins.explain(error))
    }

    /// What all ranks must have alike, with names for messages.
    pub(in crate::cli) fn properties(&self) -> impl Iterator<Item = (String, String)> {
        let properties = ranks::properties(&self.corpus).into_iter();
        properties.map(|(name, value)| (name.to_owned(), value))
    }

    /// Trains a model for about `budget` seconds at most. With `resume`, a run that was started
    /// continues, and one that is complete stays as it is.
    ///
    /// # Errors
    /// If the flags contradict a run that is to be resumed, or training fails.
    pub(in crate::cli) fn train(
        &self,
        flags: &TrainFlags,
        resume: bool,
        budget: f64,
        interrupt: &Interrupt,
    ) -> Result<RunEnd> {
        let all = world();
        let mut is_started = false;
        let directory = ranks::directory(flags, &all, || {
            std::fs::create_dir_all(&flags.out).map_err(Error::io("create", &flags.out))?;
            is_started = resume && is_used(&flags.out)?;
            lock(&flags.out)
        })?;
        let is_started = all.of_first(u8::from(is_started)) > 0;
        let record = all.agree(texts::corpus_record(
            flags,
            Some(self.train.clone()),
            self.valid.clone(),
            &self.corpus,
        ))?;
        let share = CorpusShare {
            corpus: &self.corpus,
            ranks: all.clone(),
        };
        let mut device;
        let started = if is_started {
            let saved = ranks::first_alone(&all, || SavedRun::read(flags, &directory))?;
            all.agree(saved.check_text(&record))?;
            let recipe = saved.record().recipe.clone();
            if saved.record().progress.is_finished(&recipe) {
                note_line!("{}: complete, not trained anew", flags.out.display());
                return Ok(RunEnd::Finished);
            }
            device = all.agree(flags.device.reopen())?;
            saved.resume(&mut device, flags, recipe, share, record, directory)
        } else {
            for note in &flags.notes {
                note_line!("{note}");
            }
            let recipe = self.plan(flags, budget, &all)?;
            device = all.agree(flags.device.reopen())?;
            start::start(&mut device, flags, recipe, None, share, record, directory)
        };
        let mut run = all.agree(started)?;
        ranks::check_equal(&run, &mut device)?;
        run.prepare(&mut device)?;
        let outcome = run.train(&mut device, interrupt, Some(budget))?;
        Ok(match outcome {
            Outcome::Finished => RunEnd::Finished,
            Outcome::Interrupted { exit_code } => RunEnd::Interrupted(exit_code),
        })
    }

    /// The recipe of a run with a budget. If the learning rates of its schedule depend on the
    /// number of epochs, it has as many as fit the budget, at most its own number.
    fn plan(&self, flags: &TrainFlags, budget: f64, all: &Ranks) -> Result<Recipe> {
        let recipe = all.agree(flags.recipe())?;
        if !recipe.schedule.needs_total_updates() || recipe.epochs == 1 {
            return Ok(recipe);
        }
        let mut device = all.agree(flags.device.reopen())?;
        let new = all.agree(start::new_model(flags, &self.corpus, &recipe));
        let (description, values) = new?;
        let share = CorpusShare {
            corpus: &self.corpus,
            ranks: all.clone(),
        };
        let config = description.config;
        let trial = Trainer::new(&mut device, config, &values, recipe.clone(), share);
        let mut trial = all.agree(trial)?;
        let duration = LONGEST_MEASUREMENT.min(Duration::from_secs_f64(MEASURED_PART * budget));
        let seconds = all.of_first(trial.measure_epoch(&mut device, duration)?);
        let epochs = epochs_within(PLANNED_PART * budget, seconds, recipe.epochs);
        note_line!(
            "an epoch takes about {seconds:.1} s, so {epochs} of {} epochs are planned, and \
             --schedule {} ends with them",
            recipe.epochs,
            recipe.schedule.name()
        );
        Ok(Recipe { epochs, ..recipe })
    }
}

/// The number of epochs that fit a budget, at least 1.
fn epochs_within(budget: f64, seconds_per_epoch: f64, at_most: usize) -> usize {
    let epochs = budget / seconds_per_epoch.max(1e-9);
    // A number beyond the range becomes its end.
    (epochs as usize).clamp(1, at_most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_fit_the_budget() {
        assert_eq!(epochs_within(60.0, 7.0, 20), 8);
        assert_eq!(epochs_within(60.0, 7.0, 5), 5);
        assert_eq!(epochs_within(6.0, 7.0, 5), 1);
        assert_eq!(epochs_within(f64::INFINITY, 0.0, 5), 5);
    }
}
