//! A run on several ranks: what only the first one does, and what all must have alike.

use bytemuck::cast_slice;

use super::flags::TrainFlags;
use super::lock;
use super::resume::SavedRun;
use super::training_run::TrainingRun;
use crate::checkpoint::LockedDirectory;
use crate::cli::{ranks, replay};
use crate::corpus::Corpus;
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::parallel::Ranks;
use crate::train::Trainer;

/// Checks that the flags can be used on several ranks.
///
/// # Errors
/// If one cannot.
pub(super) fn check_flags(flags: &TrainFlags, all: &Ranks) -> Result<()> {
    if all.is_alone() {
        return Ok(());
    }
    if flags.dry_run {
        return Err(Error::usage(
            format!("--dry-run on {} ranks", all.count()),
            "it measures one process",
            "Start it without mpirun, with the streams of one rank as --batch",
        ));
    }
    let texts = [flags.train.as_deref(), flags.valid.as_deref()];
    if texts
        .into_iter()
        .flatten()
        .any(decompress::is_standard_input)
    {
        return Err(ranks::standard_input_of_ranks(all));
    }
    Ok(())
}

/// The directory of the run: the first rank writes into it, and the others read it.
///
/// # Errors
/// If the first rank cannot use it.
pub(super) fn directory(
    flags: &TrainFlags,
    ranks: &Ranks,
    prepare: impl FnOnce() -> Result<LockedDirectory>,
) -> Result<LockedDirectory> {
    let own = match (ranks.is_first(), &flags.resume) {
        (true, Some(directory)) => lock(directory),
        (true, None) => prepare(),
        (false, _) => {
            let path = flags.resume.as_ref().unwrap_or(&flags.out);
            Ok(LockedDirectory::for_reading(path))
        }
    };
    ranks.agree(own)
}

/// Checks that the ranks can divide the streams of a saved run.
///
/// # Errors
/// If they cannot.
pub(super) fn check_streams(saved: &SavedRun, ranks: &Ranks) -> Result<()> {
    let (streams, count) = (saved.record().recipe.batch, ranks.count());
    if streams.is_multiple_of(count) {
        return Ok(());
    }
    let fits = |count: &usize| streams.is_multiple_of(*count);
    let below = (1..count).rev().find(fits);
    let fitting: Vec<String> = below
        .into_iter()
        .chain((count..=streams).find(fits))
        .map(|count| count.to_string())
        .collect();
    Err(Error::usage(
        format!("--resume on {count} ranks"),
        format!(
            "the ranks divide the {streams} streams of the run's --batch equally, and --resume \
             does not change --batch"
        ),
        format!("Start {} ranks", fitting.join(" or ")),
    ))
}

/// Does something on the first rank, and then on the others.
///
/// # Errors
/// If it fails on a rank.
pub(super) fn first_alone<T>(ranks: &Ranks, work: impl Fn() -> Result<T>) -> Result<T> {
    let of_first = ranks.is_first().then(&work).transpose();
    let own = match ranks.agree(of_first)? {
        Some(done) => Ok(done),
        None => work(),
    };
    ranks.agree(own)
}

/// Checks that all ranks are to train the same model alike.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it. If the device fails.
pub(super) fn check_equal(run: &TrainingRun<'_>, device: &mut Device) -> Result<()> {
    let all = run.trainer.ranks();
    if all.is_alone() {
        return Ok(());
    }
    let flags = replay::run_flags(&run.description, &run.record, run.trainer.recipe());
    let of_run = |name: &str| !["train", "valid", "init"].contains(&name);
    let flags: Vec<_> = flags.iter().filter(|(name, _)| of_run(name)).collect();
    let progress = run.trainer.progress();
    let position = (progress.epochs, progress.window, progress.step);
    let safety = &run.flags.safety;
    let mut properties = properties(run.corpus).to_vec();
    properties.extend([
        ("model or recipe", format!("{flags:?}")),
        ("--on-divergence", format!("{:?}", safety.on_divergence)),
        ("position in the run", format!("{position:?}")),
    ]);
    ranks::check_equal(all, &properties)?;
    check_weights(&run.trainer, device)
}

/// What all ranks must have alike of a corpus, with names for messages.
pub(super) fn properties(corpus: &Corpus) -> [(&'static str, String); 3] {
    let valid: Vec<u8> = corpus.valid.iter().flat_map(u32::to_le_bytes).collect();
    [
        ("training text", corpus.report.sha256.clone()),
        ("validation text", ranks::hash([&valid[..]])),
        ("vocabulary", ranks::hash(corpus.vocabulary.types())),
    ]
}

/// Checks that all ranks have the same weights, which each has computed or read itself.
///
/// # Errors
/// As [`check_equal`].
pub(super) fn check_weights(trainer: &Trainer<'_>, device: &mut Device) -> Result<()> {
    let all = trainer.ranks();
    if all.is_alone() {
        return Ok(());
    }
    let weights = all.agree(trainer.model().parameters().download(device))?;
    let bytes = weights.iter().map(|values| cast_slice::<f32, u8>(values));
    ranks::check_equal(all, &[("weights", ranks::hash(bytes))])
}
