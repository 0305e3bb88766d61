//! The reference: the network of Mikolov 2010 and its gated cells in f64, as plain scalar loops
//! that follow the equations.
//!
//! Nothing here uses the crate under test, so the two cannot share a mistake. The chain of trust
//! starts in this folder: [`finite_differences`] checks the gradients of [`network`], [`goldens`]
//! (PyTorch's values) its outputs and the [`optimizers`], [`properties`] the [`kernels`] and the
//! [`masks`], [`network_properties`] and [`network_structure`] what the others cannot see. Only
//! [`goldens`] needs more than the standard library: it reads JSON.

pub mod arpa;
pub mod cells;
pub mod contexts;
pub mod ends;
pub mod feed_forward;
pub mod finite_differences;
pub mod generator;
pub mod goldens;
pub mod kernels;
pub mod layer_norm;
pub mod linear;
pub mod masks;
pub mod mixture;
pub mod mogrifier;
pub mod network;
pub mod network_properties;
pub mod network_structure;
pub mod optimizers;
pub mod outputs;
pub mod passes;
pub mod past;
pub mod penalties;
pub mod properties;
pub mod qrnn;
pub mod sampled;
pub mod sru;
