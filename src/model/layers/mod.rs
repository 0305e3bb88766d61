//! The layers between the tokens and the output layer.
//!
//! A new kind of layer is a file in this folder that implements [`Layer`](super::layer::Layer), and
//! a place in [`stack`](super::stack).

mod activation_penalty;
mod contexts;
mod dropout;
mod embedding;
mod input_norm;
mod linear;
mod per_type;
mod previous_input;
mod recurrent;
mod residual;
mod skip;

pub(super) use activation_penalty::ActivationPenalty;
use contexts::Contexts;
pub(super) use dropout::Dropout;
pub(super) use embedding::Embedding;
pub(super) use linear::Linear;
pub(super) use per_type::PerTypeInput;
pub(super) use previous_input::PreviousInput;
pub(super) use recurrent::{Recurrent, recurrent_parameter_name};
pub(super) use residual::ResidualInput;
pub(super) use skip::Skip;
