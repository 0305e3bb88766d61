//! The optimizers: the state that each keeps per parameter, and its update.

use crate::device::Device;
use crate::kernels::{Adagrad, Adam, Gradient, Momentum, Rmsprop, Sgd};
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
    /// Updates a parameter.
    pub update: fn(&mut Device, ParameterUpdate<'_>),
}

/// All optimizers.
pub static OPTIMIZERS: &[OptimizerKind] = &[
    OptimizerKind {
        name: "sgd",
        description: "plain stochastic gradient descent, the article's",
        state: &[],
        update: |device,
                 ParameterUpdate {
                     parameter,
                     gradient,
                     scale,
                     rate,
                     ..
                 }| {
            device.run(&Sgd {
                parameter,
                gradient,
                scale,
                rate,
            });
        },
    },
    OptimizerKind {
        name: "adagrad",
        description: "a rate for every parameter that falls with its gradients (Duchi 2011)",
        state: &["squares"],
        update: |device,
                 ParameterUpdate {
                     parameter,
                     gradient,
                     state,
                     scale,
                     rate,
                     ..
                 }| {
            device.run(&Adagrad {
                parameter,
                squares: state[0],
                gradient,
                scale,
                rate,
            });
        },
    },
    OptimizerKind {
        name: "adam",
        description: "running means of gradients and their squares (Kingma and Ba 2015)",
        state: &["first", "second"],
        update: adam,
    },
    OptimizerKind {
        name: "adamw",
        description: "Adam with --l2, which shrinks weights apart from the gradient (Loshchilov \
            and Hutter 2019)",
        state: &["first", "second"],
        update: adam,
    },
    OptimizerKind {
        name: "momentum",
        description: "steps along a velocity that keeps 0.9 of itself, as in PyTorch's SGD",
        state: &["velocity"],
        update: |device, update| momentum(device, update, false),
    },
    OptimizerKind {
        name: "nesterov",
        description: "momentum with a look ahead (Nesterov 1983, Sutskever 2013)",
        state: &["velocity"],
        update: |device, update| momentum(device, update, true),
    },
    OptimizerKind {
        name: "rmsprop",
        description: "the gradient divided by the root of its running square (Tieleman and Hinton \
            2012)",
        state: &["squares"],
        update: |device,
                 ParameterUpdate {
                     parameter,
                     gradient,
                     state,
                     scale,
                     rate,
                     ..
                 }| {
            device.run(&Rmsprop {
                parameter,
                squares: state[0],
                gradient,
                scale,
                rate,
            });
        },
    },
];

fn adam(
    device: &mut Device,
    ParameterUpdate {
        parameter,
        gradient,
        state,
        scale,
        rate,
        step,
    }: ParameterUpdate<'_>,
) {
    device.run(&Adam {
        parameter,
        first: state[0],
        second: state[1],
        gradient,
        scale,
        rate,
        step,
    });
}

fn momentum(
    device: &mut Device,
    ParameterUpdate {
        parameter,
        gradient,
        state,
        scale,
        rate,
        ..
    }: ParameterUpdate<'_>,
    nesterov: bool,
) {
    device.run(&Momentum {
        parameter,
        velocity: state[0],
        gradient,
        scale,
        rate,
        nesterov,
    });
}
