//! What a run remembers of its saves, for `saving`.

use std::time::{Duration, Instant};

use super::last_checkpoint::LastCheckpoint;
use super::safety_flags::SaveInterval;
use crate::error::Error;

/// The time after which saving is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// When a run is saved, and how the last attempt ended.
pub(super) struct Saving {
    /// The time of the last attempt.
    pub(super) attempted_at: Instant,
    /// The updates before the last attempt.
    pub(super) attempted_updates: u32,
    /// Why the last attempt failed, if it did.
    pub(super) failure: Option<Error>,
    /// The last checkpoint, if there is one.
    pub(super) last: LastCheckpoint,
}

impl Saving {
    /// Of a run that has made this many updates.
    pub(super) fn new(updates: u32, last: LastCheckpoint) -> Self {
        Self {
            attempted_at: Instant::now(),
            attempted_updates: updates,
            failure: None,
            last,
        }
    }

    /// Whether a run with this many updates is to be saved during an epoch, at this interval if
    /// there is one.
    pub(super) fn is_due(&self, interval: Option<SaveInterval>, updates: u32) -> bool {
        let elapsed = self.attempted_at.elapsed();
        if self.failure.is_some() {
            return elapsed >= RETRY_INTERVAL;
        }
        match interval {
            None => false,
            Some(SaveInterval::Time(time)) => elapsed >= time,
            // After a rollback there are fewer updates than before.
            Some(SaveInterval::Updates(count)) => {
                updates.saturating_sub(self.attempted_updates) >= count
            }
        }
    }
}
