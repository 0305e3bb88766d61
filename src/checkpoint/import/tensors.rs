//! The safetensors file of another program: names, shapes, and values of any floating-point type
//! converted to f32.

use std::collections::{BTreeMap, HashMap};
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
    metadata: HashMap<String, String>,
    conversions: BTreeMap<String, Conversion>,
}

/// Counts of the values of one type that were converted to f32.
#[derive(Debug, Default)]
struct Conversion {
    tensors: usize,
    elements: usize,
    /// Elements that f32 does not represent exactly.
    rounded: usize,
}

impl<'a> ForeignTensors<'a> {
    /// Parses the bytes of a file. safetensors' `save_model` writes a tensor that has several names
    /// once and lists the other names in the metadata; here such a tensor has all its names.
    ///
    /// # Errors
    /// If the bytes are not a complete safetensors file.
    pub(super) fn open(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let file = path.display().to_string();
        let malformed = |error: safetensors::SafeTensorError| {
            Error::invalid(
                file.clone(),
                format!("it is not a complete safetensors file ({error})"),
                "PyTorch writes one with safetensors.torch.save_file(model.state_dict(), FILE)",
            )
        };
        let mut views: BTreeMap<_, _> = SafeTensors::deserialize(bytes)
            .map_err(malformed)?
            .tensors()
            .into_iter()
            .collect();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        for (alias, name) in &metadata {
            if let (false, Some(view)) = (views.contains_key(alias), views.get(name).cloned()) {
                views.insert(alias.clone(), view);
            }
        }
        Ok(Self {
            file,
            views,
            metadata,
            conversions: BTreeMap::new(),
        })
    }

    /// The name of the file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// What the file says about its tensors.
    pub(super) fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Takes the tensors `{name}.0`, `{name}.1` and so on, up to the first that is missing.
    ///
    /// # Errors
    /// As [`Self::values`].
    pub(super) fn take_indexed(&mut self, name: &str) -> Result<Option<Vec<Vec<f32>>>> {
        let mut vectors = Vec::new();
        while self.shape(&format!("{name}.{}", vectors.len())).is_some() {
            let tensor = format!("{name}.{}", vectors.len());
            vectors.push(self.values(&tensor)?);
            self.views.remove(&tensor);
        }
        Ok((!vectors.is_empty()).then_some(vectors))
    }

    /// The names of the tensors in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.views.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` if it is missing.
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

    /// The values of a tensor as f32.
    ///
    /// # Errors
    /// If the tensor is missing, its type is not a floating-point type of 16, 32 or 64 bits, or a
    /// value is not finite in f32.
    pub(super) fn values(&mut self, tensor: &str) -> Result<Vec<f32>> {
        let what = format!("{tensor} of {}", self.file);
        let view = self
            .views
            .get(tensor)
            .ok_or_else(|| Error::invalid(what.clone(), "it is missing", "Save it too"))?;
        let elements = as_f64(view).ok_or_else(|| {
            Error::invalid(
                what.clone(),
                format!("its type is {}", view.dtype()),
                "Elman reads F32, and converts F64, F16 and BF16: save the model with \
                 model.float()",
            )
        })?;
        let mut values = Vec::with_capacity(view.shape().iter().product());
        let mut rounded = 0;
        for (position, element) in elements.enumerate() {
            let value = element as f32;
            if !value.is_finite() {
                let reason = if element.is_finite() {
                    ", beyond the range of F32"
                } else {
                    ""
                };
                let index = index_of(position, view.shape());
                return Err(Error::invalid(
                    what,
                    format!("element {index:?} is {element:e}{reason}"),
                    "All values of a model must be finite: use an earlier state of the training",
                ));
            }
            rounded += usize::from(f64::from(value) != element);
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

    /// A sentence for each type that was converted.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.conversions.iter().map(|(dtype, conversion)| {
            let exactness = match conversion.rounded {
                0 => "all of them exactly".to_owned(),
                rounded => format!("{rounded} of them rounded to the nearest"),
            };
            format!(
                "{} tensor(s) of {} have type {dtype}: their {} elements were converted to F32, \
                 {exactness}",
                conversion.tensors, self.file, conversion.elements
            )
        })
    }
}

/// The elements of a tensor; f64 represents every supported type exactly. `None` for other types.
fn as_f64<'v>(view: &'v TensorView<'_>) -> Option<Box<dyn Iterator<Item = f64> + 'v>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F64 => decode(bytes, f64::from_le_bytes),
        Dtype::F32 => decode(bytes, |element| f32::from_le_bytes(element).into()),
        Dtype::F16 => decode(bytes, |element| f16::from_le_bytes(element).into()),
        Dtype::BF16 => decode(bytes, |element| bf16::from_le_bytes(element).into()),
        _ => return None,
    })
}

/// Elements of `N` bytes each.
fn decode<'v, const N: usize>(
    bytes: &'v [u8],
    to_f64: impl Fn([u8; N]) -> f64 + 'v,
) -> Box<dyn Iterator<Item = f64> + 'v> {
    Box::new(
        bytes
            .as_chunks()
            .0
            .iter()
            .map(move |&element| to_f64(element)),
    )
}

/// Row, column and so on of the element at a position.
fn index_of(position: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index = vec![0; shape.len()];
    for (index, &size) in index.iter_mut().zip(shape).rev() {
        *index = rest % size;
        rest /= size;
    }
    index
}
