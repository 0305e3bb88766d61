//! The reference: the network of Mikolov 2010 and its gated cells in f64, as plain scalar loops
//! straight from the equations.
//!
//! Nothing here imports anything from the crate under test, so a mistake there cannot be repeated
//! here by sharing code. The chain of trust begins in this directory: [`finite_differences`] vouch
//! for the gradients of [`network`], [`goldens`] (PyTorch's numbers) for its values and for the
//! [`optimizers`], [`properties`] for the [`kernels`] and the [`masks`], [`network_properties`] for
//! what none of the others can see. Only [`goldens`] needs more than the standard library: it reads
//! JSON.

pub mod arpa;
pub mod cells;
pub mod finite_differences;
pub mod generator;
pub mod goldens;
pub mod kernels;
pub mod linear;
pub mod masks;
pub mod network;
pub mod network_properties;
pub mod network_structure;
pub mod optimizers;
pub mod outputs;
pub mod passes;
pub mod properties;
pub mod sampled;
