//! A recurrent layer: `z = W x + b`, one product for all time steps, and a cell from z to the
//! states. A cell with rounds multiplies by W itself, step by step.

use super::input_norm::InputNorm;
use crate::error::Result;
use crate::kernels::{Add, AddBias, Dropout as ApplyDropout, Fill, Gradient, SumRows};
use crate::model::cell::{Cell, Gates, RecurrentParameters, UnitParameter};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::dropout::DropoutPlacement;
use crate::model::dropout_mask::DropoutMask;
use crate::model::layer::{Activations, Layer, LayerContext, Pass};
use crate::model::parameter_spec::{MemoryLayout, ParameterId, ParameterSpec};
use crate::model::parameters::Parameters;
use crate::model::products::{input_gradient, product, weight_gradient};
use crate::tensor::Tensor;

/// One recurrent layer.
#[derive(Debug)]
pub(in crate::model) struct Recurrent {
    ids: RecurrentIds,
    /// None where the layer below writes `W x` itself.
    input: Option<Activations>,
    /// Whether the cell reads the input, beside z or with rounds.
    reads_input: bool,
    /// Whether the cell multiplies by the input weight.
    has_rounds: bool,
    masked_weight: Option<MaskedWeight>,
    input_norm: Option<InputNorm>,
    cell: Box<dyn Cell>,
}

/// The ids of a layer's parameters.
#[derive(Debug, Clone)]
struct RecurrentIds {
    weight_ih: ParameterId,
    weight_hh: Option<ParameterId>,
    bias_ih: Option<ParameterId>,
    /// The recurrent bias, if it is added to z.
    added_bias_hh: Option<ParameterId>,
    /// The recurrent bias, if the cell uses it.
    bias_hh: Option<ParameterId>,
    /// Those of units, then those of rounds.
    units: Vec<ParameterId>,
}

impl RecurrentIds {
    fn all(&self) -> impl Iterator<Item = ParameterId> {
        let weights = [Some(self.weight_ih), self.weight_hh];
        let biases = [self.bias_ih, self.added_bias_hh, self.bias_hh];
        let units = self.units.iter().copied();
        weights.into_iter().chain(biases).flatten().chain(units)
    }

    /// The recurrent parameters, or their gradients.
    fn recurrent(&self, tensor: impl Fn(ParameterId) -> Tensor) -> RecurrentParameters {
        RecurrentParameters {
            input_weight: tensor(self.weight_ih),
            weight: self.weight_hh.map(&tensor),
            bias: self.bias_hh.map(&tensor),
            units: self.units.iter().map(|&id| tensor(id)).collect(),
        }
    }
}

/// The recurrent weight after dropout; of some cells without one, the input weight.
#[derive(Debug)]
struct MaskedWeight {
    id: ParameterId,
    mask: DropoutMask,
    /// `[G*H, H]` or `[G*H, in]`.
    weight: Tensor,
}

impl Recurrent {
    pub(in crate::model) fn parameter_specs(config: &Config, layer: usize) -> Vec<ParameterSpec> {
        let kind = cell_kind(config);
        let size = config.layer_size(layer);
        let rows = config.gates(layer) * size;
        let inputs = config.input_size(layer);
        let initializer = (kind.initializer)(size);
        let input_initializer = kind
            .input_initializer
            .map_or(initializer, |initializer| initializer(inputs, size));
        let weight = |part, columns| {
            ParameterSpec::weight(
                recurrent_parameter_name(part, layer),
                rows,
                columns,
                initializer,
            )
        };
        let is_one_hot = layer == 0 && config.embedding_size == 0;
        let mut specs = vec![ParameterSpec {
            layout: if is_one_hot {
                MemoryLayout::Transposed
            } else {
                MemoryLayout::Plain
            },
            initializer: input_initializer,
            // Dropout takes no shards.
            may_be_sharded: !kind.drops_input_weight,
            ..weight("weight_ih", inputs)
        }];
        if kind.has_recurrent_weight {
            specs.push(ParameterSpec {
                may_be_sharded: false,
                ..weight("weight_hh", size)
            });
        }
        if config.bias && kind.has_recurrent_weight {
            for part in ["bias_ih", "bias_hh"] {
                specs.push(ParameterSpec::bias(
                    recurrent_parameter_name(part, layer),
                    rows,
                ));
            }
        }
        specs.extend(part_specs(config, layer).map(|spec| ParameterSpec {
            name: recurrent_parameter_name(&spec.name, layer),
            ..spec
        }));
        specs
    }

    /// The layer without an input: the layer below writes `W x` to [`Recurrent::pre_activations`].
    pub(in crate::model) fn new(context: &mut LayerContext<'_>, layer: usize) -> Result<Self> {
        let config = context.config;
        let kind = cell_kind(config);
        let new = kind.new.expect("a recurrent layer has a cell");
        let id = |part: &str| context.id(&recurrent_parameter_name(part, layer));
        let id_if = |part, exists: bool| exists.then(|| id(part));
        let has_weight = kind.has_recurrent_weight;
        let bias = config.bias && has_weight;
        let adds_bias_hh = kind.adds_recurrent_bias;
        let ids = RecurrentIds {
            weight_ih: id("weight_ih"),
            weight_hh: id_if("weight_hh", has_weight),
            bias_ih: id_if("bias_ih", bias),
            added_bias_hh: id_if("bias_hh", bias && adds_bias_hh),
            bias_hh: id_if("bias_hh", bias && !adds_bias_hh),
            units: part_specs(config, layer)
                .map(|spec| id(&spec.name))
                .collect(),
        };
        let placement = DropoutPlacement::Weights(layer);
        let mask = DropoutMask::new(context.capacity, placement, config.num_layers);
        let id = ids
            .weight_hh
            .or(kind.drops_input_weight.then_some(ids.weight_ih));
        let masked_weight = match mask.zip(id) {
            None => None,
            Some((mask, id)) => {
                let [rows, columns] = context.parameters.spec(id).memory_shape();
                let device = &mut *context.device;
                let weight = device.tensor("weight after dropout", rows, columns)?;
                Some(MaskedWeight { id, mask, weight })
            }
        };
        let gain = ids.units.first().filter(|_| config.layer_norm).copied();
        let columns = config.gates(layer) * config.layer_size(layer);
        let input_norm = match gain {
            None => None,
            Some(gain) => Some(InputNorm::new(context, gain, columns)?),
        };
        Ok(Self {
            ids,
            input_norm,
            input: None,
            reads_input: config.reads_input(layer),
            has_rounds: kind.rounds.is_some(),
            masked_weight,
            cell: new(context.device, config, layer, context.capacity)?,
        })
    }

    /// The layer with an input, of which it computes `W x`.
    pub(in crate::model) fn with_input(mut self, input: Activations) -> Self {
        if self.reads_input {
            self.cell.read_input(input.values, input.gradient);
        }
        Self {
            input: Some(input),
            ..self
        }
    }

    /// A parameter, after dropout where it has masks.
    fn parameter(&self, parameters: &Parameters, id: ParameterId) -> Tensor {
        match &self.masked_weight {
            Some(masked) if masked.id == id => masked.weight,
            _ => parameters.tensor(id),
        }
    }

    /// `W x` and its gradient, `[T*B, G*H]`: z before the biases or, with layer normalization, what
    /// is normalized.
    pub(in crate::model) fn pre_activations(&self) -> Activations {
        match &self.input_norm {
            None => self.z(),
            Some(norm) => norm.products(),
        }
    }

    /// z and its gradient, `[T*B, G*H]`.
    fn z(&self) -> Activations {
        Activations {
            values: self.cell.pre_activations(),
            gradient: self.cell.pre_activation_gradient(),
        }
    }

    /// The id of `W_ih`.
    pub(in crate::model) fn input_weight(&self) -> ParameterId {
        self.ids.weight_ih
    }
}

/// The parameters of a layer beside its weights and PyTorch's biases, named by their parts: those
/// of its units, then those of its rounds.
fn part_specs(config: &Config, layer: usize) -> impl Iterator<Item = ParameterSpec> {
    let kind = cell_kind(config);
    let [inputs, size] = [config.input_size(layer), config.layer_size(layer)];
    let has = |unit: &&UnitParameter| {
        (config.bias || !unit.is_bias) && (config.layer_norm || !unit.is_norm)
    };
    let units = kind.unit_parameters.iter().filter(has);
    let units = units.map(move |unit| ParameterSpec {
        initializer: (unit.initializer)(inputs, size),
        ..ParameterSpec::bias(unit.part, unit.values * size)
    });
    let rounds = kind.rounds.map(|specs| specs(config, layer));
    units.chain(rounds.into_iter().flatten())
}

/// PyTorch's name of a layer's parameter.
pub(in crate::model) fn recurrent_parameter_name(part: &str, layer: usize) -> String {
    format!("rnn.{part}_l{layer}")
}

impl Layer for Recurrent {
    fn output(&self) -> Activations {
        Activations {
            values: self.cell.output(),
            gradient: self.cell.output_gradient(),
        }
    }

    fn forward(&self, pass: &mut Pass<'_>) {
        let z = self.z().values(pass.rows);
        if let Some(MaskedWeight { id, mask, weight }) = &self.masked_weight {
            pass.device.run(&ApplyDropout {
                input: pass.parameters.tensor(*id),
                output: *weight,
                mask: mask.mask(pass.window),
            });
        }
        if self.has_rounds {
            pass.device.run(&Fill {
                values: z,
                value: 0.0,
            });
        } else if let Some(input) = self.input {
            pass.device.run(&product(
                input.values(pass.rows),
                self.parameter(pass.parameters, self.ids.weight_ih),
                self.pre_activations().values(pass.rows),
                pass.precision,
            ));
        }
        if let Some(norm) = &self.input_norm {
            norm.forward(pass, z);
        }
        if let Some(bias) = self.ids.bias_ih {
            let added_bias_hh = self.ids.added_bias_hh;
            pass.device.run(&AddBias {
                bias: pass.parameters.tensor(bias),
                second: added_bias_hh.map(|id| pass.parameters.tensor(id)),
                values: z,
            });
        }
        let recurrent = |id| self.parameter(pass.parameters, id);
        let recurrent = self.ids.recurrent(recurrent);
        self.cell.forward(pass.device, pass.window, recurrent);
    }

    fn completed(&self) -> Vec<ParameterId> {
        // Where the layer below computes `W x`, it computes the gradient of W.
        let is_own = |id: &ParameterId| self.input.is_some() || *id != self.ids.weight_ih;
        self.ids.all().filter(is_own).collect()
    }

    fn backward(&self, pass: &mut Pass<'_>, gradients: &[Gradient]) {
        let gradient_of = |id: ParameterId| gradients[id.index()].values();
        let recurrent = |id| self.parameter(pass.parameters, id);
        let recurrent = self.ids.recurrent(recurrent);
        let recurrent_gradient = self.ids.recurrent(gradient_of);
        self.cell
            .backward(pass.device, pass.window, recurrent, recurrent_gradient);
        let z_gradient = self.z().gradient(pass.rows);
        if let Some(bias) = self.ids.bias_ih {
            pass.device.run(&SumRows {
                values: z_gradient,
                output: gradient_of(bias),
                copy: self.ids.added_bias_hh.map(gradient_of),
                accumulate: false,
            });
        }
        if let Some((norm, &gain)) = self.input_norm.as_ref().zip(self.ids.units.first()) {
            norm.backward(pass, z_gradient, gradient_of(gain));
        }
        let product_gradient = self.pre_activations().gradient(pass.rows);
        if let Some(input) = self.input.filter(|_| !self.has_rounds) {
            pass.device.run(&weight_gradient(
                product_gradient,
                input.values(pass.rows),
                gradient_of(self.ids.weight_ih),
                pass.precision,
            ));
            pass.device.run(&input_gradient(
                product_gradient,
                self.parameter(pass.parameters, self.ids.weight_ih),
                input.gradient(pass.rows),
                pass.precision,
            ));
            if let Some(part) = self.cell.input_gradient() {
                pass.device.run(&Add {
                    input: Gradient::Dense(part.slice_rows(0..pass.rows)),
                    output: input.gradient(pass.rows),
                });
            }
        }
        if let Some(MaskedWeight { id, mask, .. }) = &self.masked_weight {
            let gradient = gradient_of(*id);
            pass.device.run(&ApplyDropout {
                input: gradient,
                output: gradient,
                mask: mask.mask(pass.window),
            });
        }
    }

    fn units(&self) -> Option<Tensor> {
        Some(self.cell.output())
    }

    fn gates(&self) -> Option<Gates> {
        self.cell.gates()
    }

    fn carried(&self) -> Vec<Tensor> {
        self.cell.carried()
    }

    fn carried_gradient(&self) -> Vec<Tensor> {
        self.cell.carried_gradient()
    }
}
