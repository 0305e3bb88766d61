//! Benchmarks of single kernels at the sizes of `elman bench`'s configurations. Run them with
//! `cargo bench --bench kernels`; `cargo bench --bench kernels -- NAME` runs those whose name
//! contains NAME.
//!
//! `ELMAN_BENCH_DEVICE` takes the values of `--device`; the default is the CPU. On a GPU, a
//! measurement is the time from the submission to the end of its work.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use elman::bench::{CONFIGURATIONS, Configuration};
use elman::device::{Device, DeviceChoice, Kernel};
use elman::kernels::{
    Activation, Add, Carried, Exponential, Fill, Gradient, Matmul, PARTIAL_SUMS, Precision,
    RecurrenceBackward, RecurrenceForward, RecurrentSchedule, Reset, Scale, SoftmaxCrossEntropy,
    SoftmaxResult, Summand, Sums,
};
use elman::tensor::Tensor;

/// The approximate number of rows of a block of logits on the CPU, whose products take most of the
/// time of training.
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

/// A tensor of small values other than zero: the time of products with zeros may differ.
fn filled(device: &mut Device, rows: usize, columns: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * columns)
        .map(|i| ((i % 1013) as f32 - 506.0) / 5000.0 + 1e-4)
        .collect();
    device
        .tensor_from("values", rows, columns, &values)
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

/// The output layer's three products, and a large square product for comparison.
fn products(criterion: &mut Criterion) {
    let mut device = device();
    let square: [Tensor; 3] = std::array::from_fn(|_| filled(&mut device, 1024, 1024));
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
        let (hidden, weight) = (filled(&mut device, ROWS, h), filled(&mut device, v, h));
        let (logits, hidden_gradient, weight_gradient) = (
            filled(&mut device, ROWS, v),
            filled(&mut device, ROWS, h),
            filled(&mut device, v, h),
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

/// Both schedules of a GPU, around the width above which the second is used. On the CPU they are
/// the same.
fn recurrences(criterion: &mut Criterion) {
    let mut device = device();
    let (time_steps, batch) = (35, 32);
    for size in [100, 200, 384, 500, 1024] {
        let buffer = filled(&mut device, (time_steps + 2) * batch, size);
        let slots = (time_steps + 1) * batch;
        let states = buffer.slice_rows(0..slots);
        let carried = Carried {
            states: [buffer.slice_rows(slots..slots + batch)],
            advance: time_steps,
        };
        let [weight, weight_t] = std::array::from_fn(|_| filled(&mut device, size, size));
        let initial_gradient = filled(&mut device, batch, size);
        let gradient = filled(&mut device, time_steps * batch, size);
        let previous = filled(&mut device, 1, 1);
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
        for (schedule, label) in [
            (RecurrentSchedule::Fused, "window"),
            (RecurrentSchedule::PerStep, "steps"),
        ] {
            let flops = 2 * time_steps * batch * size * size;
            let forward = RecurrenceForward {
                activation,
                states,
                carried,
                weight,
                weight_t,
                reset,
                schedule,
            };
            measure(
                criterion,
                &mut device,
                "recurrence",
                &format!("forward {size} by {label}"),
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
                &format!("backward {size} by {label}"),
                flops,
                &backward,
            );
        }
    }
}

/// Kernels other than products; the throughput is in elements.
fn elementwise(criterion: &mut Criterion) {
    let mut device = device();
    let values = filled(&mut device, ROWS, 10_000);
    let targets = device
        .tensor("targets", ROWS, 1)
        .unwrap_or_else(|error| panic!("{error}"));
    let losses = filled(&mut device, ROWS, 1);
    let partial = filled(&mut device, 1, PARTIAL_SUMS);
    let output = filled(&mut device, 1, 1);
    let softmax = SoftmaxCrossEntropy {
        logits: values,
        bias: None,
        targets,
        rows_per_target: 1,
        losses,
        result: SoftmaxResult::Gradient { scale: 1.0 },
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
    let summands = [Summand {
        values,
        is_squared: true,
    }];
    let reduce = Sums {
        summands: &summands,
        partial,
        output,
        clip: None,
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
    let other = filled(&mut device, ROWS, 10_000);
    let add = Add {
        input: Gradient::Dense(other),
        output: values,
    };
    let count = values.len();
    measure(criterion, &mut device, "elementwise", "add", count, &add);
    let fill = Fill { values, value: 0.0 };
    measure(criterion, &mut device, "elementwise", "fill", count, &fill);
}

criterion_group!(kernels, products, recurrences, elementwise);
criterion_main!(kernels);
