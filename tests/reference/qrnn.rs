//! The quasi-recurrent unit (Bradbury 2016) as in the authors' code, whose gates read nothing but
//! the layer's input:
//!
//! ```text
//! [p, q, r] = W_ih x(t) + bias                      m: a mask, or 1 - zoneout
//! z = tanh(p)   f = m σ(q)   o = σ(r)
//! c(t) = f z + (1 - f) c(t-1)                       h(t) = o c(t)
//! ```
//!
//! The first layer reads [x_0(t), x_0(t-1)] in the place of x_0(t). c is carried from step to step,
//! h is not. x_0 before a window is carried too, and receives no gradient.

use super::kernels::Activation;
use super::linear::{add, apart, side_by_side};
use super::network::{Network, Window};
use super::passes::LayerStep;

/// One unit at one step.
struct Unit {
    /// z, σ(q) and o.
    gates: [f64; 3],
    /// m.
    multiplier: f64,
    /// c(t-1).
    c: f64,
}

impl Unit {
    fn f(&self) -> f64 {
        self.multiplier * self.gates[1]
    }

    /// h(t) and c(t).
    fn forward(&self) -> [f64; 2] {
        let [z, _, o] = self.gates;
        let c = self.f() * z + (1.0 - self.f()) * self.c;
        [o * c, c]
    }

    /// From dloss/dh(t) and dloss/dc(t) to dloss/d(p, q, r) and dloss/dc(t-1).
    fn backward(&self, [to_h, to_c]: [f64; 2]) -> ([f64; 3], f64) {
        let [z, sigmoid, o] = self.gates;
        let [_, c] = self.forward();
        let to_c = to_c + to_h * o;
        let to_f = to_c * (z - self.c);
        let back = [
            to_c * self.f() * Activation::Tanh.derivative(z),
            to_f * self.multiplier * Activation::Sigmoid.derivative(sigmoid),
            to_h * c * Activation::Sigmoid.derivative(o),
        ];
        (back, to_c * (1.0 - self.f()))
    }
}

impl Network {
    /// The units `[B, H]` of layer k at step t.
    fn qrnn_units<'a>(
        &'a self,
        window: &'a Window,
        (t, k): (usize, usize),
        arguments: &'a [f64],
        c: &'a [f64],
    ) -> impl Iterator<Item = Unit> + 'a {
        let a = &self.architecture;
        let size = a.layer_size(k);
        let mask = window.masks.zoneout(k);
        c.iter().enumerate().map(move |(i, &c)| {
            let argument = |gate: usize| arguments[(i / size * 3 + gate) * size + i % size];
            Unit {
                gates: [
                    Activation::Tanh.value(argument(0)),
                    Activation::Sigmoid.value(argument(1)),
                    Activation::Sigmoid.value(argument(2)),
                ],
                multiplier: mask.map_or(1.0 - a.zoneout, |mask| mask[t * window.batch * size + i]),
                c,
            }
        })
    }

    /// h(t) and c(t) of layer k, `[B, H]` each.
    pub(super) fn qrnn_forward(
        &self,
        window: &Window,
        place: (usize, usize),
        arguments: &[f64],
        c: &[f64],
    ) -> [Vec<f64>; 2] {
        let units = self.qrnn_units(window, place, arguments, c);
        let (h, c) = units.map(|unit| unit.forward().into()).unzip();
        [h, c]
    }

    /// Back through step t of layer k, from the gradients of h(t) and c(t) to those of p, q and r,
    /// and of c(t-1).
    pub(super) fn qrnn_backward(
        &self,
        window: &Window,
        place @ (_, k): (usize, usize),
        step: &LayerStep,
        [to_h, to_c]: [&[f64]; 2],
    ) -> (Vec<f64>, Vec<f64>) {
        let size = self.architecture.layer_size(k);
        let arguments = &step.arguments.from_input;
        let units = self.qrnn_units(window, place, arguments, &step.previous[0]);
        let mut from_input = vec![0.0; arguments.len()];
        let mut previous = Vec::new();
        for (i, unit) in units.enumerate() {
            let (gates, to_previous) = unit.backward([to_h[i], to_c[i]]);
            for (gate, gradient) in gates.into_iter().enumerate() {
                from_input[(i / size * 3 + gate) * size + i % size] = gradient;
            }
            previous.push(to_previous);
        }
        (from_input, previous)
    }
}

/// [x_0(t), x_0(t-1)], from x_0(t) and what is carried from the step before.
pub fn with_previous(window: &Window, t: usize, input: &[f64], carried: &[f64]) -> Vec<f64> {
    let mut before = carried.to_vec();
    let size = before.len() / window.batch;
    for (b, row) in before.chunks_exact_mut(size).enumerate() {
        if let Some(fresh) = window.reset_state(t, b) {
            row.fill(fresh);
        }
    }
    side_by_side(input, &before, window.batch)
}

/// x_0(t) of what [`with_previous`] returned.
pub fn current(window: &Window, pairs: &[f64]) -> Vec<f64> {
    apart(pairs, pairs.len() / window.batch / 2, window.batch).0
}

/// From the gradient of [x_0(t), x_0(t-1)] to that of x_0(t), to which step t+1 has added
/// `from_next`; this becomes what step t adds to x_0(t-1).
pub fn with_previous_backward(
    window: &Window,
    t: usize,
    gradient: &[f64],
    from_next: &mut Vec<f64>,
) -> Vec<f64> {
    let size = gradient.len() / window.batch / 2;
    let (mut to_current, mut to_before) = apart(gradient, size, window.batch);
    if !from_next.is_empty() {
        add(&mut to_current, from_next);
    }
    for (b, row) in to_before.chunks_exact_mut(size).enumerate() {
        if window.reset_state(t, b).is_some() {
            row.fill(0.0);
        }
    }
    *from_next = to_before;
    to_current
}
