//! A device's ceilings: the rate of its matrix product and of its memory.

use std::time::Instant;

use serde::Serialize;

use super::BenchOptions;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Matmul, Precision, Scale};
use crate::train::PrecisionKind;

/// The most that a device can do.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceilings {
    /// GFLOP/s of a large square matrix product of the precision that is measured.
    pub product_gflops: f64,
    /// GB/s of a kernel that reads and writes every element of a large tensor.
    pub bandwidth_gbs: f64,
}

/// The median; NaN if there are no values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median duration of one call of `work`. It is called once to warm up, then for about
/// `seconds`.
pub(super) fn seconds_of(
    device: &mut Device,
    seconds: f64,
    mut work: impl FnMut(&mut Device) -> Result<()>,
) -> Result<f64> {
    work(device)?;
    device.wait()?;
    let mut times = Vec::new();
    let first = Instant::now();
    while times.len() < 5 || first.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work(device)?;
        device.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// The product of two large square matrices.
pub(super) struct SquareProduct {
    size: usize,
    kernel: Matmul,
}

impl SquareProduct {
    /// Allocates the matrices, `[size, size]` each.
    pub(super) fn new(device: &mut Device, size: usize, precision: PrecisionKind) -> Result<Self> {
        let [a, b, c] = ["a", "b", "c"].map(|name| device.tensor::<f32>(name, size, size));
        Ok(Self {
            size,
            kernel: Matmul {
                a: a?,
                b: b?,
                c: c?,
                transpose_a: false,
                transpose_b: false,
                accumulate: false,
                precision: match precision {
                    PrecisionKind::Full => Precision::Full,
                    PrecisionKind::Mixed => Precision::Mixed { scale: 1.0 },
                },
            },
        })
    }

    /// GFLOP/s, measured for about `seconds`.
    pub(super) fn gflops(&self, device: &mut Device, seconds: f64) -> Result<f64> {
        let time = seconds_of(device, seconds, |device| {
            device.run(&self.kernel);
            Ok(())
        })?;
        Ok(2.0 * (self.size as f64).powi(3) / time / 1e9)
    }

    pub(super) fn release(self, device: &mut Device) {
        for tensor in [self.kernel.a, self.kernel.b, self.kernel.c] {
            device.release(tensor);
        }
    }
}

/// Measures a device's ceilings, for at most a second each.
///
/// # Errors
/// If the device fails or has too little memory.
pub fn ceilings(device: &mut Device, options: &BenchOptions) -> Result<Ceilings> {
    let seconds = (options.seconds / 8.0).min(1.0);
    let product = SquareProduct::new(device, options.product_size, options.precision)?;
    let product_gflops = product.gflops(device, seconds)?;
    product.release(device);
    let values = device.tensor::<f32>("values", 4096, 4096)?;
    let time = seconds_of(device, seconds, |device| {
        device.run(&Scale {
            values,
            factor: 1.0,
        });
        Ok(())
    })?;
    let bandwidth_gbs = 2.0 * 4.0 * values.len() as f64 / time / 1e9;
    device.release(values);
    Ok(Ceilings {
        product_gflops,
        bandwidth_gbs,
    })
}
