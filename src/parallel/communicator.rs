//! What connects ranks: [`Communicator`], and how long they wait for one another.

use std::fmt::Debug;
use std::time::Duration;

/// Ranks meet this many times in the time after which one counts as hung, ...
const MEETINGS: u32 = 4;
/// ... and at least at this interval.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// What transports the values of ranks. Every rank calls the same functions in the same order.
pub trait Communicator: Debug + Send + Sync {
    /// The index of this rank.
    fn index(&self) -> usize;

    /// The number of ranks.
    fn count(&self) -> usize;

    /// The name of the host, for messages and to tell hosts apart.
    fn host(&self) -> String;

    /// The bytes of every rank, in the order of ranks. Their numbers may differ.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// The bytes that the first rank has for this one. The other ranks give none.
    fn scatter(&self, parts: &[Vec<u8>]) -> Vec<u8>;

    /// Sends a part of the same length to every rank, in the order of ranks, and receives one from
    /// each.
    fn exchange(&self, sent: &[f32], received: &mut [f32]);

    /// The parts of all ranks, which have the same length, in the order of ranks.
    fn join(&self, part: &[f32], all: &mut [f32]);

    /// Ends all ranks if some do not come to an operation in time. Where ranks cannot hang, it does
    /// nothing.
    fn watch(&self, _watch: Watch) {}

    /// Lets this rank wait for any time, or no longer.
    fn pause_watch(&self, _is_paused: bool) {}

    /// Ends the processes of all ranks.
    fn abort(&self, code: u8) -> !;
}

/// How long a rank waits for others, and what it does then.
pub struct Watch {
    /// The longest time in an operation.
    pub limit: Duration,
    /// Reports the ranks that do not answer, or none if all do. All ranks end afterwards.
    pub report: Report,
}

/// Writes which ranks do not answer.
pub type Report = Box<dyn Fn(&[usize]) + Send + Sync>;

impl Watch {
    /// The time between two meetings of ranks that work while others wait.
    pub(super) fn meeting_interval(&self) -> Duration {
        (self.limit / MEETINGS).min(LONGEST_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meetings_are_more_frequent_than_the_limit() {
        let interval = |limit| {
            let report: Report = Box::new(|_| {});
            Watch { limit, report }.meeting_interval()
        };
        let seconds = Duration::from_secs;
        assert_eq!(interval(seconds(600)), seconds(10));
        assert_eq!(interval(seconds(2)), Duration::from_millis(500));
    }
}
