//! The optimizers: the state that each keeps per parameter, and its update.

use crate::device::Device;
use crate::kernels::{Adagrad, Adam, Gradient, Momentum, Rmsprop, Sgd, Update, Updates};
use crate::tensor::Tensor;

/// The arguments of one parameter's update.
#[derive(Debug, Clone, Copy)]
pub struct ParameterUpdate<'a> {
    /// The parameter.
    pub parameter: Tensor,
    /// Its gradient.
    pub gradient: Gradient,
    /// The optimizer's state for it: one tensor of its shape for each name in
    /// [`OptimizerKind::state`].
    pub state: &'a [Tensor],
    /// `[1, 1]`: a factor of every gradient.
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
    /// The number of the update, counted from 1.
    pub step: u32,
}

/// An optimizer.
#[derive(Debug)]
pub struct OptimizerKind {
    /// The name in flags and files.
    pub name: &'static str,
    /// A description for help texts.
    pub description: &'static str,
    /// The names of the state tensors it keeps for every parameter, in alphabetical order.
    pub state: &'static [&'static str],
    /// Updates parameters.
    pub update: fn(&mut Device, &[ParameterUpdate<'_>]),
}

/// All optimizers.
pub static OPTIMIZERS: &[OptimizerKind] = &[
    OptimizerKind {
        name: "sgd",
        description: "plain stochastic gradient descent, as in Mikolov 2010",
        state: &[],
        update: sgd,
    },
    OptimizerKind {
        name: "adagrad",
        description: "rates per parameter that decrease with the sum of squared gradients (Duchi \
            2011)",
        state: &["squares"],
        update: adagrad,
    },
    OptimizerKind {
        name: "adam",
        description: "moving averages of the gradient and of its square (Kingma and Ba 2015)",
        state: &["first", "second"],
        update: adam,
    },
    OptimizerKind {
        name: "adamw",
        description: "Adam with decoupled weight decay `l2` (Loshchilov and Hutter 2019)",
        state: &["first", "second"],
        update: adam,
    },
    OptimizerKind {
        name: "momentum",
        description: "momentum of 0.9, as in PyTorch's SGD",
        state: &["velocity"],
        update: |device, updates| momentum(device, updates, false),
    },
    OptimizerKind {
        name: "nesterov",
        description: "Nesterov momentum of 0.9 (Nesterov 1983, Sutskever 2013)",
        state: &["velocity"],
        update: |device, updates| momentum(device, updates, true),
    },
    OptimizerKind {
        name: "rmsprop",
        description: "gradient divided by the root of its mean square (Tieleman and Hinton 2012)",
        state: &["squares"],
        update: rmsprop,
    },
];

/// Runs the kernels of all updates together.
fn run<U: Update>(
    device: &mut Device,
    updates: &[ParameterUpdate<'_>],
    kernel: impl Fn(&ParameterUpdate<'_>) -> U,
) {
    let kernels: Vec<U> = updates.iter().map(kernel).collect();
    device.run(&Updates(&kernels));
}

fn sgd(device: &mut Device, updates: &[ParameterUpdate<'_>]) {
    run(device, updates, |update| Sgd {
        parameter: update.parameter,
        gradient: update.gradient,
        scale: update.scale,
        rate: update.rate,
    });
}

fn adagrad(device: &mut Device, updates: &[ParameterUpdate<'_>]) {
    run(device, updates, |update| Adagrad {
        parameter: update.parameter,
        squares: update.state[0],
        gradient: update.gradient,
        scale: update.scale,
        rate: update.rate,
    });
}

fn adam(device: &mut Device, updates: &[ParameterUpdate<'_>]) {
    run(device, updates, |update| Adam {
        parameter: update.parameter,
        first: update.state[0],
        second: update.state[1],
        gradient: update.gradient,
        scale: update.scale,
        rate: update.rate,
        step: update.step,
    });
}

fn momentum(device: &mut Device, updates: &[ParameterUpdate<'_>], nesterov: bool) {
    run(device, updates, |update| Momentum {
        parameter: update.parameter,
        velocity: update.state[0],
        gradient: update.gradient,
        scale: update.scale,
        rate: update.rate,
        nesterov,
    });
}

fn rmsprop(device: &mut Device, updates: &[ParameterUpdate<'_>]) {
    run(device, updates, |update| Rmsprop {
        parameter: update.parameter,
        squares: update.state[0],
        gradient: update.gradient,
        scale: update.scale,
        rate: update.rate,
    });
}
