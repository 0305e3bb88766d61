//! Ranks that MPI connects.

mod wait;

use std::sync::{Mutex, PoisonError};

use mpi::datatype::PartitionMut;
use mpi::environment::{Threading, Universe, initialize_with_threading, processor_name};
use mpi::request;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{
    Communicator as _, CommunicatorCollectives as _, Destination as _, Equivalence, Source as _,
};

use super::communicator::{Communicator, Watch};
use super::ranks::Ranks;
use crate::error::{Error, Result};

/// MPI while it is initialized.
static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

/// The tag of parts that rank 0 scatters. [`wait`] has another one.
const SCATTER: mpi::Tag = 2;
/// The most bytes of a message: MPI counts them in `int`.
const LARGEST_MESSAGE: usize = 1 << 30;

/// All processes of the launcher.
#[derive(Debug, Default)]
struct World {
    waits: wait::Waits,
}

/// Initializes MPI.
pub(super) fn connect() -> Result<Ranks> {
    // Collective operations run on the threads of devices, one at a time.
    let failed = |rule: &str| {
        Error::invalid(
            "MPI",
            rule,
            "Use the MPI library with whose headers the program was built",
        )
    };
    let (universe, provided) = initialize_with_threading(Threading::Serialized)
        .ok_or_else(|| failed("it cannot be initialized"))?;
    *UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner) = Some(universe);
    if provided < Threading::Serialized {
        return Err(failed("it cannot be called from several threads in turn"));
    }
    Ok(Ranks::new(Box::new(World::default())))
}

/// Finalizes MPI, if it was initialized.
pub(super) fn disconnect() {
    drop(
        UNIVERSE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(),
    );
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// A number for MPI, which counts in `int`.
fn to_count(value: usize) -> mpi::Count {
    mpi::Count::try_from(value).expect("messages are divided into small ones")
}

impl World {
    /// The parts of all ranks, which have the same length.
    fn all_gather<T: Equivalence>(&self, part: &[T], all: &mut [T]) {
        let operation = self.waits.start();
        request::scope(|scope| {
            let request = world().immediate_all_gather_into(scope, part, all);
            self.waits.wait(operation, request);
        });
    }

    /// Sends a message of an operation to another rank.
    fn send<T: Equivalence>(&self, operation: u64, values: &[T], rank: mpi::Rank) {
        let world = world();
        let other = world.process_at_rank(rank);
        request::scope(|scope| {
            let request = other.immediate_send_with_tag(scope, values, SCATTER);
            self.waits.wait(operation, request);
        });
    }

    /// Receives a message of an operation from the first rank.
    fn receive<T: Equivalence>(&self, operation: u64, values: &mut [T]) {
        let world = world();
        let first = world.process_at_rank(0);
        request::scope(|scope| {
            let request = first.immediate_receive_into_with_tag(scope, values, SCATTER);
            self.waits.wait(operation, request);
        });
    }
}

impl Communicator for World {
    fn index(&self) -> usize {
        usize::try_from(world().rank()).expect("ranks count from 0")
    }

    fn count(&self) -> usize {
        usize::try_from(world().size()).expect("a number of ranks")
    }

    fn host(&self) -> String {
        processor_name().unwrap_or_else(|_| "a host without a name".to_owned())
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let count = self.count();
        let mut lengths = vec![0_u64; count];
        self.all_gather(&[bytes.len() as u64], &mut lengths);
        let mut all = vec![Vec::new(); count];
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        // All ranks' parts of a round have at most 1 GiB.
        let limit = LARGEST_MESSAGE / count;
        for round in 0..longest.div_ceil(limit) {
            let part = |length: usize| length.min(round * limit)..length.min((round + 1) * limit);
            let parts: Vec<_> = lengths
                .iter()
                .map(|&length| part(length as usize).len())
                .collect();
            let starts = parts.iter().scan(0, |end, part| {
                *end += part;
                Some(to_count(*end - part))
            });
            let starts: Vec<_> = starts.collect();
            let counts: Vec<_> = parts.iter().map(|&part| to_count(part)).collect();
            let mut received = vec![0; parts.iter().sum()];
            let mut partition = PartitionMut::new(&mut received[..], counts, starts);
            let operation = self.waits.start();
            request::scope(|scope| {
                let own = &bytes[part(bytes.len())];
                let all = &mut partition;
                let request = world().immediate_all_gather_varcount_into(scope, own, all);
                self.waits.wait(operation, request);
            });
            let mut rest = &received[..];
            for (list, &part) in all.iter_mut().zip(&parts) {
                list.extend_from_slice(&rest[..part]);
                rest = &rest[part..];
            }
        }
        all
    }

    fn scatter(&self, parts: &[Vec<u8>]) -> Vec<u8> {
        let operation = self.waits.start();
        if self.index() > 0 {
            let mut length = [0_u64];
            self.receive(operation, &mut length);
            let mut received = vec![0; length[0] as usize];
            for chunk in received.chunks_mut(LARGEST_MESSAGE) {
                self.receive(operation, chunk);
            }
            return received;
        }
        for (part, rank) in parts.iter().zip(0..).skip(1) {
            self.send(operation, &[part.len() as u64], rank);
            for chunk in part.chunks(LARGEST_MESSAGE) {
                self.send(operation, chunk, rank);
            }
        }
        parts[0].clone()
    }

    fn exchange(&self, sent: &[f32], received: &mut [f32]) {
        let operation = self.waits.start();
        request::scope(|scope| {
            let request = world().immediate_all_to_all_into(scope, sent, received);
            self.waits.wait(operation, request);
        });
    }

    fn join(&self, part: &[f32], all: &mut [f32]) {
        self.all_gather(part, all);
    }

    fn watch(&self, watch: Watch) {
        self.waits.watch(watch);
    }

    fn pause_watch(&self, is_paused: bool) {
        self.waits.pause(is_paused);
    }

    fn abort(&self, code: u8) -> ! {
        world().abort(code.into())
    }
}
