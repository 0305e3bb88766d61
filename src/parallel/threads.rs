//! Ranks in threads of one process: the same collective operations without MPI, for tests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::communicator::Communicator;
use super::ranks::Ranks;

/// The time after which a rank that waits for another one gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the ranks share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Calls of [`Shared::wait_for_all`] that are complete, and ranks in the present one.
    rounds: usize,
    waiting: usize,
    /// What each rank sends.
    sent: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct ThreadCommunicator {
    index: usize,
    count: usize,
    shared: Arc<Shared>,
}

impl Ranks {
    /// `count` ranks in this process, each for one thread, without MPI.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn in_threads(count: usize) -> Vec<Self> {
        assert!(count > 0, "no ranks");
        let shared = Arc::new(Shared::default());
        shared.lock().sent = vec![Vec::new(); count];
        std::thread::scope(|scope| {
            let start = |index| {
                let shared = shared.clone();
                let communicator = ThreadCommunicator {
                    index,
                    count,
                    shared,
                };
                // Ranks exchange the names of their hosts.
                scope.spawn(move || Ranks::new(Box::new(communicator)))
            };
            let starting: Vec<_> = (0..count).map(start).collect();
            let started = starting.into_iter().map(ScopedJoinHandle::join);
            started.map(|rank| rank.expect("a rank starts")).collect()
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all ranks are here.
    fn wait_for_all(&self, count: usize) {
        let mut state = self.lock();
        let round = state.rounds;
        state.waiting += 1;
        if state.waiting == count {
            state.waiting = 0;
            state.rounds += 1;
            self.changed.notify_all();
            return;
        }
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.rounds == round);
        let (state, time) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!time.timed_out(), "a rank waits for one that does not come");
    }
}

impl Communicator for ThreadCommunicator {
    fn index(&self) -> usize {
        self.index
    }

    fn count(&self) -> usize {
        self.count
    }

    fn host(&self) -> String {
        "this host".to_owned()
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.shared.lock().sent[self.index] = bytes.to_vec();
        self.shared.wait_for_all(self.count);
        let all = self.shared.lock().sent.clone();
        self.shared.wait_for_all(self.count);
        all
    }

    fn scatter(&self, parts: &[Vec<u8>]) -> Vec<u8> {
        if self.index == 0 {
            self.shared.lock().sent = parts.to_vec();
        }
        self.shared.wait_for_all(self.count);
        let own = self.shared.lock().sent[self.index].clone();
        self.shared.wait_for_all(self.count);
        own
    }

    fn exchange(&self, sent: &[f32], received: &mut [f32]) {
        let length = sent.len() / self.count;
        let own = self.index * length..(self.index + 1) * length;
        for (part, bytes) in self.gather(bytemuck::cast_slice(sent)).iter().enumerate() {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            received[part * length..(part + 1) * length].copy_from_slice(&values[own.clone()]);
        }
    }

    fn join(&self, part: &[f32], all: &mut [f32]) {
        let parts = self.gather(bytemuck::cast_slice(part)).concat();
        all.copy_from_slice(&bytemuck::pod_collect_to_vec::<u8, f32>(&parts));
    }

    fn abort(&self, code: u8) -> ! {
        panic!("rank {} ends all ranks with code {code}", self.index)
    }
}
