//! Single kernels at the sizes of `elman bench`'s configurations: `cargo bench --bench kernels`, or
//! with a part of a name behind it.
//!
//! `ELMAN_BENCH_DEVICE` takes what `--device` takes; the CPU is the default. On a GPU a measurement
//! is a submission and its end.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use elman::bench::{CONFIGURATIONS, Configuration};
use elman::device::{Device, DeviceChoice, Kernel};
use elman::kernels::{
    Activation, Exponential, Matmul, PARTIAL_SUMS, Precision, RecurrenceBackward,
    RecurrenceForward, RecurrentSchedule, Reset, Scale, SoftmaxCrossEntropy, SumOfSquares,
};
use elman::tensor::Tensor;

/// Rows of a block of logits on the CPU, about: it is these products that training consists of.
const ROWS: usize = 384;

fn device() -> Device {
    let name = std::env::var("ELMAN_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let choice: DeviceChoice = name.parse().unwrap_or_else(|never| match never {});
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (device, _) = choice
        .open(threads)
        .unwrap_or_else(|error| panic!("{error}"));
    println!("device: {}", device.name());
    device
}

/// Small numbers, none of them zero: products of zeros would be no measure.
fn numbers(device: &mut Device, rows: usize, columns: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * columns)
        .map(|i| ((i % 1013) as f32 - 506.0) / 5000.0 + 1e-4)
        .collect();
    device
        .tensor_from("numbers", rows, columns, &values)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn measure(
    criterion: &mut Criterion,
    device: &mut Device,
    group: &str,
    name: &str,
    flops: usize,
    kernel: &dyn Kernel,
) {
    let mut group = criterion.benchmark_group(group);
    group
        .sample_size(20)
        .throughput(Throughput::Elements(flops as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            device.run(black_box(kernel));
            device.wait().unwrap_or_else(|error| panic!("{error}"));
        });
    });
}

/// The output layer's three products, and the large square one that they are compared with.
fn products(criterion: &mut Criterion) {
    let mut device = device();
    let square: [Tensor; 3] = std::array::from_fn(|_| numbers(&mut device, 1024, 1024));
    let [a, b, c] = square;
    let kernel = Matmul {
        a,
        b,
        c,
        transpose_a: false,
        transpose_b: false,
        accumulate: false,
        precision: Precision::Full,
    };
    measure(
        criterion,
        &mut device,
        "product",
        "square 1024",
        2 << 30,
        &kernel,
    );
    for &Configuration {
        name,
        hidden_size: h,
        vocab_size: v,
        ..
    } in CONFIGURATIONS
    {
        let (hidden, weight) = (numbers(&mut device, ROWS, h), numbers(&mut device, v, h));
        let (logits, hidden_gradient, weight_gradient) = (
            numbers(&mut device, ROWS, v),
            numbers(&mut device, ROWS, h),
            numbers(&mut device, v, h),
        );
        for (what, a, b, c, transpose_a, transpose_b, accumulate) in [
            ("logits", hidden, weight, logits, false, true, false),
            (
                "hidden gradient",
                logits,
                weight,
                hidden_gradient,
                false,
                false,
                false,
            ),
            (
                "weight gradient",
                logits,
                hidden,
                weight_gradient,
                true,
                false,
                true,
            ),
        ] {
            let kernel = Matmul {
                a,
                b,
                c,
                transpose_a,
                transpose_b,
                accumulate,
                precision: Precision::Full,
            };
            measure(
                criterion,
                &mut device,
                "product",
                &format!("{what} ({name})"),
                2 * ROWS * h * v,
                &kernel,
            );
        }
        for tensor in [hidden, weight, logits, hidden_gradient, weight_gradient] {
            device.release(tensor);
        }
    }
}

/// Both walks of a GPU, around the width from which on the second is taken; on the CPU they are
/// one.
fn recurrences(criterion: &mut Criterion) {
    let mut device = device();
    let (time_steps, batch) = (35, 32);
    for size in [100, 200, 384, 500, 1024] {
        let states = numbers(&mut device, (time_steps + 1) * batch, size);
        let [weight, weight_t] = std::array::from_fn(|_| numbers(&mut device, size, size));
        let initial_gradient = numbers(&mut device, batch, size);
        let gradient = numbers(&mut device, time_steps * batch, size);
        let previous = numbers(&mut device, 1, 1);
        let tokens = device
            .tensor("tokens", time_steps, batch)
            .unwrap_or_else(|error| panic!("{error}"));
        let reset = Reset {
            enabled: false,
            initial: 0.0,
            tokens,
            previous,
        };
        let activation = Activation::Sigmoid;
        for (schedule, way) in [
            (RecurrentSchedule::Fused, "window"),
            (RecurrentSchedule::PerStep, "steps"),
        ] {
            let flops = 2 * time_steps * batch * size * size;
            let forward = RecurrenceForward {
                activation,
                states,
                weight,
                weight_t,
                reset,
                schedule,
            };
            measure(
                criterion,
                &mut device,
                "recurrence",
                &format!("forward {size} by {way}"),
                flops,
                &forward,
            );
            let backward = RecurrenceBackward {
                activation,
                states,
                weight,
                gradient,
                initial_gradient,
                reset,
                schedule,
            };
            measure(
                criterion,
                &mut device,
                "recurrence",
                &format!("backward {size} by {way}"),
                flops,
                &backward,
            );
        }
    }
}

/// What is no product; the throughput is in elements.
fn elementwise(criterion: &mut Criterion) {
    let mut device = device();
    let values = numbers(&mut device, ROWS, 10_000);
    let targets = device
        .tensor("targets", ROWS, 1)
        .unwrap_or_else(|error| panic!("{error}"));
    let losses = numbers(&mut device, ROWS, 1);
    let partial = numbers(&mut device, 1, PARTIAL_SUMS);
    let output = numbers(&mut device, 1, 1);
    let softmax = SoftmaxCrossEntropy {
        logits: values,
        targets,
        losses,
        gradient: true,
        scale: 1.0,
        exponential: Exponential::Exact,
    };
    measure(
        criterion,
        &mut device,
        "elementwise",
        "softmax and cross-entropy",
        values.len(),
        &softmax,
    );
    let reduce = SumOfSquares {
        values,
        partial,
        output,
    };
    measure(
        criterion,
        &mut device,
        "elementwise",
        "sum of squares",
        values.len(),
        &reduce,
    );
    measure(
        criterion,
        &mut device,
        "elementwise",
        "decay",
        values.len(),
        &Scale {
            values,
            factor: 1.0,
        },
    );
}

criterion_group!(kernels, products, recurrences, elementwise);
criterion_main!(kernels);
