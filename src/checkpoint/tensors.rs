//! Reading and writing safetensors files of f32 tensors.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensors};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{Error, Result};

/// A tensor to write.
pub(super) struct NamedTensor<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// The elements, row by row.
    pub(super) values: &'a [f32],
}

/// What a file says about its tensors, beside their names and shapes.
pub(super) type Metadata = BTreeMap<String, String>;

/// The JSON header of a file: names, shapes and places of its tensors, in the order of the data.
struct Header<'a> {
    metadata: Metadata,
    tensors: Vec<(&'a str, TensorInfo)>,
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry("__metadata__", &self.metadata)?;
        for (name, info) in &self.tensors {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

/// Writes a file that `safetensors.torch.load_file` reads.
///
/// The functions of the crate `safetensors` hold a copy of the file in memory, or write a second
/// temporary file with a random name, which stays where the process is killed.
pub(super) fn write(path: &Path, tensors: &[NamedTensor<'_>], metadata: &Metadata) -> Result<()> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(&sorted, metadata);
    let mut file = BufWriter::new(File::create(path).map_err(Error::io("write", path))?);
    let mut write = || {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in &sorted {
            file.write_all(bytemuck::cast_slice(tensor.values))?;
        }
        file.flush()
    };
    write().map_err(Error::io("write", path))
}

/// The bytes of the header, padded with spaces to a multiple of eight.
fn header(tensors: &[&NamedTensor<'_>], metadata: &Metadata) -> Vec<u8> {
    let mut metadata = metadata.clone();
    metadata.insert("format".to_owned(), "pt".to_owned());
    let mut end = 0;
    let mut info = |tensor: &NamedTensor<'_>| {
        let start = end;
        end += size_of_val(tensor.values);
        TensorInfo {
            dtype: Dtype::F32,
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        }
    };
    let header = Header {
        metadata,
        tensors: tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), info(tensor)))
            .collect(),
    };
    let mut bytes = serde_json::to_vec(&header).expect("a header has a JSON form");
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    bytes
}

/// The tensors of a file, taken one by one by name.
#[derive(Debug)]
pub(super) struct TensorFile {
    name: String,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TensorFile {
    /// Parses and checks the content of the file at `path`.
    ///
    /// # Errors
    /// If it is truncated, not a safetensors file, or holds a tensor that is not f32 or not finite.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = SafeTensors::deserialize(bytes).map_err(|error| {
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
