//! The division of work into dispatches and submissions changes no result.

use elman::device::{Device, Gpu, GpuOptions, adapters};
use elman::kernels::cases;

use super::environment::cpu_only;
use super::harness::{apply, test};

/// The first adapter, with a limit on the operations of a submission.
fn open(max_operations: u64) -> Device {
    let options = GpuOptions {
        max_operations,
        ..GpuOptions::default()
    };
    let all = adapters();
    let adapter = all.first().expect("there is an adapter");
    Device::gpu(Gpu::open(adapter, options).expect("the adapter opens"))
}

/// Products, in bands of one tile, and recurrences, in dispatches of one step, have the same bits
/// as undivided ones.
#[apply(test)]
#[ignore_unless(!cpu_only())]
fn divided_work_has_the_same_results() {
    let (mut whole, mut divided) = (open(u64::MAX), open(1));
    let divisible = ["matmul", "recurrence", "recurrence_step", "lstm", "gru"];
    let cases = cases::all().into_iter();
    for case in cases.filter(|case| divisible.contains(&case.kernel) && !case.is_slow()) {
        let outputs = [&mut whole, &mut divided].map(|device| {
            let outcome = case.run(device).expect("the device works");
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let outputs = outcome.outputs.iter();
            outputs.map(|output| bits(&output.1)).collect::<Vec<_>>()
        });
        assert!(outputs[0] == outputs[1], "{}", case.name());
    }
}
