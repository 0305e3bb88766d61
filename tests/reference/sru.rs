//! The simple recurrent unit (Lei 2018), whose gates read nothing but the layer's input x(t) and
//! the unit's own memory:
//!
//! ```text
//! [u, p, q] = W_ih x(t)                   v = weight_c, b = bias
//! f = σ(p + v_f c(t-1) + b_f)             c(t) = f c(t-1) + (1 - f) u
//! r = σ(q + v_r c(t-1) + b_r)             h(t) = r c(t) + (1 - r) x(t)
//! ```
//!
//! Where x(t) is one-hot or does not have H values, a fourth part of `W_ih x(t)` takes its place in
//! h(t). c is carried from step to step, h is not.

use super::kernels::Activation;
use super::linear::{add, add_to};
use super::network::{Architecture, Named, Network};
use super::passes::LayerStep;

impl Architecture {
    /// Whether the units of layer k read x themselves.
    pub fn highway_reads_input(&self, k: usize) -> bool {
        let is_one_hot = k == 0 && self.embedding_size == 0;
        !is_one_hot && self.input_size(k) == self.layer_size(k)
    }
}

/// One unit at one step.
struct Unit {
    /// u, p, q and x.
    z: [f64; 4],
    /// c(t-1).
    c: f64,
    /// v_f and v_r.
    v: [f64; 2],
    /// b_f and b_r.
    b: [f64; 2],
}

impl Unit {
    /// f and r.
    fn gates(&self) -> [f64; 2] {
        let [_, p, q, _] = self.z;
        let f = p + self.v[0] * self.c + self.b[0];
        let r = q + self.v[1] * self.c + self.b[1];
        [f, r].map(|z| Activation::Sigmoid.value(z))
    }

    /// h(t) and c(t).
    fn forward(&self) -> [f64; 2] {
        let ([f, r], [u, _, _, x]) = (self.gates(), self.z);
        let c = f * self.c + (1.0 - f) * u;
        [r * c + (1.0 - r) * x, c]
    }

    /// From dloss/dh(t) and dloss/dc(t) to dloss/d(u, p, q, x) and dloss/dc(t-1).
    fn backward(&self, [to_h, to_c]: [f64; 2]) -> ([f64; 4], f64) {
        let ([f, r], [u, _, _, x]) = (self.gates(), self.z);
        let c = self.forward()[1];
        let to_c = to_c + to_h * r;
        let p = to_c * (self.c - u) * Activation::Sigmoid.derivative(f);
        let q = to_h * (c - x) * Activation::Sigmoid.derivative(r);
        let z = [to_c * (1.0 - f), p, q, to_h * (1.0 - r)];
        (z, to_c * f + p * self.v[0] + q * self.v[1])
    }
}

/// The gradients of a layer at one step.
pub struct SruBack {
    /// Of `W_ih x(t)`.
    pub from_input: Vec<f64>,
    /// Of c(t-1).
    pub previous: Vec<f64>,
    /// The part of that of x(t) that does not come through W_ih.
    pub input: Vec<f64>,
}

impl Network {
    /// The unit `i` of `[B, H]` of layer k.
    fn sru_unit(&self, k: usize, from_input: &[f64], input: &[f64], c: &[f64], i: usize) -> Unit {
        let a = &self.architecture;
        let size = a.layer_size(k);
        let (stream, unit) = (i / size, i % size);
        let z = |gate: usize| from_input[stream * a.gates_size(k) + gate * size + unit];
        let x = match a.highway_reads_input(k) {
            true => input[i],
            false => z(3),
        };
        let pair = |values: &[f64]| [values[unit], values[size + unit]];
        Unit {
            z: [z(0), z(1), z(2), x],
            c: c[i],
            v: pair(self.parameter(&format!("rnn.weight_c_l{k}"))),
            b: self.bias(&format!("rnn.bias_l{k}")).map_or([0.0; 2], pair),
        }
    }

    /// h(t) and c(t) of layer k, `[B, H]` each.
    pub(super) fn sru_forward(
        &self,
        k: usize,
        from_input: &[f64],
        input: &[f64],
        c: &[f64],
    ) -> [Vec<f64>; 2] {
        let units = (0..c.len()).map(|i| self.sru_unit(k, from_input, input, c, i).forward());
        let (h, c) = units.map(|[h, c]| (h, c)).unzip();
        [h, c]
    }

    /// Back through a step of layer k, from the gradients of h(t) and c(t).
    pub(super) fn sru_backward(
        &self,
        k: usize,
        step: &LayerStep,
        [to_h, to_c]: [&[f64]; 2],
        gradients: &mut Named,
    ) -> SruBack {
        let a = &self.architecture;
        let size = a.layer_size(k);
        let (c, from_input) = (&step.previous[0], &step.arguments.from_input);
        let mut back = SruBack {
            from_input: vec![0.0; from_input.len()],
            previous: Vec::new(),
            input: vec![0.0; step.input.len()],
        };
        let [mut to_v, mut to_b] = [vec![0.0; 2 * size], vec![0.0; 2 * size]];
        for i in 0..c.len() {
            let unit = self.sru_unit(k, from_input, &step.input, c, i);
            let (z, to_previous) = unit.backward([to_h[i], to_c[i]]);
            back.previous.push(to_previous);
            let (stream, j) = (i / size, i % size);
            for (gate, gradient) in z.into_iter().enumerate() {
                match gate {
                    3 if a.highway_reads_input(k) => back.input[i] = gradient,
                    _ => back.from_input[stream * a.gates_size(k) + gate * size + j] = gradient,
                }
            }
            for gate in 0..2 {
                add(&mut to_v[gate * size + j..][..1], &[z[1 + gate] * c[i]]);
                add(&mut to_b[gate * size + j..][..1], &[z[1 + gate]]);
            }
        }
        add_to(gradients, &format!("rnn.weight_c_l{k}"), &to_v);
        let bias = format!("rnn.bias_l{k}");
        if self.bias(&bias).is_some() {
            add_to(gradients, &bias, &to_b);
        }
        back
    }
}
