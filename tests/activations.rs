//! Activation functions over the whole range of f32, against f64: their stated errors on every
//! device, infinities, and NaN.

use elman::device::Device;
use elman::kernels::{Activation, ActivationForward};

use super::harness::{apply, device_test};

/// Every 4 096th value of f32, and neighbours in the slope of the functions.
fn sweep() -> Vec<f32> {
    let everywhere = (0..=u32::MAX).step_by(4099).map(f32::from_bits);
    let slope = (-400_000..=400_000).map(|i| i as f32 * 5e-5);
    let values = everywhere.filter(|value| value.is_finite()).chain(slope);
    values.collect()
}

fn activate(device: &mut Device, activation: Activation, values: &[f32]) -> Vec<f32> {
    let tensor = device
        .tensor_from("values", 1, values.len(), values)
        .expect("the device has the memory");
    device.run(&ActivationForward {
        activation,
        values: tensor,
    });
    let outputs = device.download(&tensor).expect("the device works");
    device.release(tensor);
    outputs
}

/// The largest error of an output relative to what is allowed at its argument.
fn check(
    device: &mut Device,
    activation: Activation,
    exact: fn(f64) -> f64,
    allowed: fn(f64) -> f64,
) {
    let arguments = sweep();
    let outputs = activate(device, activation, &arguments);
    for (x, got) in arguments.into_iter().zip(outputs) {
        let want = exact(f64::from(x));
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= allowed(want),
            "{activation}({x:e}) = {got:e} on {}, not {want:e}: error {error:.1e}, allowed {:.1e}",
            device.name(),
            allowed(want)
        );
    }
}

/// Smaller values may be replaced by 0.
const SMALLEST: f64 = 1.2e-38;

/// The relative error of tanh is below 1e-6.
#[apply(device_test)]
fn tanh_has_its_stated_error(device: &mut Device) {
    check(device, Activation::Tanh, f64::tanh, |want| {
        1e-6 * want.abs() + SMALLEST
    });
}

/// The absolute error of the sigmoid is below 5e-7, its relative error below 3e-5.
#[apply(device_test)]
fn sigmoid_has_its_stated_error(device: &mut Device) {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    check(device, Activation::Sigmoid, sigmoid, |want| {
        5e-7_f64.min(3e-5 * want + 2.0 * SMALLEST)
    });
}

#[apply(device_test)]
fn infinities_have_the_limits(device: &mut Device) {
    let limits = [
        (Activation::Tanh, [-1.0, 1.0]),
        (Activation::Sigmoid, [0.0, 1.0]),
        (Activation::Relu, [0.0, f32::INFINITY]),
        (Activation::RnnlmSigmoid, [0.0, 1.0]),
    ];
    for (activation, want) in limits {
        let got = activate(device, activation, &[f32::NEG_INFINITY, f32::INFINITY]);
        for (got, want) in got.into_iter().zip(want) {
            let close = got == want || (got - want).abs() < 1e-20;
            assert!(close, "{activation} on {}: {got:e}", device.name());
        }
    }
}

/// A NaN that an activation replaces by a number would hide that a run diverged.
#[apply(device_test)]
fn nan_stays_nan(device: &mut Device) {
    // The NaNs that operations of different devices return, and one whose fraction is least.
    let patterns = [
        0x7fc0_0000,
        0xffc0_0000,
        0x7fff_ffff,
        0xffff_ffff,
        0x7f80_0001,
    ];
    let values = patterns.map(f32::from_bits);
    for &(name, activation) in Activation::TABLE {
        let got = activate(device, activation, &values);
        let device = device.name();
        assert!(
            got.iter().all(|value| value.is_nan()),
            "{name} on {device}: {got:?}"
        );
    }
}
