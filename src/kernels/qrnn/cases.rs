//! Test cases of [`QrnnForward`] and [`QrnnBackward`].

use std::fmt;

use super::{GATES, QrnnBackward, QrnnForward, Zoneout};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Direction, GatedCase, Harness, KernelCase, MASK, Place, Tolerance, list,
};
use crate::kernels::{Mask, MaskPattern, StreamPart};

use Place::{Part, Whole};

/// Sizes and options of [`QrnnForward`] and [`QrnnBackward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QrnnCase {
    /// The sizes of the window.
    pub window: GatedCase,
    /// Whether there are biases.
    pub has_bias: bool,
    /// The probability that a unit keeps its memory.
    pub rate: f32,
    /// Whether it is that of a mask; otherwise it makes a factor.
    pub is_masked: bool,
    /// Whether there are more streams elsewhere.
    pub is_part: bool,
}

/// Both directions: streams that are reset and streams that are not, sizes around a workgroup,
/// windows that CPU threads share by streams and by units, many streams; without zoneout, with a
/// factor and with masks.
pub(in crate::kernels) fn all() -> Cases {
    let options = [
        (false, 0.0, false, false),
        (true, 0.25, false, false),
        (true, 0.375, true, false),
        (false, 0.5, true, true),
    ];
    let windows = GatedCase::of_units().into_iter();
    list(windows.flat_map(|window| {
        options.map(|(has_bias, rate, is_masked, is_part)| QrnnCase {
            window,
            has_bias,
            rate,
            is_masked,
            is_part,
        })
    }))
}

impl QrnnCase {
    /// What multiplies f.
    pub fn zoneout(&self) -> Zoneout {
        let [seed, site, draw] = MASK;
        match self.is_masked {
            false => Zoneout::Factor(1.0 - self.rate),
            true => Zoneout::Mask(Mask {
                rate: self.rate,
                seed,
                site,
                draw,
                pattern: MaskPattern::Elements,
                part: self.is_part.then_some(StreamPart {
                    first: 2,
                    count: self.window.batch,
                    of: self.window.batch + 3,
                }),
            }),
        }
    }

    fn forward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let rows = self.window.rows();
        let bias = match self.has_bias {
            true => Some(harness.random_input("bias", Part, [1, GATES * size])?),
            false => None,
        };
        let values = harness.uniform(rows * GATES * size, self.window.bound);
        let gates = harness.in_place("gates", Whole, [rows, GATES * size], values)?;
        let [cells, carried] = self.window.states(harness, "cells")?;
        let output = harness.output("output", Whole, [rows, size])?;
        let reset = self.window.reset_without_previous(harness)?;
        harness.run(&QrnnForward {
            gates,
            cells,
            output,
            carried: self.window.carried([carried]),
            bias,
            reset,
            zoneout: self.zoneout(),
        });
        Ok(())
    }

    fn backward(&self, harness: &mut Harness<'_>) -> Result<()> {
        let size = self.window.hidden_size;
        let (rows, batch) = (self.window.rows(), self.window.batch);
        let factor = self.zoneout().factor();
        let mut values = self.window.gate_activations(harness, GATES, 0);
        for (index, value) in values.iter_mut().enumerate() {
            if index / size % GATES == 1 {
                *value *= factor;
            }
        }
        let gates = harness.in_place("gates", Whole, [rows, GATES * size], values)?;
        let cells = harness.random_input("cells", Whole, [rows + batch, size])?;
        let values = harness.uniform(rows * size, self.window.bound);
        let gradient = harness.input("gradient", Whole, [rows, size], values)?;
        let unit_gradients = harness.output("unit_gradients", Whole, [4 * batch, size])?;
        let reset = self.window.reset_without_previous(harness)?;
        harness.run(&QrnnBackward {
            gates,
            cells,
            gradient,
            unit_gradients,
            reset,
            factor,
        });
        Ok(())
    }
}

impl KernelCase for QrnnCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        match self.window.direction {
            Direction::Forward => self.forward(harness),
            Direction::Backward => self.backward(harness),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        self.window.tolerance()
    }
}

impl fmt::Display for QrnnCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.window.fmt(f)?;
        match (self.rate > 0.0, self.is_masked) {
            (false, _) => Ok(()),
            (true, false) => f.write_str(", factor"),
            (true, true) if self.is_part => f.write_str(", mask of a part"),
            (true, true) => f.write_str(", mask"),
        }
    }
}
