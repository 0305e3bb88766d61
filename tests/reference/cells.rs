//! The recurrent cells: one plain forward and one plain backward function each, of one unit at one
//! step.
//!
//! The argument of every gate has a part that comes from the input and one that comes from the
//! state, gate by gate in PyTorch's order:
//!
//! ```text
//! p = W_ih x(t) + b_ih            q = W_hh h(t-1) + b_hh            σ(z) = 1 / (1 + e^-z)
//!
//! Elman   h(t) = f(p + q)
//!
//! GRU     r = σ(p_r + q_r)        z = σ(p_z + q_z)        n = tanh(p_n + r q_n)
//!         h(t) = (1 - z) n + z h(t-1)
//!
//! LSTM    i = σ(p_i + q_i)        f = σ(p_f + q_f)
//!         g = tanh(p_g + q_g)     o = σ(p_o + q_o)
//!         c(t) = f c(t-1) + i g
//!         h(t) = o tanh(c(t))
//!         capped (Melis 2020): min(1 - f, i) in the place of i, and of the gradient i where the
//!         two are equal
//! ```
//!
//! The mogrifier is an LSTM with rounds before it: see [`mogrifier`](super::mogrifier). The LSTM
//! with layer normalization: see [`layer_norm`](super::layer_norm). The quasi-recurrent unit: see
//! [`qrnn`](super::qrnn). The simple recurrent unit: see
//! [`sru`](super::sru).

use super::kernels::Activation;

/// The equations of a hidden unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Elman 1990, Mikolov 2010: one gate, one state h.
    Elman,
    /// The gated recurrent unit with the reset gate after the product: gates r, z, n, one state h.
    Gru,
    /// The long short-term memory without peepholes: gates i, f, g, o, the states h and c.
    Lstm,
    /// An LSTM that reads its input and its state after rounds in which they gate each other.
    Mogrifier,
    /// The quasi-recurrent unit: gates z, f and o, one state c.
    Qrnn,
    /// The simple recurrent unit: gates u, f and r, one state c.
    Sru,
}

impl Cell {
    /// Every cell, with its name in files and flags.
    pub const TABLE: [(&'static str, Self); 6] = [
        ("elman", Self::Elman),
        ("gru", Self::Gru),
        ("lstm", Self::Lstm),
        ("mogrifier", Self::Mogrifier),
        ("qrnn", Self::Qrnn),
        ("sru", Self::Sru),
    ];

    /// G.
    pub fn gates(self) -> usize {
        match self {
            Self::Elman => 1,
            Self::Gru | Self::Qrnn | Self::Sru => 3,
            Self::Lstm | Self::Mogrifier => 4,
        }
    }

    /// The values that a unit carries from step to step: h, and c after it for the LSTMs; c for the
    /// quasi-recurrent and the simple recurrent unit.
    pub fn states(self) -> usize {
        match self {
            Self::Elman | Self::Gru | Self::Qrnn | Self::Sru => 1,
            Self::Lstm | Self::Mogrifier => 2,
        }
    }

    /// Whether there is a weight from the states of all units.
    pub fn has_recurrent_weight(self) -> bool {
        !matches!(self, Self::Qrnn | Self::Sru)
    }
}

/// The units of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Their equations.
    pub cell: Cell,
    /// f of the Elman cell; the other cells have fixed functions.
    pub activation: Activation,
    /// Whether i of the LSTM, also of a mogrifier, is at most 1 - f.
    pub capped: bool,
    /// H.
    pub size: usize,
}

/// The arguments of a layer's gates at one step, or the gradients of the loss with respect to them.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// p, `[B, G*H]`.
    pub from_input: Vec<f64>,
    /// q, `[B, G*H]`.
    pub from_state: Vec<f64>,
}

impl Layer {
    /// The states after a step, `[B, H]` each, from those before it.
    pub fn forward(&self, arguments: &Arguments, previous: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut states = previous.to_vec();
        for unit in 0..previous[0].len() {
            match self.cell {
                Cell::Elman => {
                    let (p, q) = self.gates(arguments, unit);
                    states[0][unit] = elman(self.activation, p, q);
                }
                Cell::Gru => {
                    let (p, q) = self.gates(arguments, unit);
                    states[0][unit] = gru(p, q, previous[0][unit]);
                }
                Cell::Lstm | Cell::Mogrifier => {
                    let (p, q) = self.gates(arguments, unit);
                    [states[0][unit], states[1][unit]] = lstm(p, q, previous[1][unit], self.capped);
                }
                Cell::Qrnn | Cell::Sru => unreachable!("it reads more than the arguments"),
            }
        }
        states
    }

    /// Maps the gradients of the states after a step to those of the gates' arguments and to the
    /// part of those of the states before it that does not come through q.
    pub fn backward(
        &self,
        arguments: &Arguments,
        previous: &[Vec<f64>],
        gradients: &[Vec<f64>],
    ) -> (Arguments, Vec<Vec<f64>>) {
        let zeros = || vec![0.0; arguments.from_input.len()];
        let mut back = Arguments {
            from_input: zeros(),
            from_state: zeros(),
        };
        let mut to_previous: Vec<Vec<f64>> = previous
            .iter()
            .map(|state| vec![0.0; state.len()])
            .collect();
        for unit in 0..previous[0].len() {
            match self.cell {
                Cell::Elman => {
                    let (p, q) = self.gates(arguments, unit);
                    let argument = elman_backward(self.activation, p, q, gradients[0][unit]);
                    self.set_gates(&mut back, unit, argument, argument);
                }
                Cell::Gru => {
                    let (p, q) = self.gates(arguments, unit);
                    let (from_input, from_state, h) =
                        gru_backward(p, q, previous[0][unit], gradients[0][unit]);
                    self.set_gates(&mut back, unit, from_input, from_state);
                    to_previous[0][unit] = h;
                }
                Cell::Lstm | Cell::Mogrifier => {
                    let (p, q) = self.gates(arguments, unit);
                    let (argument, c) = lstm_backward(
                        p,
                        q,
                        previous[1][unit],
                        [gradients[0][unit], gradients[1][unit]],
                        self.capped,
                    );
                    self.set_gates(&mut back, unit, argument, argument);
                    to_previous[1][unit] = c;
                }
                Cell::Qrnn | Cell::Sru => unreachable!("it reads more than the arguments"),
            }
        }
        (back, to_previous)
    }

    /// For units with a kink, ReLU or a capped gate, whether each of `[B, H]` is active: above 0,
    /// or capped.
    pub fn sides_of_kinks(&self, arguments: &Arguments) -> Option<Vec<bool>> {
        let units = 0..arguments.from_input.len() / self.cell.gates();
        let is_relu = self.cell == Cell::Elman && self.activation == Activation::Relu;
        if is_relu {
            let sums = units.map(|unit| arguments.from_input[unit] + arguments.from_state[unit]);
            return Some(sums.map(|sum| sum > 0.0).collect());
        }
        if !matches!(self.cell, Cell::Lstm | Cell::Mogrifier) || !self.capped {
            return None;
        }
        let is_capped = |unit| {
            let (p, q) = self.gates(arguments, unit);
            let [i, f, ..] = lstm_gates(p, q);
            1.0 - f < i
        };
        Some(units.map(is_capped).collect())
    }

    /// p and q of one unit of `[B, H]`, all its gates.
    pub(super) fn gates<const G: usize>(
        &self,
        arguments: &Arguments,
        unit: usize,
    ) -> ([f64; G], [f64; G]) {
        let of = |values: &[f64]| std::array::from_fn(|gate| values[self.place::<G>(unit, gate)]);
        (of(&arguments.from_input), of(&arguments.from_state))
    }

    /// Writes what [`gates`](Self::gates) reads.
    pub(super) fn set_gates<const G: usize>(
        &self,
        arguments: &mut Arguments,
        unit: usize,
        p: [f64; G],
        q: [f64; G],
    ) {
        for gate in 0..G {
            let place = self.place::<G>(unit, gate);
            (arguments.from_input[place], arguments.from_state[place]) = (p[gate], q[gate]);
        }
    }

    /// The position of one gate of one unit of `[B, H]` in `[B, G*H]`.
    fn place<const G: usize>(&self, unit: usize, gate: usize) -> usize {
        let (b, j) = (unit / self.size, unit % self.size);
        (b * G + gate) * self.size + j
    }
}

/// h(t).
fn elman(activation: Activation, [p]: [f64; 1], [q]: [f64; 1]) -> f64 {
    activation.value(p + q)
}

/// dloss/dp, which is dloss/dq, from dloss/dh(t).
fn elman_backward(activation: Activation, p: [f64; 1], q: [f64; 1], gradient: f64) -> [f64; 1] {
    [gradient * activation.derivative(elman(activation, p, q))]
}

/// r, z and n.
fn gru_gates(p: [f64; 3], q: [f64; 3]) -> [f64; 3] {
    let r = Activation::Sigmoid.value(p[0] + q[0]);
    let z = Activation::Sigmoid.value(p[1] + q[1]);
    let n = Activation::Tanh.value(p[2] + r * q[2]);
    [r, z, n]
}

/// h(t) from h(t-1).
fn gru(p: [f64; 3], q: [f64; 3], h: f64) -> f64 {
    let [_, z, n] = gru_gates(p, q);
    (1.0 - z) * n + z * h
}

/// From dloss/dh(t) to dloss/dp, dloss/dq and, not through q, dloss/dh(t-1).
fn gru_backward(p: [f64; 3], q: [f64; 3], h: f64, gradient: f64) -> ([f64; 3], [f64; 3], f64) {
    let [r, z, n] = gru_gates(p, q);
    let n_argument = gradient * (1.0 - z) * Activation::Tanh.derivative(n);
    let r_argument = n_argument * q[2] * Activation::Sigmoid.derivative(r);
    let z_argument = gradient * (h - n) * Activation::Sigmoid.derivative(z);
    (
        [r_argument, z_argument, n_argument],
        [r_argument, z_argument, n_argument * r],
        gradient * z,
    )
}

/// i, f, g and o.
pub(super) fn lstm_gates(p: [f64; 4], q: [f64; 4]) -> [f64; 4] {
    let functions = [
        Activation::Sigmoid,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Sigmoid,
    ];
    std::array::from_fn(|gate| functions[gate].value(p[gate] + q[gate]))
}

/// The part of g that is written to c(t).
pub(super) fn written(i: f64, f: f64, capped: bool) -> f64 {
    if capped { i.min(1.0 - f) } else { i }
}

/// h(t) and c(t) from c(t-1).
fn lstm(p: [f64; 4], q: [f64; 4], c: f64, capped: bool) -> [f64; 2] {
    let [i, f, g, o] = lstm_gates(p, q);
    let new = f * c + written(i, f, capped) * g;
    [o * new.tanh(), new]
}

/// From dloss/dh(t) and dloss/dc(t) to dloss/dp, which is dloss/dq, and dloss/dc(t-1).
fn lstm_backward(
    p: [f64; 4],
    q: [f64; 4],
    c: f64,
    [to_h, to_c]: [f64; 2],
    capped: bool,
) -> ([f64; 4], f64) {
    let [i, f, g, o] = lstm_gates(p, q);
    let squashed = (f * c + written(i, f, capped) * g).tanh();
    // c(t) is read by the next step and by h(t).
    let to_c = to_c + to_h * o * Activation::Tanh.derivative(squashed);
    lstm_backward_through_gates([i, f, g, o], c, [to_h * squashed, to_c], capped)
}

/// From dloss/do and the whole of dloss/dc(t) to dloss/dp, which is dloss/dq, and dloss/dc(t-1).
pub(super) fn lstm_backward_through_gates(
    [i, f, g, o]: [f64; 4],
    c: f64,
    [to_o, to_c]: [f64; 2],
    capped: bool,
) -> ([f64; 4], f64) {
    let (to_i, to_f) = match capped && 1.0 - f < i {
        true => (0.0, to_c * (c - g)),
        false => (to_c * g, to_c * c),
    };
    let arguments = [
        to_i * Activation::Sigmoid.derivative(i),
        to_f * Activation::Sigmoid.derivative(f),
        to_c * written(i, f, capped) * Activation::Tanh.derivative(g),
        to_o * Activation::Sigmoid.derivative(o),
    ];
    (arguments, to_c * f)
}
