//! Commands on several ranks: which ones can be, and which rank writes messages.

use super::quiet::be_quiet;
use super::{Subcommand, stderr};
use crate::error::{Error, Result};
use crate::parallel::{check_launch, world};

/// Leaves results and messages to the first rank.
///
/// # Errors
/// If the command cannot run on several ranks.
pub(super) fn prepare(command: &Subcommand) -> Result<()> {
    let trains = matches!(command, Subcommand::Train(_) | Subcommand::Compare(_));
    if trains {
        check_launch()?;
    }
    let ranks = world();
    if !ranks.is_first() {
        be_quiet();
        stderr::be_silent();
    }
    let divides = matches!(command, Subcommand::Train(_) | Subcommand::Bench(_));
    let can_divide = ranks.is_alone() || divides;
    ranks.agree(match can_divide {
        true => Ok(()),
        false => Err(Error::usage(
            format!("this command on {} ranks", ranks.count()),
            "only `elman train` and `elman bench` divide their work over ranks",
            "Start it without mpirun",
        )),
    })
}
