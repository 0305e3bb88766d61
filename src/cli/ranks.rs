//! Commands on several ranks: which ones can be, what all ranks must have alike, and which rank
//! writes messages. `batches` and `sequences` divide what is read by the first rank alone;
//! `timeout` ends ranks that wait for one that hangs.

pub(super) mod batches;
pub(super) mod sequences;
pub(super) mod timeout;

use std::fs::File;
use std::io::{self, Read, Write};

use bytemuck::cast_slice;

use super::quiet::be_quiet;
use super::{Subcommand, is_broken_pipe, stderr};
use crate::checkpoint::Checkpoint;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::parallel::{Ranks, check_launch, world};

/// Leaves results and messages to the first rank.
///
/// # Errors
/// If the command cannot run on several ranks, or they are not the same program.
pub(super) fn prepare(command: &Subcommand) -> Result<()> {
    let divides = matches!(
        command,
        Subcommand::Train(_)
            | Subcommand::Eval(_)
            | Subcommand::Score(_)
            | Subcommand::Rescore(_)
            | Subcommand::Ngram(_)
            | Subcommand::Compare(_)
            | Subcommand::Bench(_)
    );
    if divides {
        check_launch()?;
    }
    let ranks = world();
    if !ranks.is_first() {
        be_quiet();
        stderr::be_silent();
    }
    ranks.agree(match divides || ranks.is_alone() {
        true => Ok(()),
        false => Err(Error::usage(
            format!("this command on {} ranks", ranks.count()),
            "only train, eval, score, rescore, ngram, compare and bench divide their work over \
             ranks",
            "Start it without mpirun",
        )),
    })?;
    check_program(&ranks)
}

/// The most bytes of the program that are compared. A released program is smaller.
const COMPARED_BYTES: u64 = 32 << 20;

/// Checks that all ranks are the same program: others would not call the same operations, or would
/// compute other bits.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
fn check_program(ranks: &Ranks) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let properties = [
        ("version of Elman", env!("CARGO_PKG_VERSION").to_owned()),
        // Where the program's file cannot be read, the text is empty.
        ("program", program().unwrap_or_default()),
    ];
    check_equal(ranks, &properties)
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
    check_equal(ranks, &properties)?;
    let names = ranks.gather(device.name().as_bytes());
    if let Some(rank) = names.iter().position(|name| *name != names[0]) {
        let name = |rank: usize| String::from_utf8_lossy(&names[rank]).into_owned();
        stderr_line!(
            "warning: {} has {}, and {} has {}: their weights may come to differ in the last \
             digits, since each makes the updates itself. Give all ranks the same --threads, or \
             devices of the same kind by --device",
            ranks.name(rank),
            name(rank),
            ranks.name(0),
            name(0)
        );
    }
    Ok(())
}

/// Checks that no flag is given with which `parts`, such as lines, depend on those before them.
///
/// # Errors
/// If one is, and there are several ranks.
pub(super) fn check_independent(ranks: &Ranks, parts: &str, flags: &[(&str, bool)]) -> Result<()> {
    let given = flags.iter().find(|(_, is_given)| *is_given);
    match given {
        Some((flag, _)) if !ranks.is_alone() => Err(Error::usage(
            format!("{flag} on {} ranks", ranks.count()),
            format!("{parts} depend on those before them, so that ranks cannot divide them"),
            format!("Remove {flag}, or start the command without mpirun"),
        )),
        _ => Ok(()),
    }
}

/// The error for a text from standard input, where all ranks read the texts.
pub(super) fn standard_input_of_ranks(ranks: &Ranks) -> Error {
    Error::usage(
        format!("a text from standard input on {} ranks", ranks.count()),
        "every rank reads the text, and only one has the standard input",
        "Write the text to a file that all ranks can read",
    )
}

/// Checks that all ranks have the same models.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_models(ranks: &Ranks, checkpoints: &[Checkpoint]) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    check_equal(ranks, &[("model", hash_of_models(checkpoints))])
}

/// A hash of models and their vocabularies.
fn hash_of_models(checkpoints: &[Checkpoint]) -> String {
    let mut parts = Vec::new();
    for checkpoint in checkpoints {
        parts.push(hash([format!("{:?}", checkpoint.description)]));
        parts.push(hash(checkpoint.vocabulary.types()));
        let initial_states = checkpoint.initial_states.iter().flatten();
        let values = checkpoint.parameters.iter().chain(initial_states);
        parts.push(hash(values.map(|values| cast_slice::<f32, u8>(values))));
    }
    hash(parts)
}

/// A hash of parts, each with its end.
pub(super) fn hash<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Hash::default();
    for part in parts {
        let added = hash.write_all(part.as_ref()).and(hash.write_all(b"\n"));
        added.expect("a hash takes everything");
    }
    hash.hexadecimal()
}

/// The length of values that are shown where they differ. Hashes and lists of flags are longer.
const SHOWN_LENGTH: usize = 40;

/// Compares the properties of each rank with those of the first one.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_equal(ranks: &Ranks, properties: &[(impl AsRef<str>, String)]) -> Result<()> {
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
        return ranks.agree(Ok(()));
    };
    let first = first.unwrap_or_default();
    let values = match own.len().max(first.len()) <= SHOWN_LENGTH {
        true => format!(" ({own}, and {first} there)"),
        false => String::new(),
    };
    ranks.agree(Err(Error::invalid(
        format!("the {} of this rank", name.as_ref()),
        format!("it differs from that of {}{values}", ranks.name(0)),
        "Give all ranks the same program, flags and texts, and devices of one kind",
    )))
}

/// What a rank says about the end where nothing is saved.
pub(super) const START_AGAIN: &str = "Start the command again, also on fewer ranks";

/// Ends the command on all ranks with what the first one does while the others wait.
///
/// # Errors
/// If it fails.
pub(super) fn on_first(ranks: &Ranks, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let result = ranks.together(|| match ranks.is_first() {
        true => work(),
        false => Ok(()),
    });
    end(ranks, result)
}

/// Ends the command on all ranks with the result of each. If a reader closed standard output, only
/// the first rank knows it, and the others end as after success.
///
/// # Errors
/// If a rank has failed.
pub(super) fn end(ranks: &Ranks, result: Result<()>) -> Result<()> {
    match result {
        Err(error) if is_broken_pipe(&error) => ranks.agree(Ok(())).and(Err(error)),
        result => ranks.agree(result),
    }
}
