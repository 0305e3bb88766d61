//! The division of a window among dispatches where no unit reads another one: an invocation walks
//! through all steps of one unit of one stream.

use crate::device::{OPERATIONS_PER_ACCESS, to_u32};
use crate::kernels::MAX_LOOP_ITERATIONS;

/// The steps of a window's dispatches in the order of time: one, unless an invocation would have
/// too many iterations.
pub(in crate::kernels) fn unit_dispatches(time_steps: usize) -> Vec<[u32; 2]> {
    (0..time_steps)
        .step_by(MAX_LOOP_ITERATIONS)
        .map(|first| [first, (first + MAX_LOOP_ITERATIONS).min(time_steps)].map(to_u32))
        .collect()
}

/// The operations of some steps: loads and stores of gates, cells, outputs and inputs.
pub(in crate::kernels) fn unit_operations(elements: usize, [first, end]: [u32; 2]) -> u64 {
    8 * elements as u64 * u64::from(end - first) * OPERATIONS_PER_ACCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_dispatch_up_to_the_limit_of_loops() {
        for time_steps in [1, 2, 35, 1000, MAX_LOOP_ITERATIONS] {
            assert_eq!(unit_dispatches(time_steps), [[0, to_u32(time_steps)]]);
        }
        let most = to_u32(MAX_LOOP_ITERATIONS);
        assert_eq!(
            unit_dispatches(MAX_LOOP_ITERATIONS + 1),
            [[0, most], [most, most + 1]]
        );
    }
}
