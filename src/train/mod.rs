//! Training: epochs of windows, one update for every window or every few, steered by the validation
//! text.
//!
//! In: a corpus, a model, a [`Recipe`]. Out: a model that got better, and what happened on the way.
//! [`Trainer`] is one run that can be saved at any window and resumed to the same bits.

mod accumulator;
mod averager;
mod choices;
mod jitter;
mod optimizer;
mod progress;
mod recipe;
mod schedule;
mod step_metrics;
mod trainer;

pub use choices::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
pub use optimizer::{OPTIMIZERS, OptimizerKind, ParameterUpdate};
pub use progress::{EpochRecord, Event, Progress, Snapshot};
pub use recipe::Recipe;
pub use schedule::{Schedule, Verdict};
pub use trainer::Trainer;
