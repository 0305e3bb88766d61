//! Tests of the judgement of rules.

use super::*;

/// Layers of one gate with these numbers of units and times.
fn tuning(times: &[(usize, f64, f64)]) -> Tuning {
    let times = times.iter().map(|&(hidden_size, window, steps)| {
        let size = LayerSize {
            cell: "elman",
            gates: 1,
            hidden_size,
            batch: 16,
        };
        ScheduleTimes {
            size,
            window,
            steps,
        }
    });
    Tuning::new(35, times.collect())
}

#[test]
fn a_better_limit_is_found() {
    let tuning = tuning(&[
        (128, 100.0, 200.0),
        (352, 300.0, 150.0),
        (512, 600.0, 200.0),
    ]);
    // The rule runs 352 units in one dispatch, which takes twice as long: a third of the layers.
    assert_eq!(tuning.rule.limit, 352 * 352);
    assert!((tuning.rule.loss - 1.0 / 3.0).abs() < 1e-12);
    let best = ScheduleRule {
        limit: 128 * 128,
        loss: 0.0,
    };
    assert_eq!(tuning.best, best);
}

#[test]
fn no_layer_in_one_dispatch_may_be_best() {
    let tuning = tuning(&[(128, 200.0, 100.0), (512, 600.0, 200.0)]);
    assert_eq!(tuning.best.limit, 0);
}

#[test]
fn noise_is_no_reason_for_another_limit() {
    let tuning = tuning(&[(128, 100.0, 200.0), (352, 100.5, 100.0)]);
    assert!(tuning.rule.loss > 0.0);
    assert_eq!(tuning.best, tuning.rule);
}
