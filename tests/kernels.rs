//! Every case of every kernel: the CPU against the equations in f64, and a GPU against the CPU.

use std::collections::BTreeSet;

use elman::check::Extent;
use elman::device::Device;
use elman::kernels::cases::{self, Case, Outcome};
use libtest_mimic::Trial;

use super::compare::{Tolerance, assert_close};
use super::environment::slow_tests;
use super::expected;
use super::harness::{apply, gpu_trials, ignore_unless, test, trial, trials};

/// CPU threads: one, an even split, and an uneven one.
const THREADS: [usize; 3] = [1, 2, 3];

#[apply(trials)]
fn every_case() -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in cases::all() {
        let name = format!("kernels::{}::{}", case.kernel, case.label());
        let on_cpu = case.clone();
        trials.push(trial(format!("{name}::cpu"), move || {
            cpu_against_reference(&on_cpu);
        }));
        let runs = !case.is_slow() || slow_tests();
        let on_gpu = gpu_trials(&name, move |gpu| gpu_against_cpu(&case, gpu));
        trials.extend(ignore_unless(runs, on_gpu));
    }
    trials
}

/// Runs the case and demands that nothing was written out of bounds.
fn run(case: &Case, device: &mut Device) -> Outcome {
    let outcome = case
        .run(device)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name()));
    assert!(
        outcome.damage.is_empty(),
        "{} on {}: {:?}",
        case.name(),
        device.name(),
        outcome.damage
    );
    outcome
}

fn cpu_against_reference(case: &Case) {
    for threads in THREADS {
        let got = run(case, &mut Device::cpu(threads));
        let expectation = expected::of(case);
        let want = expectation.outputs(&got);
        assert_eq!(
            got.outputs.len(),
            want.len(),
            "{}: number of outputs",
            case.name()
        );
        for (name, want) in want {
            let what = format!("{}, {threads} threads: {name}", case.name());
            let output = got
                .output(name)
                .unwrap_or_else(|| panic!("{what} is missing"));
            assert_close(&what, output, &want, expectation.tolerance(name));
        }
    }
}

fn gpu_against_cpu(case: &Case, gpu: &mut Device) {
    let (got, want) = (run(case, gpu), run(case, &mut Device::cpu(1)));
    assert_eq!(
        got.outputs.len(),
        want.outputs.len(),
        "{}: number of outputs",
        case.name()
    );
    for (name, want) in &want.outputs {
        let what = format!("{} on {}: {name}", case.name(), gpu.name());
        let output = got
            .output(name)
            .unwrap_or_else(|| panic!("{what} is missing"));
        let cases::Tolerance { absolute, relative } = case.tolerance(name);
        assert_close(&what, output, want, Tolerance { absolute, relative });
    }
}

/// A name identifies a case.
#[apply(test)]
fn case_names_are_distinct() {
    let names: BTreeSet<_> = cases::all().iter().map(Case::name).collect();
    assert_eq!(names.len(), cases::all().len());
}

/// The seed determines the inputs, and the number of threads the outputs, bit by bit.
#[apply(test)]
fn cases_repeat() {
    for case in cases::all() {
        let [first, second] = [(); 2].map(|()| run(&case, &mut Device::cpu(2)));
        assert!(
            first.inputs == second.inputs && first.outputs == second.outputs,
            "{}",
            case.name()
        );
    }
}

/// `elman check`: every case is reported, and two CPU devices agree.
#[apply(test)]
fn check_passes_on_the_cpu() {
    let mut lines = Vec::new();
    let (mut one, mut three) = (Device::cpu(1), Device::cpu(3));
    let summary = elman::check::check(&mut one, &mut three, Extent::Usual, &mut |report| {
        lines.push(report.to_string());
    });
    let summary = summary.expect("the CPU runs everything");
    assert!(summary.passed(), "{summary}: {lines:#?}");
    assert_eq!(summary.cases, lines.len());
    let of_kernels = cases::all().iter().filter(|case| !case.is_slow()).count();
    let steps = lines.iter().filter(|line| line.contains("training step"));
    assert_eq!(summary.cases, of_kernels + steps.count());
    assert!(summary.cases > of_kernels, "no training steps");
    assert!(
        lines.iter().all(|line| line.starts_with("ok")),
        "{lines:#?}"
    );
}
