//! A model's parameters: one list of names, shapes and initial values, in the order of the file.

use std::borrow::Cow;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::cell;
use super::config::Config;
use super::output;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// The sum of three uniform numbers between -0.1 and 0.1, as in rnnlm: standard deviation 0.1.
    ThreeUniform,
    /// Uniform between -1/√n and 1/√n; with n = H, PyTorch's recurrent layers.
    Uniform(usize),
    /// Zeros.
    Zero,
}

/// How memory holds what files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLayout {
    /// A matrix as it is, a vector as a row.
    Plain,
    /// A matrix transposed: the looked-up rows of a one-hot weight are its columns.
    Transposed,
    /// A vector as rows of so many numbers each, for gradients of which only some rows are touched.
    Rows(usize),
}

/// One parameter as files know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    /// PyTorch's name.
    pub name: String,
    /// The shape in files, PyTorch's: one number for a bias, two for a matrix.
    pub shape: Vec<usize>,
    /// How it lies in memory.
    pub layout: MemoryLayout,
    /// How it begins.
    pub initial: Initial,
    /// Whether every kernel that uses it takes a table of several pieces.
    pub may_be_sharded: bool,
}

impl ParameterSpec {
    pub(super) fn weight(
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        initial: Initial,
    ) -> Self {
        Self {
            name: name.into(),
            shape: vec![rows, columns],
            layout: MemoryLayout::Plain,
            initial,
            may_be_sharded: true,
        }
    }

    pub(super) fn bias(name: impl Into<String>, size: usize) -> Self {
        Self {
            name: name.into(),
            shape: vec![size],
            layout: MemoryLayout::Plain,
            initial: Initial::Zero,
            may_be_sharded: false,
        }
    }

    /// Number of elements; the largest number there is where it would be more.
    pub fn len(&self) -> usize {
        self.shape
            .iter()
            .fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns in memory.
    pub fn memory_shape(&self) -> [usize; 2] {
        match (self.shape.as_slice(), self.layout) {
            ([rows, columns], MemoryLayout::Transposed) => [*columns, *rows],
            ([rows, columns], _) => [*rows, *columns],
            (_, MemoryLayout::Rows(columns)) => [self.len() / columns, columns],
            _ => [1, self.len()],
        }
    }

    /// A tensor of the parameter's shape in memory, cut as the parameter is: the parameter itself,
    /// its gradient, an optimiser's state.
    ///
    /// # Errors
    /// If it is too large for the device.
    pub fn allocate(&self, device: &mut Device, what: &str) -> Result<Tensor> {
        let [rows, columns] = self.memory_shape();
        if self.may_be_sharded {
            device.table(what, rows, columns)
        } else {
            device.tensor(what, rows, columns)
        }
    }

    /// Values from the file's order into memory's, or back again: turning over is its own inverse
    /// but for the shape.
    fn reorder<'a>(&self, values: impl Into<Cow<'a, [f32]>>, from: [usize; 2]) -> Cow<'a, [f32]> {
        let values = values.into();
        if self.layout != MemoryLayout::Transposed {
            return values;
        }
        let [rows, columns] = from;
        let values = &*values;
        (0..columns)
            .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
            .collect()
    }
}

/// The names and shapes of a model's parameters, in the order of the file.
pub fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
    let gates = cell::kind(config).gates;
    let of_layer = |size: usize| of_layer(config, size);
    let mut list = Vec::new();
    if config.embedding_size > 0 {
        list.push(ParameterSpec::weight(
            "embedding.weight",
            config.vocab_size,
            config.embedding_size,
            of_tables(config),
        ));
    }
    for layer in 0..config.num_layers {
        let hidden = config.layer_size(layer);
        let layout = if layer == 0 && config.embedding_size == 0 {
            MemoryLayout::Transposed
        } else {
            MemoryLayout::Plain
        };
        let name = |part: &str| format!("rnn.{part}_l{layer}");
        let input = ParameterSpec::weight(
            name("weight_ih"),
            gates * hidden,
            config.input_size(layer),
            of_layer(hidden),
        );
        list.push(ParameterSpec { layout, ..input });
        let recurrent =
            ParameterSpec::weight(name("weight_hh"), gates * hidden, hidden, of_layer(hidden));
        list.push(ParameterSpec {
            may_be_sharded: false,
            ..recurrent
        });
        if config.bias {
            list.push(ParameterSpec::bias(name("bias_ih"), gates * hidden));
            list.push(ParameterSpec::bias(name("bias_hh"), gates * hidden));
        }
    }
    if config.projection {
        let last = config.output_size();
        list.push(ParameterSpec::weight(
            "projection.weight",
            config.embedding_size,
            last,
            of_layer(last),
        ));
    }
    if config.compression_size > 0 {
        let last = config.output_size();
        list.push(ParameterSpec::weight(
            "compression.weight",
            config.compression_size,
            last,
            of_layer(last),
        ));
    }
    list.extend((output::kind(config).parameter_specs)(config));
    list
}

/// How a layer of this size begins: rnnlm's network as rnnlm does, cells with gates as PyTorch's.
fn of_layer(config: &Config, size: usize) -> Initial {
    if cell::kind(config).gates == 1 {
        Initial::ThreeUniform
    } else {
        Initial::Uniform(size)
    }
}

/// How tables of words begin: beside cells with gates between -0.1 and 0.1, as in PyTorch's
/// examples.
pub(super) fn of_tables(config: &Config) -> Initial {
    of_layer(config, 100)
}

/// Initial values of every parameter in the file's order, the same for the same seed on every
/// machine.
pub fn initial_values(config: &Config, seed: u64) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = move |bound: f32| random.random_range(-bound..bound);
    parameter_specs(config)
        .iter()
        .map(|spec| match spec.initial {
            Initial::ThreeUniform => (0..spec.len())
                .map(|_| uniform(0.1) + uniform(0.1) + uniform(0.1))
                .collect(),
            Initial::Uniform(size) => (0..spec.len())
                .map(|_| uniform(1.0 / (size as f32).sqrt()))
                .collect(),
            Initial::Zero => vec![0.0; spec.len()],
        })
        .collect()
}

/// Sets the biases of the gates that decide what is kept, in every layer that has such: 1 lets a
/// new network remember (Jozefowicz 2015).
pub fn set_forget_bias(config: &Config, values: &mut [Vec<f32>], bias: f32) {
    let Some(gate) = cell::kind(config).forget_gate else {
        return;
    };
    for (spec, values) in parameter_specs(config).iter().zip(values) {
        if let Some(layer) = spec.name.strip_prefix("rnn.bias_ih_l") {
            let size = config.layer_size(layer.parse().expect("the name was made from a number"));
            values[gate * size..(gate + 1) * size].fill(bias);
        }
    }
}

/// The parameters on a device.
#[derive(Debug)]
pub struct Parameters {
    parameter_specs: Vec<ParameterSpec>,
    tensors: Vec<Tensor>,
}

impl Parameters {
    /// Uploads values given in the file's order and layout.
    ///
    /// # Errors
    /// If a parameter is too large for the device, or `values` does not fit the configuration.
    pub fn new(device: &mut Device, config: &Config, values: &[Vec<f32>]) -> Result<Self> {
        let parameter_specs = parameter_specs(config);
        let mut tensors = Vec::with_capacity(parameter_specs.len());
        for spec in &parameter_specs {
            tensors.push(spec.allocate(device, &spec.name)?);
        }
        let parameters = Self {
            parameter_specs,
            tensors,
        };
        parameters.upload(device, values)?;
        Ok(parameters)
    }

    /// Overwrites every parameter with values in the file's order and layout.
    ///
    /// # Errors
    /// If the values are not as many as the parameters need.
    pub fn upload(&self, device: &mut Device, values: &[Vec<f32>]) -> Result<()> {
        self.upload_like(device, &self.tensors, values)
    }

    /// The same for other tensors, one of each parameter's shape, such as an optimiser's state.
    ///
    /// # Errors
    /// As [`Parameters::upload`].
    pub fn upload_like(
        &self,
        device: &mut Device,
        tensors: &[Tensor],
        values: &[Vec<f32>],
    ) -> Result<()> {
        let lengths_fit = values.len() == tensors.len()
            && values
                .iter()
                .zip(tensors)
                .all(|(value, tensor)| value.len() == tensor.len());
        if !lengths_fit {
            return Err(Error::invalid(
                "the parameters",
                "they do not have the sizes of the configuration",
                "Train or import the model again",
            ));
        }
        for ((spec, tensor), value) in self.parameter_specs.iter().zip(tensors).zip(values) {
            let shape = spec.memory_shape();
            let file_shape = if spec.layout == MemoryLayout::Transposed {
                [shape[1], shape[0]]
            } else {
                shape
            };
            device.upload(tensor, &spec.reorder(value, file_shape));
        }
        Ok(())
    }

    /// Every parameter in the file's order and layout.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download(&self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        self.download_like(device, &self.tensors)
    }

    /// The same for other tensors, one of each parameter's shape.
    ///
    /// # Errors
    /// If the device failed.
    pub fn download_like(&self, device: &mut Device, tensors: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        self.parameter_specs
            .iter()
            .zip(tensors)
            .map(|(spec, tensor)| {
                Ok(spec
                    .reorder(device.download(tensor)?, spec.memory_shape())
                    .into_owned())
            })
            .collect()
    }

    /// Turns numbers in memory's layout of parameter `number` into the file's; for gradients and
    /// optimisers' states.
    pub fn to_file_layout(&self, number: usize, values: &[f32]) -> Vec<f32> {
        let spec = &self.parameter_specs[number];
        spec.reorder(values, spec.memory_shape()).into_owned()
    }

    /// Names, shapes and layouts.
    pub fn parameter_specs(&self) -> &[ParameterSpec] {
        &self.parameter_specs
    }

    /// The tensors, in the same order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The number of the parameter called `name`, if the model has it.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.parameter_specs
            .iter()
            .position(|spec| spec.name == name)
    }

    /// Elements of all parameters together.
    pub fn len(&self) -> usize {
        self.tensors.iter().map(Tensor::len).sum()
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}
