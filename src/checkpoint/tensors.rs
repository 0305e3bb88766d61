//! Reading and writing safetensors files of f32 tensors.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

use crate::error::{Error, Result};

/// A tensor to write.
pub(super) struct NamedTensor<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// The elements, row by row.
    pub(super) values: &'a [f32],
}

/// Writes a file that `safetensors.torch.load_file` reads. It has the mode that the umask gives.
pub(super) fn write(path: &Path, tensors: &[NamedTensor<'_>]) -> Result<()> {
    let malformed = |error: SafeTensorError| {
        Error::invalid(
            path.display().to_string(),
            error.to_string(),
            "This is a bug in Elman",
        )
    };
    let views = tensors
        .iter()
        .map(|tensor| {
            let bytes = bytemuck::cast_slice(tensor.values);
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
            Ok((&tensor.name, view.map_err(malformed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // `serialize_to_file` writes a private temporary file (mode 0600) and renames it to `path`.
    // The file created here has the default mode, which is restored afterwards.
    let permissions = File::create(path)
        .and_then(|file| file.metadata())
        .map_err(Error::io("write", path))?
        .permissions();
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| match error {
        SafeTensorError::IoError(source) => Error::io("write", path)(source),
        other => malformed(other),
    })?;
    fs::set_permissions(path, permissions).map_err(Error::io("write", path))
}

/// The tensors of a file, taken one by one by name.
#[derive(Debug)]
pub(super) struct TensorFile {
    name: String,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TensorFile {
    /// Reads and checks the whole file.
    ///
    /// # Errors
    /// If it is missing, truncated, not a safetensors file, or holds a tensor that is not f32 or
    /// not finite.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let name = path.display().to_string();
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            Error::invalid(
                name.clone(),
                format!("it is not a complete safetensors file ({error})"),
                "Restore it from a copy, or train again",
            )
        })?;
        let mut tensors = HashMap::new();
        for (tensor, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(Error::invalid(
                    format!("{tensor} of {name}"),
                    format!("its type is {:?}", view.dtype()),
                    "Elman's tensors are F32",
                ));
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::invalid(
                    format!("{tensor} of {name}"),
                    format!("element {position} is {}", values[position]),
                    "All values of a model must be finite: restore the file from a copy, or train \
                     again",
                ));
            }
            tensors.insert(tensor, (view.shape().to_vec(), values));
        }
        Ok(Self { name, tensors })
    }

    /// Whether the file has a tensor with that name.
    pub(super) fn contains(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    /// Takes a tensor of the given shape.
    ///
    /// # Errors
    /// If it is missing or has another shape.
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
                super::RESTORE_ALL,
            ));
        }
        Ok(values)
    }

    /// Takes the tensors `{name}.0`, `{name}.1` and so on, of any shape, up to the first that is
    /// missing.
    pub(super) fn take_indexed(&mut self, name: &str) -> Vec<Vec<f32>> {
        let mut vectors = Vec::new();
        while let Some((_, values)) = self.tensors.remove(&format!("{name}.{}", vectors.len())) {
            vectors.push(values);
        }
        vectors
    }

    /// Checks that every tensor was taken.
    ///
    /// # Errors
    /// If the file has a tensor that the configuration does not have.
    pub(super) fn finish(self) -> Result<()> {
        match self.tensors.keys().min() {
            None => Ok(()),
            Some(tensor) => Err(Error::invalid(
                format!("{tensor} of {}", self.name),
                "the configuration has no such tensor",
                super::RESTORE_ALL,
            )),
        }
    }
}
