//! Submissions limited by the work in them, estimated in operations.
//!
//! Windows resets a GPU whose submission takes 2 s, other systems after some seconds more, and the
//! screen stands still meanwhile.

/// The operations of a workgroup of a kernel without long loops: 256 invocations that access three
/// values each.
const WORKGROUP_OPERATIONS: u64 = 256 * 3 * OPERATIONS_PER_ACCESS;
/// Reading or writing a value of four bytes takes as long as this number of operations, on GPUs
/// with little of both: a fifth of a byte for each operation.
pub const OPERATIONS_PER_ACCESS: u64 = 20;

/// The operations of a dispatch of a kernel without long loops.
pub(super) fn simple_operations(workgroups: [u32; 3]) -> u64 {
    let groups = workgroups.map(u64::from).into_iter();
    groups.fold(WORKGROUP_OPERATIONS, u64::saturating_mul)
}

/// The operations recorded for the next submission, and their limit.
#[derive(Debug)]
pub(super) struct WorkLimit {
    limit: u64,
    recorded: u64,
}

impl WorkLimit {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, recorded: 0 }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether the dispatches recorded so far must be submitted before a dispatch of `operations`.
    pub(super) fn is_exceeded_by(&self, operations: u64) -> bool {
        self.recorded > 0 && self.recorded.saturating_add(operations) > self.limit
    }

    /// Adds a dispatch.
    pub(super) fn record(&mut self, operations: u64) {
        self.recorded = self.recorded.saturating_add(operations);
    }

    /// Starts a new submission.
    pub(super) fn reset(&mut self) {
        self.recorded = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operations of each submission of dispatches of these sizes.
    fn submissions(limit: u64, dispatches: &[u64]) -> Vec<u64> {
        let mut work = WorkLimit::new(limit);
        let mut submitted = Vec::new();
        for &operations in dispatches {
            if work.is_exceeded_by(operations) {
                submitted.push(work.recorded);
                work.reset();
            }
            work.record(operations);
        }
        submitted.push(work.recorded);
        submitted
    }

    #[test]
    fn submissions_end_before_the_limit() {
        assert_eq!(submissions(10, &[4, 4, 4, 2, 4, 1]), [8, 10, 1]);
        // A dispatch above the limit has a submission to itself.
        assert_eq!(submissions(10, &[1, 50, 1, 1]), [1, 50, 2]);
        assert_eq!(submissions(10, &[u64::MAX, u64::MAX]), [u64::MAX, u64::MAX]);
    }

    #[test]
    fn operations_of_a_dispatch_do_not_overflow() {
        assert_eq!(simple_operations([u32::MAX; 3]), u64::MAX);
        assert_eq!(simple_operations([1, 2, 3]), 6 * WORKGROUP_OPERATIONS);
    }
}
