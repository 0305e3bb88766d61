//! Work that takes some ranks longer than others. They meet at intervals meanwhile, so that a rank
//! that works is not mistaken for one that hangs.

use std::cell::Cell;
use std::time::Instant;

use super::ranks::Ranks;
use crate::activity;

impl Ranks {
    /// Does work that may take this rank longer than others, or that only some of them have. All
    /// ranks call it. After [`Ranks::watch`], the work may take any time, as long as its
    /// [activities](crate::activity::Activity) advance on this thread. It contains no operations
    /// with the other ranks.
    pub fn together<R>(&self, work: impl FnOnce() -> R) -> R {
        let Some(interval) = self.meeting_interval() else {
            return work();
        };
        let ranks = self.clone();
        let last = Cell::new(Instant::now());
        let meet = move || {
            if last.get().elapsed() >= interval {
                ranks.meet(false);
                last.set(Instant::now());
            }
        };
        let result = activity::with_observer(meet, || {
            #[cfg(feature = "fault-injection")]
            crate::faults::in_work();
            work()
        });
        while !self.meet(true) {}
        result
    }

    /// Waits for the other ranks. Returns whether all of them have done their work.
    fn meet(&self, is_done: bool) -> bool {
        let all = self.gather(&[u8::from(is_done)]);
        all.iter().all(|is_done| is_done[0] > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::activity::Activity;
    use crate::parallel::communicator::Watch;
    use crate::parallel::ranks::tests::on;

    fn watch(ranks: &Ranks, limit: Duration) {
        ranks.watch(Watch {
            limit,
            report: Box::new(|_| {}),
        });
    }

    /// The steps of each rank that works longer than another are not ahead of the meetings.
    #[test]
    fn ranks_meet_while_one_of_them_works() {
        const STEPS: usize = 5;
        let steps = [0, 1, 2].map(|_| AtomicUsize::new(0));
        let results = on(3, |ranks| {
            watch(&ranks, Duration::ZERO);
            let index = ranks.index();
            ranks.together(|| {
                let activity = Activity::start("work", None);
                for step in 1..=index * STEPS {
                    activity.advance(1);
                    steps[index].store(step, Ordering::SeqCst);
                    let of_other = steps[3 - index].load(Ordering::SeqCst);
                    let least = (step - 1).min((3 - index) * STEPS);
                    assert!(of_other >= least, "rank {index} in step {step}: {of_other}");
                }
                index
            })
        });
        assert_eq!(results, [0, 1, 2]);
    }
}
