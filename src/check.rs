//! Comparison of every kernel and of whole training steps on a GPU with the same on the CPU, for
//! `elman check`.
//!
//! In: two devices. Out: a [`CaseReport`] for each of [`cases::all`] and each training step. A case
//! fails if a value is not finite, if an error exceeds its tolerance, or if a kernel writes outside
//! its outputs.

mod step_cases;
mod steps;

use std::fmt;

use self::step_cases::{CASES, StepCase};
use crate::activity::Activity;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernels::cases::{self, Case, Outcome, Tolerance};

/// The result of one case.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The kernel's name, or "training step".
    pub kernel: &'static str,
    /// Sizes and options of the case.
    pub label: String,
    /// The value with the largest error relative to its tolerance.
    pub worst: Option<Worst>,
    /// Descriptions of the failures; empty if the case passed.
    pub failures: Vec<String>,
}

/// The worst value of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    /// The output it belongs to.
    pub output: String,
    /// Its index in the output.
    pub index: usize,
    /// The GPU's value.
    pub got: f32,
    /// The CPU's value.
    pub want: f32,
    /// The absolute difference between them.
    pub error: f64,
    /// The largest difference allowed.
    pub allowed: f64,
    /// The tolerance from which `allowed` is computed.
    pub tolerance: Tolerance,
}

/// The number of cases and of failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases that ran.
    pub cases: usize,
    /// Cases that failed.
    pub failed: usize,
}

impl CaseReport {
    /// Whether the case passed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl Summary {
    /// Whether at least one case ran and none failed.
    pub fn passed(&self) -> bool {
        self.cases > 0 && self.failed == 0
    }
}

/// Which cases to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those that take less than a minute together on a software adapter.
    Usual,
    /// Also those with large sizes.
    All,
}

/// Runs the cases on both devices and passes each report to `report`.
///
/// # Errors
/// If a device fails or is too small for a case. A wrong result is reported, not an error.
pub fn check(
    cpu: &mut Device,
    gpu: &mut Device,
    extent: Extent,
    report: &mut dyn FnMut(&CaseReport),
) -> Result<Summary> {
    let includes = |is_slow: bool| extent == Extent::All || !is_slow;
    let mut kernels = cases::all();
    kernels.retain(|case| includes(case.is_slow()));
    let mut summary = check_cases(kernels, cpu, gpu, report)?;
    let steps: Vec<_> = CASES.iter().filter(|case| includes(case.is_slow)).collect();
    let activity = Activity::start("comparing training steps", Some(steps.len() as u64));
    for case in steps {
        let (want, got) = (case.run(cpu)?, case.run(gpu)?);
        let compared = compare_steps(case, &got, &want);
        summary.cases += 1;
        summary.failed += usize::from(!compared.passed());
        report(&compared);
        activity.advance(1);
    }
    Ok(summary)
}

/// Compares the results of training steps with the expected ones.
fn compare_steps(case: &StepCase, got: &steps::Outputs, want: &steps::Outputs) -> CaseReport {
    let mut report = CaseReport {
        kernel: "training step",
        label: case.to_string(),
        worst: None,
        failures: Vec::new(),
    };
    let lengths = |outputs: &steps::Outputs| {
        outputs
            .iter()
            .map(|(_, values)| values.len())
            .collect::<Vec<_>>()
    };
    if lengths(got) != lengths(want) {
        report
            .failures
            .push("the two devices have different numbers of values".into());
    }
    for ((output, got), (_, want)) in got.iter().zip(want) {
        compare_output(&mut report, output, got, want, case.tolerance(want));
    }
    report
}

/// Checks a GPU's matrix products of mixed precision before a run relies on them: cooperative
/// matrices are experimental in wgpu, and drivers differ.
///
/// # Errors
/// If a product is wrong or the device fails.
pub fn check_mixed_products(gpu: &mut Device) -> Result<()> {
    let mixed = cases::all()
        .into_iter()
        .filter(|case| case.kernel == "matmul_cooperative")
        .collect();
    let mut wrong = None;
    check_cases(mixed, &mut Device::cpu(1), gpu, &mut |report| {
        if !report.passed() {
            wrong.get_or_insert_with(|| report.to_string());
        }
    })?;
    wrong.map_or(Ok(()), |report| {
        Err(Error::invalid(
            "`precision = mixed`",
            format!("{} computes its products wrongly ({report})", gpu.name()),
            "Use `precision = full`; `elman check` reports details",
        ))
    })
}

fn check_cases(
    cases: Vec<Case>,
    cpu: &mut Device,
    gpu: &mut Device,
    report: &mut dyn FnMut(&CaseReport),
) -> Result<Summary> {
    let mut summary = Summary::default();
    let activity = Activity::start("comparing kernels", Some(cases.len() as u64));
    for case in cases {
        let want = case.run(cpu)?;
        let got = case.run(gpu)?;
        let compared = compare(&case, &got, &want);
        summary.cases += 1;
        summary.failed += usize::from(!compared.passed());
        report(&compared);
        activity.advance(1);
    }
    Ok(summary)
}

/// Compares a case's outcome with the expected one.
pub fn compare(case: &Case, got: &Outcome, want: &Outcome) -> CaseReport {
    let mut report = CaseReport {
        kernel: case.kernel,
        label: case.label(),
        worst: None,
        failures: Vec::new(),
    };
    for (side, outcome) in [("", got), ("on the CPU ", want)] {
        report.failures.extend(
            outcome
                .damage
                .iter()
                .map(|damage| format!("{side}{damage}")),
        );
    }
    let names = |outcome: &Outcome| {
        outcome
            .outputs
            .iter()
            .map(|(name, values)| (*name, values.len()))
            .collect::<Vec<_>>()
    };
    if got.inputs != want.inputs || names(got) != names(want) || want.outputs.is_empty() {
        report
            .failures
            .push("the two outcomes are not of the same case".into());
        return report;
    }
    for ((output, got), (_, want)) in got.outputs.iter().zip(&want.outputs) {
        compare_output(&mut report, output, got, want, case.tolerance(output));
    }
    report
}

fn compare_output(
    report: &mut CaseReport,
    output: &str,
    got: &[f32],
    want: &[f32],
    tolerance: Tolerance,
) {
    let mut wrong = 0;
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - f64::from(want)).abs();
        let allowed = tolerance.absolute + tolerance.relative * f64::from(want).abs();
        let finite = got.is_finite() && want.is_finite();
        // Written so that NaN is wrong.
        let right = finite && error <= allowed;
        wrong += usize::from(!right);
        let worst = Worst {
            output: String::new(),
            index,
            got,
            want,
            error,
            allowed,
            tolerance,
        };
        if report
            .worst
            .as_ref()
            .is_none_or(|former| worst.excess() > former.excess())
        {
            report.worst = Some(Worst {
                output: output.to_owned(),
                ..worst
            });
        }
    }
    if wrong > 0 {
        report.failures.push(format!(
            "{output}: {wrong} of {} values are wrong",
            got.len()
        ));
    }
}

impl Worst {
    /// The error divided by the allowed error. A value above 1 is wrong; it is infinite if a value
    /// is not finite.
    pub fn excess(&self) -> f64 {
        match self.error {
            0.0 if self.got.is_finite() => 0.0,
            error if error.is_finite() => error / self.allowed,
            _ => f64::INFINITY,
        }
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            output,
            index,
            got,
            want,
            error,
            allowed,
            ..
        } = self;
        write!(
            f,
            "{output}[{index}] = {got:e}, on the CPU {want:e}: error {error:.1e}, allowed \
             {allowed:.1e}"
        )
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            label,
            worst,
            failures,
        } = self;
        write!(
            f,
            "{} {kernel}: {label}",
            if self.passed() { "ok    " } else { "FAILED" }
        )?;
        match worst {
            Some(worst) if self.passed() => write!(
                f,
                "; error {:.1e} of {:.1e} allowed",
                worst.error, worst.allowed
            ),
            Some(worst) => write!(f, "; {}; worst {worst}", failures.join("; ")),
            None => write!(f, "; {}", failures.join("; ")),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed {
            0 => write!(f, "all {} cases agree", self.cases),
            failed => write!(f, "{failed} of {} cases FAILED", self.cases),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case with a tolerance of a few units in the last place, and its outcome.
    fn run() -> (Case, Outcome) {
        let case = cases::all()
            .into_iter()
            .find(|case| case.kernel == "sgd")
            .expect("sgd has a case");
        let outcome = case
            .run(&mut Device::cpu(1))
            .expect("the CPU runs everything");
        (case, outcome)
    }

    #[test]
    fn an_outcome_agrees_with_itself() {
        let (case, outcome) = run();
        let report = compare(&case, &outcome, &outcome);
        assert!(report.passed() && report.worst.is_some_and(|worst| worst.excess() == 0.0));
    }

    #[test]
    fn wrong_values_fail() {
        let (case, want) = run();
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9, 0.0] {
            let mut got = want.clone();
            let last = got.outputs[0].1.len() - 1;
            got.outputs[0].1[last] = wrong;
            for (got, want) in [(&got, &want), (&want, &got)] {
                let report = compare(&case, got, want);
                assert!(!report.passed(), "{wrong}");
                assert!(
                    report
                        .worst
                        .as_ref()
                        .is_some_and(|worst| worst.index == last && worst.excess() > 1.0),
                    "{report}"
                );
            }
            assert!(
                wrong.is_finite() || !compare(&case, &got, &got).passed(),
                "{wrong} on both sides"
            );
        }
    }

    #[test]
    fn every_wrong_output_of_a_training_step_fails() {
        let case = &CASES[3];
        let want = case.run(&mut Device::cpu(1)).expect("a small model fits");
        let report = |got: &steps::Outputs| compare_steps(case, got, &want);
        assert!(report(&want).passed());
        for wrong in 0..want.len() {
            let mut got = want.clone();
            let largest = |a: &&mut f32, b: &&mut f32| a.abs().total_cmp(&b.abs());
            let values = got[wrong].1.iter_mut();
            *values.max_by(largest).expect("an output has values") *= 1.001;
            let report = report(&got);
            let worst = report.worst.as_ref().map(|worst| worst.output.as_str());
            assert!(
                !report.passed() && worst == Some(&want[wrong].0),
                "{report}"
            );
        }
    }

    #[test]
    fn damage_and_missing_values_fail() {
        let (case, want) = run();
        let mut damaged = want.clone();
        damaged
            .damage
            .push("parameter: 1 was written 1 after its end".into());
        assert!(!compare(&case, &damaged, &want).passed());
        let mut shorter = want.clone();
        shorter.outputs[0].1.pop();
        assert!(!compare(&case, &shorter, &want).passed());
        assert!(!compare(&case, &Outcome::default(), &Outcome::default()).passed());
        assert!(!Summary::default().passed(), "nothing was checked");
    }
}
