//! A model's parameters on a device.

use super::parameter_spec::{ParameterId, ParameterSpec};
use super::parameter_values::ParameterValues;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The parameters of a model on a device, in the order of the file.
#[derive(Debug)]
pub struct Parameters {
    specs: Vec<ParameterSpec>,
    tensors: Vec<Tensor>,
}

impl Parameters {
    /// Allocates the parameters and uploads their values.
    ///
    /// # Errors
    /// If a parameter is too large for the device, or `values` has other sizes than `specs`.
    pub fn new(
        device: &mut Device,
        specs: Vec<ParameterSpec>,
        values: &ParameterValues,
    ) -> Result<Self> {
        let mut tensors = Vec::with_capacity(specs.len());
        for spec in &specs {
            tensors.push(spec.allocate(device, &spec.name)?);
        }
        let parameters = Self { specs, tensors };
        parameters.upload(device, values)?;
        Ok(parameters)
    }

    /// Overwrites all parameters.
    ///
    /// # Errors
    /// If the values do not have the sizes of the parameters.
    pub fn upload(&self, device: &mut Device, values: &ParameterValues) -> Result<()> {
        self.upload_like(device, &self.tensors, values)
    }

    /// Overwrites other tensors, one with each parameter's shape, such as an optimizer's state.
    ///
    /// # Errors
    /// As [`Parameters::upload`].
    pub fn upload_like(
        &self,
        device: &mut Device,
        tensors: &[Tensor],
        values: &ParameterValues,
    ) -> Result<()> {
        let sizes = values.iter().map(Vec::len);
        if sizes.ne(tensors.iter().map(Tensor::len)) {
            return Err(Error::invalid(
                "the parameters",
                "they do not have the sizes of the configuration",
                "Train or import the model again",
            ));
        }
        for (index, spec) in self.specs.iter().enumerate() {
            device.upload(&tensors[index], &spec.to_memory_layout(&values[index]));
        }
        Ok(())
    }

    /// The values of all parameters.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download(&self, device: &mut Device) -> Result<ParameterValues> {
        self.download_like(device, &self.tensors)
    }

    /// The values of other tensors, one with each parameter's shape.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download_like(
        &self,
        device: &mut Device,
        tensors: &[Tensor],
    ) -> Result<ParameterValues> {
        self.specs
            .iter()
            .zip(tensors)
            .map(|(spec, tensor)| Ok(spec.to_file_layout(device.download(tensor)?)))
            .collect()
    }

    /// Converts values from a parameter's layout in memory, such as its gradient, to the layout of
    /// the file.
    pub fn to_file_layout(&self, id: ParameterId, values: Vec<f32>) -> Vec<f32> {
        self.spec(id).to_file_layout(values)
    }

    /// The ids of all parameters, in order.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        (0..self.specs.len()).map(ParameterId)
    }

    /// Names, shapes and layouts.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// Name, shape and layout of a parameter.
    pub fn spec(&self, id: ParameterId) -> &ParameterSpec {
        &self.specs[id.0]
    }

    /// The tensors, in the same order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of a parameter.
    pub fn tensor(&self, id: ParameterId) -> Tensor {
        self.tensors[id.0]
    }

    /// The parameter with this name, if the model has it.
    pub fn find(&self, name: &str) -> Option<ParameterId> {
        find_parameter(&self.specs, name)
    }

    /// Number of elements of all parameters together.
    pub fn len(&self) -> usize {
        self.tensors.iter().map(Tensor::len).sum()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

/// The parameter with this name, if there is one.
pub fn find_parameter(specs: &[ParameterSpec], name: &str) -> Option<ParameterId> {
    specs
        .iter()
        .position(|spec| spec.name == name)
        .map(ParameterId)
}
