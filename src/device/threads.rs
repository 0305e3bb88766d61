//! The threads on which a CPU device runs its kernels.

use std::sync::{Arc, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// A thread pool of a fixed size, started on first use.
///
/// Kernels split their work by the size alone and never by the pool they run in, so results are
/// bit-identical in every pool. If the system does not grant the threads, work runs on the calling
/// thread and in its pool.
#[derive(Debug, Clone)]
pub(super) struct Threads {
    count: usize,
    pool: Arc<OnceLock<Option<ThreadPool>>>,
}

impl Threads {
    /// A pool of `count` threads, at least 1.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            pool: Arc::default(),
        }
    }

    /// The number of threads.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` on a thread of the pool and waits for it.
    ///
    /// A caller that is already on a thread of this pool, or of another pool of the same size, runs
    /// `work` directly: entering a pool from outside takes several microseconds, more than a small
    /// kernel. Loops over many kernels should therefore be installed as a whole.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if rayon::current_thread_index().is_some() && rayon::current_num_threads() == self.count {
            return work();
        }
        let start = || {
            let builder = ThreadPoolBuilder::new().num_threads(self.count);
            builder.build().ok()
        };
        match self.pool.get_or_init(start) {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_different_sizes_work_side_by_side() {
        let outer = Threads::new(2);
        let inner = Threads::new(3);
        let counts = outer.install(|| {
            [
                rayon::current_num_threads(),
                inner.install(rayon::current_num_threads),
            ]
        });
        assert_eq!(counts, [2, 3]);
        assert_eq!(outer.clone().install(rayon::current_num_threads), 2);
    }

    #[test]
    fn a_pool_of_the_same_size_is_used_instead() {
        let inner = Threads::new(2);
        let count = Threads::new(2).install(|| inner.install(rayon::current_num_threads));
        assert_eq!(count, 2);
        assert!(inner.pool.get().is_none(), "no second pool is started");
    }
}
