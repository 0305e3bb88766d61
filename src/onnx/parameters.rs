//! Parameters by name, and their conversion to the matrices that ONNX's operators take.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A parameter in the layout of a model's file.
#[derive(Debug, Clone)]
pub struct NamedParameter<'a> {
    /// PyTorch's name, such as `rnn.weight_hh_l0` or `decoder.weight`.
    pub name: String,
    /// One size for a bias, two for a matrix.
    pub shape: Vec<usize>,
    /// The elements, row by row.
    pub values: &'a [f32],
}

/// A matrix, row by row.
#[derive(Debug, Clone)]
pub(super) struct Matrix<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Cow<'a, [f32]>,
}

/// A recurrent layer with its gates in the order of the operator.
#[derive(Debug)]
pub(super) struct RecurrentLayer<'a> {
    /// H.
    pub(super) hidden: usize,
    /// `[G*H, in]`.
    pub(super) input: Matrix<'a>,
    /// `[G*H, H]`.
    pub(super) recurrent: Matrix<'a>,
    /// The input biases, then the recurrent biases: `2*G*H` values.
    pub(super) bias: Option<Vec<f32>>,
    /// Whether the layer adds its input to what it passes on.
    pub(super) residual: bool,
}

/// What precedes the softmaxes of a mixture.
#[derive(Debug)]
pub(super) struct MixtureLayer<'a> {
    /// `[K, H]`.
    pub(super) prior: Matrix<'a>,
    /// `[K*D, H]`.
    pub(super) latent: Matrix<'a>,
    /// `K*D` values.
    pub(super) latent_bias: Option<&'a [f32]>,
}

/// The names of a mixture's parameters.
pub(super) const PRIOR_WEIGHT: &str = "prior.weight";
pub(super) const LATENT_WEIGHT: &str = "latent.0.weight";
pub(super) const LATENT_BIAS: &str = "latent.0.bias";

impl MixtureLayer<'_> {
    /// Checks that the layer reads `width` values; the size of each latent.
    pub(super) fn check(&self, width: usize) -> Result<usize> {
        check_size(PRIOR_WEIGHT, self.prior.columns, width)?;
        check_size(LATENT_WEIGHT, self.latent.columns, width)?;
        let (count, rows) = (self.prior.rows, self.latent.rows);
        check_size(LATENT_WEIGHT, rows, (rows / count).max(1) * count)?;
        if let Some(bias) = self.latent_bias {
            check_size(LATENT_BIAS, bias.len(), rows)?;
        }
        Ok(rows / count)
    }
}

impl Matrix<'_> {
    pub(super) fn identity(size: usize) -> Self {
        let mut values = vec![0.0; size * size];
        for diagonal in values.iter_mut().step_by(size + 1) {
            *diagonal = 1.0;
        }
        Self {
            rows: size,
            columns: size,
            values: values.into(),
        }
    }

    pub(super) fn transposed(&self) -> Self {
        let column =
            |column: usize| (0..self.rows).map(move |row| self.values[row * self.columns + column]);
        Self {
            rows: self.columns,
            columns: self.rows,
            values: (0..self.columns).flat_map(column).collect(),
        }
    }

    /// Reorders blocks of `size` rows.
    fn with_blocks(self, order: &[usize], size: usize) -> Self {
        if order.len() == 1 {
            return self;
        }
        let values = reorder_blocks(&self.values, order, size * self.columns).into();
        Self { values, ..self }
    }
}

/// Reorders blocks of `size` elements: block `i` of the result is block `order[i]` of `values`.
fn reorder_blocks(values: &[f32], order: &[usize], size: usize) -> Vec<f32> {
    order
        .iter()
        .flat_map(|block| &values[block * size..][..size])
        .copied()
        .collect()
}

/// The parameters of a network that were not taken yet.
pub(super) struct ParameterMap<'a, 'n>(BTreeMap<&'n str, &'n NamedParameter<'a>>);

impl<'a, 'n> ParameterMap<'a, 'n> {
    pub(super) fn new(parameters: &'n [NamedParameter<'a>]) -> Self {
        let by_name = parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter));
        Self(by_name.collect())
    }

    /// The number of layers with a recurrent weight, at least 1.
    pub(super) fn count_layers(&self) -> usize {
        let has_layer = |layer: &usize| self.0.contains_key(&*format!("rnn.weight_hh_l{layer}"));
        (0..).take_while(has_layer).count().max(1)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'n NamedParameter<'a>> {
        self.0.remove(name)
    }

    /// Takes a matrix; `None` if it is missing.
    pub(super) fn take_matrix_if_present(&mut self, name: &str) -> Result<Option<Matrix<'a>>> {
        let Some(parameter) = self.take(name) else {
            return Ok(None);
        };
        let elements = parameter.values.len();
        match *parameter.shape.as_slice() {
            [rows, columns] if rows * columns == elements && elements > 0 => Ok(Some(Matrix {
                rows,
                columns,
                values: Cow::Borrowed(parameter.values),
            })),
            _ => Err(Error::invalid(
                name,
                format!(
                    "its shape is {:?}, and it has {elements} elements",
                    parameter.shape
                ),
                "It must be a matrix with the number of elements that its shape requires",
            )),
        }
    }

    pub(super) fn take_matrix(&mut self, name: &str) -> Result<Matrix<'a>> {
        self.take_matrix_if_present(name)?
            .ok_or_else(|| missing(name))
    }

    /// Takes the parameters of layer `index`, whose input weight is `input`. `gates` lists
    /// PyTorch's gate index for each gate of the operator.
    pub(super) fn take_layer(
        &mut self,
        gates: &[usize],
        index: usize,
        input: Matrix<'a>,
    ) -> Result<RecurrentLayer<'a>> {
        let recurrent = self.take_matrix(&format!("rnn.weight_hh_l{index}"))?;
        let hidden = recurrent.columns;
        let rows = gates.len() * hidden;
        check_size(&format!("rnn.weight_hh_l{index}"), recurrent.rows, rows)?;
        check_size(&format!("rnn.weight_ih_l{index}"), input.rows, rows)?;
        let bias_ih = format!("rnn.bias_ih_l{index}");
        let bias_hh = format!("rnn.bias_hh_l{index}");
        let bias = match [self.take(&bias_ih), self.take(&bias_hh)] {
            [None, None] => None,
            [None, Some(_)] => return Err(missing(&bias_ih)),
            [Some(_), None] => return Err(missing(&bias_hh)),
            [Some(ih), Some(hh)] => {
                check_size(&bias_ih, ih.values.len(), rows)?;
                check_size(&bias_hh, hh.values.len(), rows)?;
                let mut bias = reorder_blocks(ih.values, gates, hidden);
                bias.extend(reorder_blocks(hh.values, gates, hidden));
                Some(bias)
            }
        };
        Ok(RecurrentLayer {
            hidden,
            input: input.with_blocks(gates, hidden),
            recurrent: recurrent.with_blocks(gates, hidden),
            bias,
            residual: false,
        })
    }

    /// Takes the parameters of a mixture, if there is one.
    pub(super) fn take_mixture(&mut self) -> Result<Option<MixtureLayer<'a>>> {
        let Some(prior) = self.take_matrix_if_present(PRIOR_WEIGHT)? else {
            return Ok(None);
        };
        Ok(Some(MixtureLayer {
            prior,
            latent: self.take_matrix(LATENT_WEIGHT)?,
            latent_bias: self.take(LATENT_BIAS).map(|bias| bias.values),
        }))
    }

    /// Checks that every parameter was taken, so that the graph ignores none.
    pub(super) fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(
                format!("the parameter {name}"),
                "the ONNX export does not support it",
                "Keep the model as safetensors, which PyTorch reads",
            )),
        }
    }
}

pub(super) fn missing(name: &str) -> Error {
    Error::invalid(
        name,
        "the network lacks this parameter",
        "Supply it, or restore the model from a copy",
    )
}

/// Checks a size that the other parameters determine.
pub(super) fn check_size(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("its size is {found}, and the other parameters require {expected}"),
        "The parameters of a model belong together",
    ))
}
