//! What the equations of units have in common that do not read one another: the cells of a window,
//! where they are reset, and how far results may be off.

use elman::kernels::cases::{GatedCase, INITIAL, Outcome};

use super::super::compare::Tolerance;
use super::{EPSILON, floats, tokens};

/// A gate's error reaches the cell undiminished. The gradients of the parameters of units are sums
/// over steps.
pub fn tolerance(window: GatedCase) -> Tolerance {
    let bound = f64::from(window.bound.max(1.0));
    let terms = 16.0 + 2.0 * (window.time_steps as f64).sqrt();
    Tolerance {
        absolute: terms * EPSILON * bound,
        relative: 8.0 * EPSILON,
    }
}

/// The sizes of a window and the resets of its cells, `[(T+2)*B, H]`: the states before the steps,
/// after each, and those that are carried.
pub struct UnitWindow {
    /// B and H.
    pub batch: usize,
    pub size: usize,
    /// T*B.
    pub rows: usize,
    /// The slot of the cells at which the next window starts.
    next: usize,
    is_reset: Vec<bool>,
}

impl UnitWindow {
    pub fn new(window: GatedCase, run: &Outcome) -> Self {
        let tokens = tokens(run, "tokens").into_iter();
        Self {
            batch: window.batch,
            size: window.hidden_size,
            rows: window.time_steps * window.batch,
            next: window.advance(),
            is_reset: tokens
                .map(|token| window.reset && token == Some(0))
                .collect(),
        }
    }

    /// Whether the cells of a row are reset.
    pub fn is_reset(&self, row: usize) -> bool {
        self.is_reset[row]
    }

    /// The cells at the start: the carried ones are those before the first step.
    pub fn start(&self, run: &Outcome) -> Vec<f64> {
        let mut cells = floats(run, "cells");
        let carried = cells.len() - self.batch * self.size..;
        cells.copy_within(carried, 0);
        cells
    }

    /// c(t-1) as a unit of a row sees it.
    pub fn before(&self, cells: &[f64], row: usize, unit: usize) -> f64 {
        match self.is_reset(row) {
            true => f64::from(INITIAL),
            false => cells[row * self.size + unit],
        }
    }

    /// The position of c(t) of a unit of a row.
    pub fn after(&self, row: usize, unit: usize) -> usize {
        (row + self.batch) * self.size + unit
    }

    /// The cells at the end: the carried ones are those at which the next window starts.
    pub fn end(&self, mut cells: Vec<f64>) -> Vec<f64> {
        let slot = self.batch * self.size;
        let (next, last) = (self.next * slot, cells.len() - slot);
        cells.copy_within(next..next + slot, last);
        cells
    }
}
