//! NaN reaches the results of every kernel that compares or clamps its values: a NaN that becomes a
//! number would hide that a run diverged. WGSL's `min`, `max` and `clamp` may return either
//! argument where one is NaN.

use elman::device::{Device, Kernel};
use elman::kernels::{
    ClipGradNorm, ClipGradValue, Exponential, Matmul, PARTIAL_SUMS, Precision, SoftmaxBackward,
    SoftmaxCrossEntropy, SoftmaxResult, Summand, Sums,
};
use elman::tensor::Tensor;

use super::harness::{apply, device_test};

/// NaNs that operations of different devices return.
const NANS: [u32; 3] = [0x7fc0_0000, 0xffc0_0000, 0x7fff_ffff];

fn matrix(device: &mut Device, rows: usize, columns: usize, values: &[f32]) -> Tensor {
    device
        .tensor_from("values", rows, columns, values)
        .expect("the device has the memory")
}

/// Runs the kernel and returns one of its outputs.
fn run(device: &mut Device, kernel: &dyn Kernel, output: &Tensor) -> Vec<f32> {
    device.run(kernel);
    device.download(output).expect("the device works")
}

#[apply(device_test)]
fn clipping_keeps_nan(device: &mut Device) {
    for bits in NANS {
        let nan = f32::from_bits(bits);
        let summand = Summand {
            values: matrix(device, 1, 3, &[1.0, nan, 4.0]),
            is_squared: true,
        };
        let scale = matrix(device, 1, 1, &[0.0]);
        let norm = Sums {
            summands: &[summand],
            partial: matrix(device, 1, PARTIAL_SUMS, &[0.0; PARTIAL_SUMS]),
            output: matrix(device, 1, 1, &[0.0]),
            clip: Some(ClipGradNorm {
                maximum: 1.0,
                scale,
            }),
        };
        let got = run(device, &norm, &scale);
        assert!(got[0].is_nan(), "{bits:x} on {}: {got:?}", device.name());

        let values = matrix(device, 1, 4, &[-9.0, nan, 9.0, 0.5]);
        let value = ClipGradValue {
            values,
            maximum: 1.0,
        };
        let got = run(device, &value, &values);
        assert!(
            got[1].is_nan() && [got[0], got[2], got[3]] == [-1.0, 1.0, 0.5],
            "{bits:x} on {}: {got:?}",
            device.name()
        );
    }
}

#[apply(device_test)]
fn losses_keep_nan(device: &mut Device) {
    for exponential in [Exponential::Exact, Exponential::Rnnlm] {
        for bits in NANS {
            let mut values = [0.25; 5];
            values[3] = f32::from_bits(bits);
            let logits = matrix(device, 1, 5, &values);
            let targets = device.tensor_from("targets", 1, 1, &[1]);
            let losses = matrix(device, 1, 1, &[0.0]);
            let softmax = SoftmaxCrossEntropy {
                logits,
                bias: None,
                targets: targets.expect("the device has the memory"),
                rows_per_target: 1,
                losses,
                result: SoftmaxResult::Gradient { scale: 1.0 },
                exponential,
            };
            let loss = run(device, &softmax, &losses);
            let gradient = device.download(&logits).expect("the device works");
            assert!(
                loss[0].is_nan() && gradient.iter().all(|value| value.is_nan()),
                "{exponential:?}, {bits:x} on {}: {loss:?}, {gradient:?}",
                device.name()
            );
        }
    }
}

/// A NaN of a probability or of its gradient reaches the gradients of all logits of the row.
#[apply(device_test)]
fn softmax_backward_keeps_nan(device: &mut Device) {
    for bits in NANS {
        let nan = f32::from_bits(bits);
        let probabilities = matrix(device, 2, 3, &[0.5, nan, 0.25, 0.5, 0.25, 0.25]);
        let gradient = matrix(device, 2, 3, &[1.0, 2.0, 3.0, 1.0, 2.0, nan]);
        let targets = device.tensor_from("targets", 1, 2, &[0, 0]);
        let backward = SoftmaxBackward {
            probabilities,
            gradient,
            targets: targets.expect("the device has the memory"),
            scale: 1.0,
        };
        let got = run(device, &backward, &probabilities);
        assert!(
            got.iter().all(|value| value.is_nan()),
            "{bits:x} on {}: {got:?}",
            device.name()
        );
    }
}

#[apply(device_test)]
fn mixed_products_keep_nan(device: &mut Device) {
    for bits in NANS {
        let a = matrix(device, 2, 2, &[f32::from_bits(bits), 1.0, 2.0, 3.0]);
        let b = matrix(device, 2, 2, &[1.0, 2.0, 3.0, 4.0]);
        let c = matrix(device, 2, 2, &[0.0; 4]);
        let product = Matmul {
            a,
            b,
            c,
            transpose_a: false,
            transpose_b: false,
            accumulate: false,
            precision: Precision::Mixed { scale: 1.0 },
        };
        let got = run(device, &product, &c);
        assert!(
            got[0].is_nan() && got[1].is_nan() && got[2..] == [11.0, 16.0],
            "{bits:x} on {}: {got:?}",
            device.name()
        );
    }
}
