//! The start and the end of a process that a launcher of MPI may have started as one of several.

use std::sync::OnceLock;

use super::ranks::Ranks;
use crate::error::{Error, Result};

/// The variables in which launchers give the number of processes: Open MPI, MPICH and Intel MPI,
/// MVAPICH.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];

/// The ranks of this process.
static WORLD: OnceLock<Ranks> = OnceLock::new();

/// The ranks of this process: only this one until [`start`] is called.
pub fn world() -> Ranks {
    WORLD.get().cloned().unwrap_or_default()
}

/// The variable of launchers with PMIx, which do not give the number of processes.
const PMIX: &str = "PMIX_RANK";

/// The number of processes that a launcher has started, if one has.
fn launched() -> Option<usize> {
    let given = |name: &str| std::env::var(name).ok();
    let size = SIZES.iter().find_map(|name| given(name));
    // Slurm may have started them.
    let size = size.or_else(|| given(PMIX).and_then(|_| given("SLURM_NTASKS")));
    size?.parse().ok()
}

/// Connects this process with those that were started with it. Without a launcher it does nothing.
///
/// # Errors
/// If MPI cannot be used.
pub fn start() -> Result<()> {
    #[cfg(feature = "mpi")]
    if launched().is_some() || std::env::var_os(PMIX).is_some() {
        let _ = WORLD.set(super::mpi::connect()?);
    }
    Ok(())
}

/// Checks that processes that were started together can divide their work, and do not each do all
/// of it.
///
/// # Errors
/// If this program has no MPI.
pub fn check_launch() -> Result<()> {
    check_processes(launched(), cfg!(feature = "mpi"))
}

fn check_processes(count: Option<usize>, has_mpi: bool) -> Result<()> {
    match count {
        Some(count @ 2..) if !has_mpi => Err(Error::invalid(
            format!("{count} processes of a launcher of MPI"),
            "this program has no MPI, so each of them would do the same work",
            "Build it with `cargo install elman --features mpi`, or start it without the launcher",
        )),
        _ => Ok(()),
    }
}

/// Disconnects this process. After an error, for which `failure` is the exit code, of which the
/// other ranks do not know, it ends them.
pub fn finish(failure: Option<u8>) {
    if let (Some(ranks), Some(code)) = (WORLD.get(), failure) {
        ranks.abort_unless_known(code);
    }
    #[cfg(feature = "mpi")]
    super::mpi::disconnect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_processes_need_mpi() {
        for (count, has_mpi) in [(None, false), (Some(1), false), (Some(4), true)] {
            assert!(check_processes(count, has_mpi).is_ok(), "{count:?}");
        }
        let message = check_processes(Some(2), false).map_err(|error| error.to_string());
        let message = message.expect_err("two processes that do not know each other");
        assert!(
            message.contains("2 processes") && message.contains("no MPI"),
            "{message}"
        );
    }
}
