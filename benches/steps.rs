//! Benchmarks of whole training steps: the forward and backward pass of a window and the update,
//! for every configuration of `elman bench`. Run them with `cargo bench --bench steps`.
//!
//! `ELMAN_BENCH_DEVICE` takes the values of `--device`; the default is the CPU. The throughput is
//! in tokens.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use elman::bench::{BenchWindow, CONFIGURATIONS};
use elman::device::DeviceChoice;

fn steps(criterion: &mut Criterion) {
    let name = std::env::var("ELMAN_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let choice: DeviceChoice = name.parse().unwrap_or_else(|never| match never {});
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut device, _) = choice
        .open(threads)
        .unwrap_or_else(|error| panic!("{error}"));
    println!("device: {}", device.name());
    let mut group = criterion.benchmark_group("training step");
    group.sample_size(10);
    for configuration in CONFIGURATIONS {
        let window =
            BenchWindow::new(&mut device, configuration).unwrap_or_else(|error| panic!("{error}"));
        group.throughput(Throughput::Elements(
            (configuration.batch * configuration.time_steps) as u64,
        ));
        group.bench_function(configuration.name, |bencher| {
            bencher.iter(|| {
                window
                    .step(&mut device)
                    .unwrap_or_else(|error| panic!("{error}"));
            });
        });
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
