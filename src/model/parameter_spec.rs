//! What a parameter is: its name and shape in files, its layout in memory, its initial values.

use std::borrow::Cow;

use crate::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// The name of the embedding, which with tied weights is the output layer's weight too.
pub const EMBEDDING_WEIGHT: &str = "embedding.weight";
/// The name of the output layer's weight.
pub(super) const DECODER_WEIGHT: &str = "decoder.weight";
/// The name of the output layer's bias.
pub(super) const DECODER_BIAS: &str = "decoder.bias";
/// The name of the table of direct connections.
pub const DIRECT_WEIGHT: &str = "direct.weight";

/// What the names of the parameters of past decode regularization start with.
pub(super) const PAST_PREFIX: &str = "past.";

/// The index of a parameter among those of its model, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterId(pub(super) usize);

impl ParameterId {
    /// The index.
    pub fn index(self) -> usize {
        self.0
    }
}

/// How a parameter is initialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initializer {
    /// The sum of three uniform values between -0.1 and 0.1, as in rnnlm: standard deviation 0.1.
    ThreeUniform,
    /// Uniform between -1/√n and 1/√n; with n = H, PyTorch's recurrent layers.
    Uniform(usize),
    /// Uniform with the variance 1/n; half of it for elements in a range.
    UniformVariance {
        /// n.
        n: usize,
        /// The start and the end of the range, in the order of files.
        halved: [usize; 2],
    },
    /// Zeros.
    Zero,
    /// Ones.
    One,
}

/// How a parameter of a file lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLayout {
    /// As in the file; a vector is one row.
    Plain,
    /// The transposed matrix: the columns of a one-hot weight become rows, which are gathered.
    Transposed,
    /// A vector as rows of this many elements, for gradients in which only some rows are nonzero.
    Rows(usize),
}

/// One parameter as files know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    /// PyTorch's name.
    pub name: String,
    /// The shape in files, PyTorch's: `[size]` for a bias, `[rows, columns]` for a matrix.
    pub shape: Vec<usize>,
    /// The layout in memory.
    pub layout: MemoryLayout,
    /// The initial values.
    pub initializer: Initializer,
    /// Whether all kernels that use it accept a table in several shards.
    pub may_be_sharded: bool,
}

impl ParameterSpec {
    pub(super) fn weight(
        name: impl Into<String>,
        rows: usize,
        columns: usize,
        initializer: Initializer,
    ) -> Self {
        Self {
            name: name.into(),
            shape: vec![rows, columns],
            layout: MemoryLayout::Plain,
            initializer,
            may_be_sharded: true,
        }
    }

    pub(super) fn bias(name: impl Into<String>, size: usize) -> Self {
        Self {
            name: name.into(),
            shape: vec![size],
            layout: MemoryLayout::Plain,
            initializer: Initializer::Zero,
            may_be_sharded: false,
        }
    }

    /// Number of elements, saturating.
    pub fn len(&self) -> usize {
        self.shape
            .iter()
            .fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// Whether only training reads it, so that a copy of the model for another use needs none.
    pub fn is_only_for_training(&self) -> bool {
        self.name.starts_with(PAST_PREFIX)
    }

    /// Whether there are no elements.
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

    /// Allocates a tensor with the parameter's shape in memory: the parameter itself, its gradient,
    /// or an optimizer's state.
    ///
    /// # Errors
    /// If it is too large for the device.
    pub fn allocate(&self, device: &mut Device, name: &str) -> Result<Tensor> {
        let [rows, columns] = self.memory_shape();
        if self.may_be_sharded {
            device.table(name, rows, columns)
        } else {
            device.tensor(name, rows, columns)
        }
    }

    /// Values in the file's layout, in memory's.
    pub(super) fn to_memory_layout<'a>(&self, values: &'a [f32]) -> Cow<'a, [f32]> {
        let [rows, columns] = self.memory_shape();
        match self.layout {
            MemoryLayout::Transposed => Cow::Owned(transposed(values, columns, rows)),
            MemoryLayout::Plain | MemoryLayout::Rows(_) => Cow::Borrowed(values),
        }
    }

    /// Values in memory's layout, in the file's.
    pub(super) fn to_file_layout(&self, values: Vec<f32>) -> Vec<f32> {
        let [rows, columns] = self.memory_shape();
        match self.layout {
            MemoryLayout::Transposed => transposed(&values, rows, columns),
            MemoryLayout::Plain | MemoryLayout::Rows(_) => values,
        }
    }
}

/// The transpose of a row-major matrix.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}
