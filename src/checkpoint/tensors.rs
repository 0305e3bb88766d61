//! Reading and writing safetensors files of f32 matrices.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::error::{Error, Result};

/// A tensor to be written: name, shape, values.
pub(super) type Named<'a> = (String, Vec<usize>, &'a [f32]);

/// Writes a file that `safetensors.torch.load_file` reads.
pub(super) fn write(path: &Path, tensors: &[Named<'_>]) -> Result<()> {
    let broken = |error: safetensors::SafeTensorError| {
        Error::invalid(
            path.display().to_string(),
            error.to_string(),
            "This is a bug in Elman",
        )
    };
    let views = tensors
        .iter()
        .map(|(name, shape, values)| {
            Ok((
                name,
                TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))
                    .map_err(broken)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => Error::io("write", path)(source),
        other => broken(other),
    })
}

/// The tensors of a file, taken out one by one under their names.
#[derive(Debug)]
pub(super) struct TensorFile {
    name: String,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TensorFile {
    /// Reads and checks the whole file.
    ///
    /// # Errors
    /// If it is missing, truncated, no safetensors file, or holds a tensor that is not f32 or not
    /// finite.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let name = path.display().to_string();
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            Error::invalid(
                name.clone(),
                format!("it is no whole safetensors file ({error})"),
                "Restore it from a copy, or train again",
            )
        })?;
        let mut tensors = HashMap::new();
        for (tensor, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(Error::invalid(
                    format!("{tensor} of {name}"),
                    format!("it is {:?}", view.dtype()),
                    "Elman's tensors are F32",
                ));
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::invalid(
                    format!("{tensor} of {name}"),
                    format!("element {position} is {}", values[position]),
                    "A model's numbers must be finite: restore the file from a copy, or train \
                     again",
                ));
            }
            tensors.insert(tensor, (view.shape().to_vec(), values));
        }
        Ok(Self { name, tensors })
    }

    /// Whether there is a tensor of that name.
    pub(super) fn contains(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    /// Takes a tensor that must be there with that shape.
    pub(super) fn take(&mut self, tensor: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (found, values) = self.tensors.remove(tensor).ok_or_else(|| {
            Error::invalid(
                format!("{tensor} of {}", self.name),
                "it is missing",
                "Restore the file from a copy, or train again",
            )
        })?;
        if found != shape {
            return Err(Error::invalid(
                format!("{tensor} of {}", self.name),
                format!("its shape is {found:?}, and the configuration says {shape:?}"),
                "The files of a model belong together: restore them from one copy",
            ));
        }
        Ok(values)
    }

    /// Takes a tensor that must be there, of any shape.
    pub(super) fn take_any(&mut self, tensor: &str) -> Result<Vec<f32>> {
        let shape = self
            .tensors
            .get(tensor)
            .map_or_else(Vec::new, |(shape, _)| shape.clone());
        self.take(tensor, &shape)
    }

    /// Nothing may be left that the configuration does not know.
    pub(super) fn finish(self) -> Result<()> {
        match self.tensors.keys().min() {
            None => Ok(()),
            Some(tensor) => Err(Error::invalid(
                format!("{tensor} of {}", self.name),
                "the configuration knows no such tensor",
                "The files of a model belong together: restore them from one copy",
            )),
        }
    }
}
