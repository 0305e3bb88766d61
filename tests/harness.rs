//! Registration of tests. A test is a function with a marker above it:
//!
//! - `#[apply(test)] fn name()` is the trial `module::name`.
//! - `#[apply(gpu_test)] fn name(gpu: &mut Device)` is one trial for each way to open the GPU:
//!   `module::name::gpu_immediates` and so on.
//! - `#[apply(device_test)] fn name(device: &mut Device)` adds the CPU with one and two threads.
//! - `#[apply(trials)] fn name() -> Vec<Trial>` makes trials from a table.
//!
//! `#[ignore_unless(condition)]` directly below the marker lists the trials as ignored where the
//! condition, a `bool` from [`super::environment`], does not hold: a slow test has the condition
//! `slow_tests()`. [`ignore_unless`] does the same for trials from a table.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use elman::device::Device;
use libtest_mimic::Trial;
pub use macro_rules_attribute::apply;

use super::environment::{cpu_only, every_combination_on_gpu};
use super::gpu;

/// A function that makes the trials of one marked function.
pub struct Registration(pub fn() -> Vec<Trial>);

inventory::collect!(Registration);

/// Every registered trial in the order of names. The linker's order is arbitrary.
pub fn registered() -> Vec<Trial> {
    let mut trials: Vec<Trial> = inventory::iter::<Registration>
        .into_iter()
        .flat_map(|registration| registration.0())
        .collect();
    assert!(!trials.is_empty(), "no test is registered");
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    if let Some(pair) = trials
        .windows(2)
        .find(|pair| pair[0].name() == pair[1].name())
    {
        panic!("two tests have the name {}", pair[0].name());
    }
    trials
}

/// The name of a function's trial: its module inside the test binary, and its own.
pub fn trial_name(module_path: &str, function: &str) -> String {
    let module = module_path
        .split_once("::")
        .map_or(module_path, |(_, module)| module);
    format!("{module}::{function}")
}

macro_rules! test {
    ($($function:tt)*) => { $crate::harness::conditional!(plain, $($function)*); };
}

macro_rules! gpu_test {
    ($($function:tt)*) => { $crate::harness::conditional!(gpu, $($function)*); };
}

macro_rules! device_test {
    ($($function:tt)*) => { $crate::harness::conditional!(device, $($function)*); };
}

macro_rules! trials {
    ($($function:tt)*) => { $crate::harness::conditional!(table, $($function)*); };
}

/// Takes the condition off the function.
macro_rules! conditional {
    ($kind:ident, $(#[doc = $doc:expr])* #[ignore_unless($condition:expr)] $($function:tt)*) => {
        $crate::harness::register!($kind, $condition, $(#[doc = $doc])* $($function)*);
    };
    ($kind:ident, $($function:tt)*) => {
        $crate::harness::register!($kind, true, $($function)*);
    };
}

/// Keeps the function and registers what makes its trials.
macro_rules! register {
    ($kind:ident, $condition:expr, $(#[$attribute:meta])* $visibility:vis
     fn $name:ident $($rest:tt)*) => {
        $(#[$attribute])* $visibility fn $name $($rest)*
        inventory::submit! {
            $crate::harness::Registration(|| {
                let trials = $crate::harness::register!(@$kind $name);
                $crate::harness::ignore_unless($condition, trials)
            })
        }
    };
    (@plain $name:ident) => {
        vec![$crate::harness::trial($crate::harness::register!(@name $name), $name)]
    };
    (@gpu $name:ident) => {
        $crate::harness::gpu_trials(&$crate::harness::register!(@name $name), $name)
    };
    (@device $name:ident) => {
        $crate::harness::device_trials(&$crate::harness::register!(@name $name), $name)
    };
    (@table $name:ident) => { $name() };
    (@name $name:ident) => {
        $crate::harness::trial_name(module_path!(), stringify!($name))
    };
}

pub(crate) use {conditional, device_test, gpu_test, register, test, trials};

/// A trial of a function that panics where the test fails.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || {
        let start = Instant::now();
        test();
        note_time(name, start.elapsed());
        Ok(())
    })
}

/// The trials that took longer than [`LONG`].
static LONG_TRIALS: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// The time from which the end of a run names a trial.
const LONG: Duration = Duration::from_secs(20);

fn note_time(name: String, time: Duration) {
    if time >= LONG {
        let mut long = LONG_TRIALS.lock().unwrap_or_else(PoisonError::into_inner);
        long.push((time, name));
    }
}

/// Prints the trials that took long, the longest first. Times include waiting for another trial's
/// GPU.
pub fn print_long_trials() {
    let mut long = LONG_TRIALS.lock().unwrap_or_else(PoisonError::into_inner);
    long.sort_by(|a, b| b.cmp(a));
    for (time, name) in long.iter() {
        println!("{:5.0} s  {name}", time.as_secs_f64());
    }
}

/// The trials, ignored where the condition does not hold.
pub fn ignore_unless(condition: bool, trials: Vec<Trial>) -> Vec<Trial> {
    let trials = trials.into_iter().map(|trial| {
        let ignored = trial.has_ignored_flag() || !condition;
        trial.with_ignored_flag(ignored)
    });
    trials.collect()
}

/// One trial for each way to open the GPU.
pub fn gpu_trials(name: &str, test: impl Fn(&mut Device) + Clone + Send + 'static) -> Vec<Trial> {
    let trials = gpu::VARIANTS.iter().map(|&variant| {
        let test = test.clone();
        trial(format!("{name}::gpu_{}", variant.name), move || {
            gpu::with_device(variant, test);
        })
        .with_ignored_flag(cpu_only())
    });
    trials.collect()
}

/// Trials on the CPU with one thread and with two.
pub fn cpu_trials(name: &str, test: impl Fn(&mut Device) + Clone + Send + 'static) -> Vec<Trial> {
    let trials = [1, 2].map(|threads| {
        let test = test.clone();
        trial(format!("{name}::cpu_{threads}"), move || {
            test(&mut Device::cpu(threads));
        })
    });
    trials.into()
}

/// [`gpu_trials`] and [`cpu_trials`].
pub fn device_trials(
    name: &str,
    test: impl Fn(&mut Device) + Clone + Send + 'static,
) -> Vec<Trial> {
    device_trials_if(true, name, test)
}

/// [`device_trials`], of which those on a GPU run everywhere only if `on_gpu`; otherwise where GPUs
/// run every combination.
pub fn device_trials_if(
    on_gpu: bool,
    name: &str,
    test: impl Fn(&mut Device) + Clone + Send + 'static,
) -> Vec<Trial> {
    let mut trials = ignore_unless(
        on_gpu || every_combination_on_gpu(),
        gpu_trials(name, test.clone()),
    );
    trials.extend(cpu_trials(name, test));
    trials
}

/// All cases on the CPU, and on a GPU that runs every combination; otherwise only the one whose
/// turn it is.
pub fn in_turn<T, const N: usize>(device: &Device, turn: usize, cases: [T; N]) -> Vec<T> {
    if !device.is_gpu() || every_combination_on_gpu() {
        return cases.into();
    }
    cases.into_iter().skip(turn % N).take(1).collect()
}
