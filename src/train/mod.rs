//! Training by truncated back-propagation through time, with a validation after each epoch.
//!
//! In: a corpus, a model's configuration and initial parameters, a [`Recipe`]. Out: the trained
//! parameters and a record of each epoch. [`Trainer`] is one run; it can be saved between any two
//! training steps and resumed with bit-identical results.

mod accumulator;
mod averager;
mod choices;
#[cfg(feature = "fault-injection")]
mod faults;
mod jitter;
mod last_update;
mod numbers;
mod optimizer;
mod progress;
mod rank_sums;
mod recipe;
mod recipe_fields;
mod schedule;
mod share;
mod state_resets;
mod step_metrics;
mod trainer;

pub use choices::{AverageKind, Keep, LossReduction, PrecisionKind, ScheduleKind};
pub use last_update::{LastUpdate, ParameterChange};
pub use optimizer::{OPTIMIZERS, OptimizerKind, ParameterUpdate};
pub use progress::{DeviceRecord, EpochRecord, Event, OptimizerState, Progress, Snapshot};
pub use recipe::Recipe;
pub use schedule::{Schedule, Verdict};
pub use share::CorpusShare;
pub use trainer::{Trainer, check_precision};
