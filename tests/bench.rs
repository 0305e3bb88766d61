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

/// Flags of cells, with a kernel that runs only with them, or none.
const VARIANTS: [(&str, &str, Option<&str>); 3] = [
    (
        "layer_norm",
        "--cell lstm --layer-norm",
        Some("normalized_lstm"),
    ),
    ("cap_input_gate", "--cell mogrifier --cap-input-gate", None),
    ("residual", "--cell gru --residual", Some("add")),
];

#[apply(test)]
fn variants_of_cells_are_measured() {
    let workbench = Workbench::new();
    let bench = "bench --device cpu --hidden 8 --vocab-size 20 --batch 2 --bptt 3 --embedding \
                 --seconds 0.01 --product 16 --training-only --json";
    let rates = |flags: &str| {
        let run = workbench.run(&format!("{bench} {flags}")).succeeds();
        run.json()["rates"][0].clone()
    };
    for (name, flags, kernel) in VARIANTS {
        let cell = flags.rsplit_once(' ').expect("several flags").0;
        for (flags, is_on) in [(flags, true), (cell, false)] {
            let rates = rates(flags);
            assert_eq!(rates["configuration"][name], is_on, "{flags}");
            let kernels = rates["kernels"].as_object().expect("kernels");
            let has = |kernel: &str| kernels.contains_key(kernel);
            assert!(
                kernel.is_none_or(|kernel| has(kernel) == is_on),
                "{flags}: {kernels:?}"
            );
        }
    }
    workbench
        .run(&format!("{bench} --cell gru --layer-norm"))
        .fails(2, &["--layer-norm", "--cell lstm"]);
    workbench
        .run(&format!("{bench} --cell gru --cap-input-gate"))
        .fails(2, &["--cap-input-gate", "--cell"]);
    workbench
        .run("bench --device cpu --config a --layer-norm")
        .fails(2, &["--layer-norm", "--config"]);
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
