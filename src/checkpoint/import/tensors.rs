//! A safetensors file of another program: names, shapes, and numbers of any floating-point type as
//! f32.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct ForeignTensors<'a> {
    file: String,
    views: BTreeMap<String, TensorView<'a>>,
    conversions: BTreeMap<String, Conversion>,
}

/// What became of the numbers of one type that is not f32.
#[derive(Debug, Default)]
struct Conversion {
    tensors: usize,
    elements: usize,
    rounded: usize,
}

impl<'a> ForeignTensors<'a> {
    /// Looks through the file's bytes. A name that safetensors' `save_model` left out because its
    /// tensor is in the file under another name is here again: the file's metadata say which.
    ///
    /// # Errors
    /// If they are no whole safetensors file.
    pub(super) fn open(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let file = path.display().to_string();
        let broken = |error: safetensors::SafeTensorError| {
            Error::invalid(
                file.clone(),
                format!("it is no whole safetensors file ({error})"),
                "PyTorch writes one with safetensors.torch.save_file(model.state_dict(), FILE)",
            )
        };
        let mut views: BTreeMap<_, _> = SafeTensors::deserialize(bytes)
            .map_err(broken)?
            .tensors()
            .into_iter()
            .collect();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        for (left_out, kept) in metadata.metadata().iter().flatten() {
            if let (false, Some(view)) = (views.contains_key(left_out), views.get(kept).cloned()) {
                views.insert(left_out.clone(), view);
            }
        }
        Ok(Self {
            file,
            views,
            conversions: BTreeMap::new(),
        })
    }

    /// The file's name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The tensors' names in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.views.keys().map(String::as_str)
    }

    /// The shape of a tensor, if it is there.
    pub(super) fn shape(&self, tensor: &str) -> Option<&[usize]> {
        self.views.get(tensor).map(TensorView::shape)
    }

    /// Whether two tensors have the same type, shape and bits.
    pub(super) fn are_equal(&self, one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|name| {
            self.views
                .get(name)
                .map(|view| (view.dtype(), view.shape(), view.data()))
        });
        one == other
    }

    /// The numbers of a tensor that is there.
    ///
    /// # Errors
    /// If they are no floating-point numbers of 16, 32 or 64 bits, or one is not finite in f32.
    pub(super) fn values(&mut self, tensor: &str) -> Result<Vec<f32>> {
        let what = format!("{tensor} of {}", self.file);
        let view = self
            .views
            .get(tensor)
            .ok_or_else(|| Error::invalid(what.clone(), "it is missing", "Save it too"))?;
        let numbers = numbers(view).ok_or_else(|| {
            Error::invalid(
                what.clone(),
                format!("its type is {}", view.dtype()),
                "Elman takes F32, and F64, F16 and BF16 for conversion: save the model with \
                 model.float()",
            )
        })?;
        let (mut values, mut rounded) = (Vec::with_capacity(view.shape().iter().product()), 0);
        for (position, number) in numbers.enumerate() {
            let value = number as f32;
            if !value.is_finite() {
                let beyond = if number.is_finite() {
                    ", beyond the range of F32"
                } else {
                    ""
                };
                return Err(Error::invalid(
                    what,
                    format!(
                        "element {:?} is {number:e}{beyond}",
                        index(position, view.shape())
                    ),
                    "A model's numbers must be finite: take an earlier state of the training",
                ));
            }
            rounded += usize::from(f64::from(value) != number);
            values.push(value);
        }
        if view.dtype() != Dtype::F32 {
            let conversion = self
                .conversions
                .entry(view.dtype().to_string())
                .or_default();
            conversion.tensors += 1;
            conversion.elements += values.len();
            conversion.rounded += rounded;
        }
        Ok(values)
    }

    /// A sentence for every type that was converted.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.conversions.iter().map(
            |(
                kind,
                Conversion {
                    tensors,
                    elements,
                    rounded,
                },
            )| {
                let how = match rounded {
                    0 => "each of them exactly".to_owned(),
                    rounded => format!("{rounded} of them rounded to the nearest"),
                };
                format!(
                    "{tensors} tensor(s) of {} hold {kind}: their {elements} numbers became F32, \
                {how}",
                    self.file
                )
            },
        )
    }
}

/// The numbers of a tensor; every type that is taken fits into f64.
fn numbers<'v>(view: &'v TensorView<'_>) -> Option<Box<dyn Iterator<Item = f64> + 'v>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F64 => Box::new(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes)),
        ),
        Dtype::F32 => Box::new(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from(f32::from_le_bytes(bytes))),
        ),
        Dtype::F16 => Box::new(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from(f16::from_le_bytes(bytes).to_f32())),
        ),
        Dtype::BF16 => Box::new(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from(bf16::from_le_bytes(bytes).to_f32())),
        ),
        _ => return None,
    })
}

/// Row, column, … of an element.
fn index(position: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| (rest % size, rest /= size).0)
        .collect();
    index.reverse();
    index
}
