//! A run on several ranks: what only the first one does, and what all must have alike.

use super::flags::TrainFlags;
use super::lock;
use super::training_run::TrainingRun;
use crate::checkpoint::LockedDirectory;
use crate::cli::{ranks, replay};
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::parallel::Ranks;

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

/// Checks that the devices of all ranks compute the same: each rank makes the same update of the
/// same weights.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_devices(all: &Ranks, device: &Device) -> Result<()> {
    if all.is_alone() {
        return Ok(());
    }
    let kind = match device.is_gpu() {
        true => "GPU",
        false => "CPU",
    };
    let mut properties = vec![("kind of device", kind.to_owned())];
    properties.extend(device.capabilities());
    #[cfg(feature = "fault-injection")]
    if crate::faults::happens("capability", 0) {
        properties[1].1 = "other".to_owned();
    }
    ranks::check_equal(all, &properties)?;
    let names = all.gather(device.name().as_bytes());
    if let Some(rank) = names.iter().position(|name| *name != names[0]) {
        let name = |rank: usize| String::from_utf8_lossy(&names[rank]).into_owned();
        stderr_line!(
            "warning: {} has {}, and {} has {}: their weights may come to differ in the last \
             digits, since each makes the updates itself. --device selects the same for all",
            all.name(rank),
            name(rank),
            all.name(0),
            name(0)
        );
    }
    Ok(())
}

/// Checks that all ranks are to train the same model alike.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_equal(run: &TrainingRun<'_>) -> Result<()> {
    let all = run.trainer.ranks();
    if all.is_alone() {
        return Ok(());
    }
    let valid: Vec<u8> = run.corpus.valid.iter().flat_map(u32::to_le_bytes).collect();
    let valid = Hash::of(&valid[..]).map_err(Error::io("read", &run.directory))?;
    let flags = replay::run_flags(&run.description, &run.record, run.trainer.recipe());
    let of_run = |name: &str| !["train", "valid", "init"].contains(&name);
    let flags: Vec<_> = flags.iter().filter(|(name, _)| of_run(name)).collect();
    let progress = run.trainer.progress();
    let position = (progress.epochs, progress.window, progress.step);
    let properties = [
        ("training text", run.record.sha256.clone()),
        ("validation text", valid),
        ("model or recipe", format!("{flags:?}")),
        ("position in the run", format!("{position:?}")),
    ];
    ranks::check_equal(all, &properties)
}
