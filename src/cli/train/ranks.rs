//! A run on several ranks: what only the first one does, and what all must have alike.

use std::fs::File;
use std::io::{self, Read};

use super::flags::TrainFlags;
use super::lock;
use super::training_run::TrainingRun;
use crate::checkpoint::LockedDirectory;
use crate::cli::replay;
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::parallel::Ranks;

/// Checks that the flags can be used on several ranks.
///
/// # Errors
/// If one cannot.
pub(super) fn check_flags(flags: &TrainFlags, ranks: &Ranks) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    if flags.dry_run {
        return Err(Error::usage(
            format!("--dry-run on {} ranks", ranks.count()),
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
        return Err(Error::usage(
            format!("a text from standard input on {} ranks", ranks.count()),
            "every rank reads the text, and only one has the standard input",
            "Write the text to a file that all ranks can read",
        ));
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

/// The most bytes of the program that are compared. A released program is smaller.
const COMPARED_BYTES: u64 = 32 << 20;

/// Checks that all ranks are the same program: others would not call the same operations, or would
/// compute other bits.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_program(ranks: &Ranks) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let properties = [
        ("version of Elman", env!("CARGO_PKG_VERSION").to_owned()),
        // Where a system does not tell, all ranks have an empty text.
        ("program", program().unwrap_or_default()),
    ];
    ranks.agree(compare(ranks, &properties))
}

/// The length of this program, and the hash of its bytes.
fn program() -> io::Result<String> {
    let file = File::open(std::env::current_exe()?)?;
    let length = file.metadata()?.len();
    let hash = Hash::of(file.take(COMPARED_BYTES))?;
    Ok(format!("{length} bytes, SHA-256 {hash}"))
}

/// Checks that the devices of all ranks compute the same: each rank makes the same update of the
/// same weights.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_devices(ranks: &Ranks, device: &Device) -> Result<()> {
    if ranks.is_alone() {
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
    ranks.agree(compare(ranks, &properties))?;
    let names = ranks.gather(device.name().as_bytes());
    if let Some(rank) = names.iter().position(|name| *name != names[0]) {
        let name = |rank: usize| String::from_utf8_lossy(&names[rank]).into_owned();
        stderr_line!(
            "warning: {} has {}, and {} has {}: their weights may come to differ in the last \
             digits, since each makes the updates itself. --device selects the same for all",
            ranks.name(rank),
            name(rank),
            ranks.name(0),
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
    let ranks = run.trainer.ranks();
    if ranks.is_alone() {
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
    ranks.agree(compare(ranks, &properties))
}

/// The length of values that are shown where they differ. Hashes and lists of flags are longer.
const SHOWN_LENGTH: usize = 40;

/// Compares the properties of this rank with those of the first one.
fn compare(ranks: &Ranks, properties: &[(&str, String)]) -> Result<()> {
    let own: String = properties
        .iter()
        .map(|(_, value)| format!("{value}\n"))
        .collect();
    let all = ranks.gather(own.as_bytes());
    let of_first = String::from_utf8_lossy(&all[0]).into_owned();
    let mut of_first = of_first.lines().map(str::to_owned);
    let mut pairs = properties.iter().map(|pair| (pair, of_first.next()));
    let different = pairs.find(|((_, value), first)| first.as_ref() != Some(value));
    let Some(((name, own), first)) = different else {
        return Ok(());
    };
    let first = first.unwrap_or_default();
    let values = match own.len().max(first.len()) <= SHOWN_LENGTH {
        true => format!(" ({own}, and {first} there)"),
        false => String::new(),
    };
    Err(Error::invalid(
        format!("the {name} of this rank"),
        format!("it differs from that of {}{values}", ranks.name(0)),
        "Give all ranks the same program, flags and texts, and devices of one kind",
    ))
}
