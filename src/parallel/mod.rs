//! Ranks: processes that train one model, or use it, together.
//!
//! In: the values of this rank. Out: sums and lists of the values of all ranks, the same on every
//! rank, in the order of ranks, and therefore the same bits in every run. A program on one rank is
//! the same program: its sums are its own values.
//!
//! MPI connects the ranks (feature `mpi`): its launcher starts the processes, and its library
//! transports their values. [`Ranks::in_threads`] has ranks without MPI, for tests.

mod communicator;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod ranks;
mod threads;
mod together;
mod work;

pub use communicator::{Communicator, Report, Watch};
pub use launch::{check_launch, finish, start, world};
pub use ranks::{Place, Ranks};
pub use work::Work;
