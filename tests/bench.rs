//! `elman bench`.

use elman::bench::{LayerSize, tune};
use elman::device::Device;

use super::command::Workbench;
use super::harness::{apply, gpu_test, test};

#[apply(test)]
fn mixed_precision_needs_f16() {
    Workbench::new()
        .run("bench --device cpu --precision mixed")
        .fails(1, &["--precision mixed", "CPU", "f16", "--precision full"]);
}

#[apply(test)]
fn tuning_needs_a_gpu() {
    Workbench::new()
        .run("bench --tune --device cpu")
        .fails(1, &["CPU", "only a GPU has a choice", "--device gpu"]);
}

#[apply(test)]
fn flags_without_effect_beside_tune_are_refused() {
    let workbench = Workbench::new();
    for flags in [
        "--config a",
        "--hidden 8 --vocab-size 20",
        "--training-only",
        "--precision mixed",
        "--seconds 1",
    ] {
        let flag = flags.split(' ').next().unwrap_or_default();
        workbench
            .run(&format!("bench --tune {flags}"))
            .fails(2, &["--tune", flag]);
    }
}

/// Both schedules of every cell are timed, and nothing is left on the device.
#[apply(gpu_test)]
fn tuning_times_both_schedules(gpu: &mut Device) {
    let sizes = [("elman", 1), ("gru", 3), ("lstm", 4)].map(|(cell, gates)| LayerSize {
        cell,
        gates,
        hidden_size: 5,
        batch: 3,
    });
    let before = gpu.allocated_bytes();
    let tuning = tune(gpu, &sizes, 2).expect("small layers fit");
    assert_eq!(tuning.times.len(), 3);
    for times in tuning.times {
        assert!(times.window.is_finite() && times.window > 0.0, "{times:?}");
        assert!(times.steps.is_finite() && times.steps > 0.0, "{times:?}");
    }
    assert_eq!(gpu.allocated_bytes(), before);
}
