//! Builds a graph node by node. A value has the name of the node that computes it.

use super::network::{PreparedNetwork, RecurrentLayers, STATE_NAMES};
use super::parameters::{Matrix, RecurrentLayer};
use super::proto::{
    AttributeProto, DimensionProto, FLOAT, GraphProto, INT64, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// An incomplete graph. Methods that add a value return its name.
#[derive(Debug, Default)]
pub(super) struct GraphBuilder(GraphProto);

/// The names of a recurrent layer's outputs.
pub(super) struct RecurrentOutputs {
    /// What the layer passes on at all steps, `[T, N, H]`.
    pub(super) hidden: String,
    /// h, or h and c, after the last step: `[1, N, H]` each.
    pub(super) states: Vec<String>,
}

impl GraphBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self(GraphProto {
            name: name.to_owned(),
            ..GraphProto::default()
        })
    }

    pub(super) fn finish(self) -> GraphProto {
        self.0
    }

    /// Adds an input of the graph with elements of type [`FLOAT`] or [`INT64`].
    pub(super) fn input(&mut self, name: &str, element: i32, shape: &[DimensionProto]) -> String {
        self.0.input.push(value(name, element, shape));
        name.to_owned()
    }

    /// Adds an output of the graph, of 32-bit floats.
    pub(super) fn output(&mut self, name: &str, shape: &[DimensionProto]) {
        self.0.output.push(value(name, FLOAT, shape));
    }

    /// Adds a constant.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw_data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, shape, FLOAT, raw_data)
    }

    /// Adds a constant.
    pub(super) fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) -> String {
        let raw_data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, shape, INT64, raw_data)
    }

    fn constant(
        &mut self,
        name: &str,
        shape: &[usize],
        data_type: i32,
        raw_data: Vec<u8>,
    ) -> String {
        self.0.initializer.push(TensorProto {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// Adds a node with one output, which has the name of the node.
    pub(super) fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.node_with_outputs(name, operator, inputs, &[name], attributes);
        name.to_owned()
    }

    /// Adds a node with named outputs.
    pub(super) fn node_with_outputs(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.0.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes,
        });
    }

    pub(super) fn matrix(&mut self, name: &str, matrix: &Matrix<'_>) -> String {
        self.floats(name, &[matrix.rows, matrix.columns], &matrix.values)
    }

    /// The tokens `x [N, L]` with time first.
    pub(super) fn transpose(&mut self, x: &str) -> String {
        self.node(
            "x_by_time",
            "Transpose",
            &[x],
            vec![AttributeProto::integers("perm", &[1, 0])],
        )
    }

    /// The table's rows of tokens `[T, N]`: `[T, N, D]`.
    pub(super) fn embed(&mut self, network: &PreparedNetwork<'_>, tokens: &str) -> String {
        let table = self.matrix("table", &network.table);
        self.node(
            "looked_up",
            "Gather",
            &[&table, tokens],
            vec![AttributeProto::integer("axis", 0)],
        )
    }

    /// Adds layer `index`, which reads `input` `[T, N, in]` and starts from the states `initial`,
    /// `[1, N, H]` each.
    pub(super) fn recurrent(
        &mut self,
        network: &RecurrentLayers<'_>,
        index: usize,
        input: &str,
        initial: &[String],
    ) -> RecurrentOutputs {
        let layer = &network.layers[index];
        let name = format!("layer{index}");
        let [weight, recurrent, bias] = self.weights(&name, layer);
        // The empty name omits the sequence lengths. Steps after the end of a sentence are not
        // counted, so their values do not matter.
        let mut inputs = vec![input, &weight, &recurrent, &bias, ""];
        inputs.extend(initial.iter().map(String::as_str));
        let mut attributes = vec![AttributeProto::integer("hidden_size", layer.hidden as i64)];
        attributes.extend(
            network
                .activation
                .map(|activation| AttributeProto::strings("activations", &[activation])),
        );
        if network.operator.name == "GRU" {
            // As in PyTorch, the reset gate is applied after the product.
            attributes.push(AttributeProto::integer("linear_before_reset", 1));
        }
        let every_step = format!("{name}.y");
        let states: Vec<String> = STATE_NAMES[..network.operator.states]
            .iter()
            .map(|state| format!("{name}.{state}"))
            .collect();
        let outputs: Vec<&str> = std::iter::once(&every_step)
            .chain(&states)
            .map(String::as_str)
            .collect();
        self.node_with_outputs(&name, network.operator.name, &inputs, &outputs, attributes);
        let axis = self.integers(&format!("{name}.direction"), &[1], &[1]);
        let hidden = self.node(
            &format!("{name}.outputs"),
            "Squeeze",
            &[&every_step, &axis],
            Vec::new(),
        );
        let hidden = match layer.residual {
            true => self.node(&format!("{name}.sum"), "Add", &[&hidden, input], Vec::new()),
            false => hidden,
        };
        RecurrentOutputs { hidden, states }
    }

    /// Adds W, R and B and returns their names; the name of B is empty without biases. The first
    /// dimension is the direction.
    fn weights(&mut self, name: &str, layer: &RecurrentLayer<'_>) -> [String; 3] {
        let weight = self.floats(
            &format!("{name}.W"),
            &[1, layer.input.rows, layer.input.columns],
            &layer.input.values,
        );
        let recurrent = self.floats(
            &format!("{name}.R"),
            &[1, layer.recurrent.rows, layer.hidden],
            &layer.recurrent.values,
        );
        let bias = layer.bias.as_ref().map_or_else(String::new, |bias| {
            self.floats(&format!("{name}.B"), &[1, bias.len()], bias)
        });
        [weight, recurrent, bias]
    }

    /// Adds the output layer: ln P of every type `[rows, V]`, named `name`, from hidden states
    /// `[rows, H]`.
    pub(super) fn log_probabilities(
        &mut self,
        network: &PreparedNetwork<'_>,
        hidden: &str,
        name: &str,
    ) -> String {
        let projected = match &network.projection {
            None => hidden.to_owned(),
            Some(projection) => {
                let weight = self.matrix("projection", projection);
                self.gemm("projected", &[hidden, &weight], None)
            }
        };
        let decoded = match &network.mixture {
            None => projected.clone(),
            Some(mixture) => mixture.latents(self, &projected),
        };
        let decoder = match &network.decoder {
            None => "table".to_owned(),
            Some(decoder) => self.matrix("decoder", decoder),
        };
        let bias = network
            .decoder_bias
            .map(|bias| self.floats("decoder.bias", &[bias.len()], bias));
        let logits = self.gemm("logits", &[&decoded, &decoder], bias.as_deref());
        match &network.mixture {
            None => self.log_softmax(name, &logits),
            Some(mixture) => {
                let of_softmaxes = self.log_softmax("log_softmaxes", &logits);
                mixture.mix(self, &projected, &of_softmaxes, network.vocab_size(), name)
            }
        }
    }

    /// Adds the product of a matrix and a transposed one, plus a bias where there is one.
    pub(super) fn gemm(&mut self, name: &str, factors: &[&str; 2], bias: Option<&str>) -> String {
        let inputs: Vec<&str> = factors.iter().copied().chain(bias).collect();
        let transposed = vec![AttributeProto::integer("transB", 1)];
        self.node(name, "Gemm", &inputs, transposed)
    }

    /// Adds the ln of the softmax of every row.
    pub(super) fn log_softmax(&mut self, name: &str, logits: &str) -> String {
        let axis = vec![AttributeProto::integer("axis", 1)];
        self.node(name, "LogSoftmax", &[logits], axis)
    }
}

fn value(name: &str, elem_type: i32, shape: &[DimensionProto]) -> ValueInfoProto {
    let shape = Some(TensorShapeProto {
        dim: shape.to_vec(),
    });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type, shape }),
        }),
    }
}
