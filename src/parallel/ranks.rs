//! The ranks as the rest of the program knows them.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytemuck::Pod;

use super::communicator::{Communicator, Watch};
use crate::error::{Error, Result};

/// The most values that a rank sends to another one at a time: few enough for a processor's cache,
/// and enough that the time of a message is that of its bytes.
const MESSAGE_VALUES: usize = 1 << 14;

/// The place of a rank among those of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The index of the rank among them.
    pub index: usize,
    /// The number of ranks on the host.
    pub count: usize,
}

impl Place {
    /// Of a rank that is alone on its host.
    pub const ALONE: Self = Self { index: 0, count: 1 };
}

/// The ranks that train a model, seen from one of them. By default this is the only one.
#[derive(Debug, Clone, Default)]
pub struct Ranks(Option<Arc<Connected>>);

/// Ranks with others.
#[derive(Debug)]
struct Connected {
    communicator: Box<dyn Communicator>,
    hosts: Vec<String>,
    /// Whether all ranks know that one of them has failed.
    has_failed: AtomicBool,
    /// Nanoseconds in operations with the other ranks.
    time: AtomicU64,
    /// The time between two meetings of ranks that work, once they are watched.
    meeting_interval: OnceLock<Duration>,
}

impl Ranks {
    /// The ranks that a communicator connects.
    pub fn new(communicator: Box<dyn Communicator>) -> Self {
        if communicator.count() == 1 {
            return Self::default();
        }
        let names = communicator.gather(communicator.host().as_bytes());
        let name = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self(Some(Arc::new(Connected {
            communicator,
            hosts: names.into_iter().map(name).collect(),
            has_failed: AtomicBool::new(false),
            time: AtomicU64::new(0),
            meeting_interval: OnceLock::new(),
        })))
    }

    /// The index of this rank.
    pub fn index(&self) -> usize {
        self.communicator().map_or(0, Communicator::index)
    }

    /// The number of ranks.
    pub fn count(&self) -> usize {
        self.communicator().map_or(1, Communicator::count)
    }

    /// Whether this is the rank that writes files and messages.
    pub fn is_first(&self) -> bool {
        self.index() == 0
    }

    /// Whether there is only this rank.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The place of this rank on its host.
    pub fn place(&self) -> Place {
        let Some(connected) = &self.0 else {
            return Place::ALONE;
        };
        let index = self.index();
        let is_here = |host: &&String| **host == connected.hosts[index];
        Place {
            index: connected.hosts[..index].iter().filter(is_here).count(),
            count: connected.hosts.iter().filter(is_here).count(),
        }
    }

    /// The name of a rank for messages: its index and its host.
    pub fn name(&self, rank: usize) -> String {
        match &self.0 {
            None => "this process".to_owned(),
            Some(connected) => format!("rank {rank} on {}", connected.hosts[rank]),
        }
    }

    /// The seconds that this rank has spent in sums and lists, with its waits for other ranks.
    pub fn communication_seconds(&self) -> f64 {
        let time = |connected: &Arc<Connected>| connected.time.load(Ordering::Relaxed);
        self.0.as_ref().map_or(0.0, |it| time(it) as f64 / 1e9)
    }

    /// Does something with the other ranks, and adds its time.
    fn communicate<R>(&self, work: impl FnOnce(&dyn Communicator) -> R) -> Option<R> {
        let connected = self.0.as_ref()?;
        let start = Instant::now();
        let result = work(&*connected.communicator);
        let time = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        connected.time.fetch_add(time, Ordering::Relaxed);
        Some(result)
    }

    fn communicator(&self) -> Option<&dyn Communicator> {
        self.0.as_ref().map(|connected| &*connected.communicator)
    }

    /// The streams of this rank among all of them, whose number is the field `field`: every rank
    /// has as many.
    ///
    /// # Errors
    /// If the ranks cannot have as many.
    pub fn streams(&self, field: &str, all: usize) -> Result<Range<usize>> {
        let count = self.count();
        if !all.is_multiple_of(count) || all == 0 {
            let below = all / count * count;
            let fitting = match below {
                0 => format!("`{field} = {count}`"),
                _ => format!("`{field} = {below}` or `{field} = {}`", below + count),
            };
            return Err(Error::config(
                field,
                all,
                format!("{count} ranks divide the streams, and each has as many as the others"),
                format!("Use {fitting}, or another number of ranks"),
            ));
        }
        let own = all / count;
        Ok(self.index() * own..(self.index() + 1) * own)
    }

    /// Replaces the values by their sums over all ranks. A sum has the terms in the order of ranks.
    pub fn sum(&self, values: &mut [f32]) {
        self.communicate(|communicator| sum_all(communicator, values));
    }

    /// The values of every rank, in the order of ranks.
    pub fn gather<T: Pod>(&self, values: &[T]) -> Vec<Vec<T>> {
        let gathered = self.communicate(|communicator| {
            let all = communicator.gather(bytemuck::cast_slice(values));
            let lists = all.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes));
            lists.collect()
        });
        gathered.unwrap_or_else(|| vec![values.to_vec()])
    }

    /// The values that the first rank has for this one; none where it has fewer parts than ranks.
    /// The parts of other ranks are ignored.
    pub fn scatter<T: Pod>(&self, parts: &[Vec<T>]) -> Vec<T> {
        let Some(communicator) = self.communicator() else {
            return parts.first().cloned().unwrap_or_default();
        };
        let bytes = |part: &Vec<T>| bytemuck::cast_slice(part).to_vec();
        let mut scattered: Vec<Vec<u8>> = parts.iter().map(bytes).collect();
        scattered.resize(self.count(), Vec::new());
        bytemuck::pod_collect_to_vec(&communicator.scatter(&scattered))
    }

    /// The value of the first rank.
    pub fn of_first<T: Pod>(&self, value: T) -> T {
        if self.is_alone() {
            return value;
        }
        let sent: &[T] = match self.is_first() {
            true => &[value],
            false => &[],
        };
        self.gather(sent)[0][0]
    }

    /// The result of this rank, unless another one has failed. The first rank that has failed
    /// returns its error; the others return [`Error::OtherRank`].
    ///
    /// # Errors
    /// If a rank has failed.
    pub fn agree<T>(&self, result: Result<T>) -> Result<T> {
        let Some(connected) = &self.0 else {
            return result;
        };
        let own = result.as_ref().err().map(Error::is_usage);
        let all = self.gather(&[own.map_or(0_u8, |is_usage| 1 + u8::from(is_usage))]);
        let Some(rank) = all.iter().position(|state| state[0] > 0) else {
            return result;
        };
        connected.has_failed.store(true, Ordering::SeqCst);
        if rank == self.index() {
            return result;
        }
        Err(Error::OtherRank {
            rank: self.name(rank),
            is_usage: all[rank][0] == 2,
        })
    }

    /// Ends all ranks if some do not answer in time, from now on. All ranks have the same limit.
    pub fn watch(&self, watch: Watch) {
        if let Some(connected) = &self.0 {
            let interval = &connected.meeting_interval;
            interval.get_or_init(|| watch.meeting_interval());
            connected.communicator.watch(watch);
        }
    }

    /// An operation to which the first rank may come after any time, as after input. Once it has
    /// come, ranks that do not are noticed.
    pub fn unwatched<R>(&self, operation: impl FnOnce(&Self) -> R) -> R {
        let pause = |is_paused| {
            if let Some(communicator) = self.communicator().filter(|_| !self.is_first()) {
                communicator.pause_watch(is_paused);
            }
        };
        pause(true);
        let result = operation(self);
        pause(false);
        result
    }

    /// The time between two meetings of ranks that work; none unless they are watched.
    pub(super) fn meeting_interval(&self) -> Option<Duration> {
        self.0.as_ref()?.meeting_interval.get().copied()
    }

    /// Ends all ranks after an error of which the others do not know.
    pub(super) fn abort_unless_known(&self, code: u8) {
        if let Some(connected) = &self.0
            && !connected.has_failed.load(Ordering::SeqCst)
        {
            connected.communicator.abort(code);
        }
    }
}

/// Sums values, a chunk at a time.
fn sum_all(communicator: &dyn Communicator, values: &mut [f32]) {
    let count = communicator.count();
    let chunk = values.len().div_ceil(count).min(MESSAGE_VALUES) * count;
    let mut received = vec![0.0; chunk];
    let mut chunks = values.chunks_exact_mut(chunk.max(1));
    for values in &mut chunks {
        sum_chunk(communicator, values, &mut received);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let mut values = rest.to_vec();
        values.resize(rest.len().next_multiple_of(count), 0.0);
        sum_chunk(communicator, &mut values, &mut received);
        rest.copy_from_slice(&values[..rest.len()]);
    }
}

/// Sums the values of a chunk, whose number the ranks divide: every rank sums a part, and all
/// receive all parts. The order of the terms is fixed, which `MPI_Allreduce` does not promise.
fn sum_chunk(communicator: &dyn Communicator, values: &mut [f32], received: &mut [f32]) {
    let received = &mut received[..values.len()];
    communicator.exchange(values, received);
    let (sums, others) = received.split_at_mut(values.len() / communicator.count());
    for terms in others.chunks_exact(sums.len()) {
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
    }
    communicator.join(sums, values);
}

#[cfg(test)]
pub(super) mod tests {
    use std::thread::ScopedJoinHandle;

    use super::*;

    /// What `work` returns on each of `count` ranks.
    pub(in crate::parallel) fn on<R: Send>(
        count: usize,
        work: impl Fn(Ranks) -> R + Sync,
    ) -> Vec<R> {
        let work = &work;
        std::thread::scope(|scope| {
            let ranks = Ranks::in_threads(count).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
            let results = threads.into_iter().map(ScopedJoinHandle::join);
            results.map(|result| result.expect("no panic")).collect()
        })
    }

    #[test]
    fn sums_have_the_order_of_ranks() {
        for count in [1, 2, 3, 5] {
            for length in [0, 1, 2, 7, count * MESSAGE_VALUES, 6 * MESSAGE_VALUES + 1] {
                let value = |rank: usize, i: usize| 1.0 / (1 + rank * 7 + i % 1000) as f32;
                let sums = on(count, |ranks| {
                    let mut values: Vec<f32> =
                        (0..length).map(|i| value(ranks.index(), i)).collect();
                    ranks.sum(&mut values);
                    values
                });
                for sum in sums {
                    assert_eq!(sum.len(), length);
                    for (i, sum) in sum.into_iter().enumerate() {
                        let terms = (1..count).map(|rank| value(rank, i));
                        let want = terms.fold(value(0, i), |sum, term| sum + term);
                        assert_eq!(sum.to_bits(), want.to_bits(), "{count} {length} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn values_of_all_ranks_come_in_their_order() {
        let want: Vec<Vec<u32>> = vec![vec![], vec![1], vec![2, 2]];
        let lists = on(3, |ranks| {
            ranks.gather(&vec![ranks.index() as u32; ranks.index()])
        });
        assert_eq!(lists, [want.clone(), want.clone(), want]);
        assert_eq!(on(3, |ranks| ranks.of_first(5 + ranks.index())), [5, 5, 5]);
        assert_eq!(Ranks::default().of_first(7), 7);
        let part = |rank: u32| vec![rank; rank as usize];
        let scattered = on(3, |ranks| match ranks.is_first() {
            true => ranks.scatter(&[part(2), part(1)]),
            false => ranks.scatter(&[part(7)]),
        });
        assert_eq!(scattered, [part(2), part(1), vec![]]);
        assert_eq!(Ranks::default().scatter(&[part(3)]), part(3));
        let places = on(2, |ranks| ranks.place());
        let [first, second] = [0, 1].map(|index| Place { index, count: 2 });
        assert_eq!(places, [first, second]);
    }

    #[test]
    fn all_ranks_know_which_one_has_failed() {
        let results = on(3, |ranks| {
            let own = match ranks.index() {
                0 => Ok(()),
                index => Err(Error::usage(
                    format!("--flag {index}"),
                    "wrong",
                    "Remove it",
                )),
            };
            ranks.agree(own).expect_err("a rank has failed")
        });
        let messages: Vec<String> = results.iter().map(ToString::to_string).collect();
        assert!(messages[1].contains("--flag 1"), "{messages:?}");
        for other in [0, 2] {
            assert!(messages[other].contains("rank 1 on"), "{messages:?}");
            assert!(results[other].is_usage());
        }
        assert_eq!(on(2, |ranks| ranks.agree(Ok(1)).is_ok()), [true, true]);
    }

    #[test]
    fn streams_are_divided_without_a_rest() {
        let [first, second] =
            [0, 1].map(|index| on(2, |ranks| ranks.streams("batch", 6).ok())[index].clone());
        assert_eq!((first, second), (Some(0..3), Some(3..6)));
        let message = on(4, |ranks| {
            ranks.streams("batch", 6).map_err(|error| error.to_string())
        })[0]
            .clone();
        let message = message.expect_err("6 streams are not divisible by 4");
        assert!(message.contains("`batch = 4` or `batch = 8`"), "{message}");
        let message = on(4, |ranks| {
            ranks.streams("batch", 3).map_err(|error| error.to_string())
        })[0]
            .clone();
        assert!(message.expect_err("too few").contains("Use `batch = 4`,"));
    }
}
