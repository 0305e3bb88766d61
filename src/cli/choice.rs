//! The library's enumerations as values of flags.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::checkpoint::vectors::WordTable;
use crate::corpus::Unit;
use crate::field::Choice;
#[cfg(feature = "onnx")]
use crate::onnx::OnnxForm;
use crate::rescore::{ListIds, NbestFormat};
use crate::train::PrecisionKind;

macro_rules! value_enums {
    ($($type:ty),*) => {
        $(impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                Self::ALL
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(PossibleValue::new(self.name()).help(self.description()))
            }
        })*
    };
}

value_enums!(Unit, WordTable, NbestFormat, ListIds, PrecisionKind);
#[cfg(feature = "onnx")]
value_enums!(OnnxForm);
