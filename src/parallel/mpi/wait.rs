//! Waiting for other ranks, and what happens if they do not come.
//!
//! In: an operation in progress. Out: nothing once it is complete. A rank that has waited longer
//! than the limit of [`Watch`] sends a message to all others; those that wait too answer. After a
//! while the lowest rank that has answered reports those that have not, and ends all ranks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mpi::Tag;
use mpi::request::{Request, Scope, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Destination as _, Source as _};

use crate::parallel::communicator::Watch;

/// The tag of messages of ranks that wait.
const WAITING: Tag = 1;
/// A rank that waits repeats its test without a pause for this long, ...
const SPIN_TIME: Duration = Duration::from_micros(20);
/// ... then lets others use the processor in between for this long, ...
const YIELD_TIME: Duration = Duration::from_millis(2);
/// ... and then pauses for this long each time.
const PAUSE: Duration = Duration::from_micros(50);
/// The interval between looks for messages of ranks that wait.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The most that counts as waiting between two looks. A job that was suspended has not waited.
const MAX_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long answers are awaited: as long as the limit, but within these bounds.
const ANSWER_TIMES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];
/// How much longer each rank waits for the one below it to report.
const REPORT_TIME: Duration = Duration::from_secs(3);

/// What this rank knows of the others while it waits.
#[derive(Default)]
pub(super) struct Waits {
    watch: OnceLock<Watch>,
    is_paused: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Operations that this rank has started: it is the same number for an operation on all ranks.
    operations: u64,
    /// The number of the operation in which each rank last said that it waits.
    waiting: Vec<u64>,
}

impl fmt::Debug for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(formatter)
    }
}

/// An operation in which this rank waits for the others.
struct Wait<'a> {
    world: SimpleCommunicator,
    watch: &'a Watch,
    /// How long this rank waits before it asks the others. It answers them before.
    limit: Duration,
    operation: u64,
    waited: Duration,
    looked_at: Instant,
    /// How long this rank has been waiting for answers, if it is.
    asked: Option<Duration>,
}

impl Waits {
    /// Watches the operations that are started from now on.
    pub(super) fn watch(&self, watch: Watch) {
        // A second call changes nothing: a process runs one command.
        let _ = self.watch.set(watch);
    }

    /// From now on, this rank may wait for any time, or no longer. It still answers.
    pub(super) fn pause(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// The number of the operation that this rank starts now. All ranks start the same operations
    /// in the same order.
    pub(super) fn start(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.operations += 1;
        state.operations
    }

    /// How long this rank waits before it asks the others.
    fn limit(&self) -> Duration {
        match (self.watch.get(), self.is_paused.load(Ordering::Relaxed)) {
            (Some(watch), false) => watch.limit,
            _ => Duration::MAX,
        }
    }

    /// Waits until the operation with this number is complete.
    pub(super) fn wait<'a, D: ?Sized, S: Scope<'a>>(
        &self,
        operation: u64,
        request: Request<'a, D, S>,
    ) {
        let start = Instant::now();
        let limit = self.limit();
        let watch = self.watch.get();
        let mut wait = None;
        let mut request = request;
        while let Err(pending) = request.test() {
            request = pending;
            match start.elapsed() {
                time if time < SPIN_TIME => std::hint::spin_loop(),
                time if time < YIELD_TIME => std::thread::yield_now(),
                _ => {
                    std::thread::sleep(PAUSE);
                    if let Some(watch) = watch {
                        let wait =
                            wait.get_or_insert_with(|| Wait::new(watch, limit, operation, start));
                        wait.look(&self.state);
                    }
                }
            }
        }
    }
}

impl<'a> Wait<'a> {
    fn new(watch: &'a Watch, limit: Duration, operation: u64, start: Instant) -> Self {
        Self {
            world: SimpleCommunicator::world(),
            watch,
            limit,
            operation,
            waited: Duration::ZERO,
            looked_at: start,
            asked: None,
        }
    }

    /// Looks for messages and for the time, where it is time to. Ends all ranks if some do not
    /// answer.
    fn look(&mut self, state: &Mutex<State>) {
        let elapsed = self.looked_at.elapsed();
        if elapsed < LOOK_INTERVAL {
            return;
        }
        self.looked_at = Instant::now();
        let elapsed = elapsed.min(MAX_LOOK_INTERVAL);
        self.waited += elapsed;
        let waiting = self.receive(state);
        match &mut self.asked {
            Some(time) => *time += elapsed,
            None if self.waited >= self.limit || waiting.contains(&true) => self.ask(),
            None => {}
        }
        if let Some(time) = self.asked
            && time >= self.time_of_report(&waiting)
        {
            self.end(&waiting);
        }
    }

    fn index(&self) -> usize {
        usize::try_from(self.world.rank()).expect("ranks count from 0")
    }

    /// Receives the messages that have come. Returns which other ranks wait in this operation.
    /// Those of an earlier one have completed it since.
    fn receive(&self, state: &Mutex<State>) -> Vec<bool> {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = usize::try_from(self.world.size()).expect("a number of ranks");
        state.waiting.resize(count, 0);
        while let Some(status) = self.world.any_process().immediate_probe_with_tag(WAITING) {
            let sender = self.world.process_at_rank(status.source_rank());
            let mut operation = 0_u64;
            sender.receive_into_with_tag(&mut operation, WAITING);
            let rank = usize::try_from(status.source_rank()).expect("ranks count from 0");
            state.waiting[rank] = operation;
        }
        let is_waiting = |&operation: &u64| operation >= self.operation;
        state.waiting.iter().map(is_waiting).collect()
    }

    /// Tells all others that this rank waits, and asks them the same.
    fn ask(&mut self) {
        self.asked = Some(Duration::ZERO);
        // A rank that hangs does not receive it, so it has to stay.
        let message: &'static u64 = Box::leak(Box::new(self.operation));
        for rank in (0..self.world.size()).filter(|&rank| rank != self.world.rank()) {
            let receiver = self.world.process_at_rank(rank);
            let request = receiver.immediate_send_with_tag(StaticScope, message, WAITING);
            // Nobody waits for the request: all ranks end, or its rank receives the message.
            std::mem::forget(request);
        }
    }

    /// How long after its question this rank reports: the lowest one that waits is the first.
    fn time_of_report(&self, waiting: &[bool]) -> Duration {
        let [least, most] = ANSWER_TIMES;
        let before = waiting[..self.index()].iter().filter(|&&waits| waits);
        self.watch.limit.clamp(least, most) + REPORT_TIME * before.count() as u32
    }

    /// Reports the ranks that do not answer, and ends all.
    fn end(&self, waiting: &[bool]) -> ! {
        let index = self.index();
        let silent = (0..waiting.len()).filter(|&rank| rank != index && !waiting[rank]);
        (self.watch.report)(&silent.collect::<Vec<_>>());
        self.world.abort(1)
    }
}
