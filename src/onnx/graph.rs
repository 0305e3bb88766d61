//! Building a graph node by node; every value is named after the node that makes it.

use super::format::{
    Attribute, Dimension, FLOAT, Graph, INT64, Node, Shape, Tensor, TensorType, ValueInfo,
    ValueType,
};
use super::network::{Arranged, Layer, Matrix};

/// A graph in the making.
#[derive(Debug, Default)]
pub(super) struct Builder(Graph);

/// The names of a layer's values: what it hands on at every step, and its states after the last.
pub(super) struct Recurrent {
    /// `[T, N, H]`.
    pub(super) outputs: String,
    /// h, and c where there is one: `[1, N, H]` each.
    pub(super) states: Vec<String>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self(Graph {
            name: name.to_owned(),
            ..Graph::default()
        })
    }

    pub(super) fn finish(self) -> Graph {
        self.0
    }

    pub(super) fn input(&mut self, name: &str, element: i32, shape: &[Dimension]) -> String {
        self.0.input.push(value(name, element, shape));
        name.to_owned()
    }

    pub(super) fn output(&mut self, name: &str, shape: &[Dimension]) {
        self.0.output.push(value(name, FLOAT, shape));
    }

    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw_data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, shape, FLOAT, raw_data)
    }

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
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.0.initializer.push(Tensor {
            dims,
            data_type,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A node with one output, which has the node's name.
    pub(super) fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        self.node_with_outputs(name, operator, inputs, &[name], attributes);
        name.to_owned()
    }

    pub(super) fn node_with_outputs(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<Attribute>,
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (input, output) = (owned(inputs), owned(outputs));
        self.0.node.push(Node {
            input,
            output,
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute,
        });
    }

    fn matrix(&mut self, name: &str, matrix: &Matrix<'_>) -> String {
        self.floats(name, &[matrix.rows, matrix.columns], &matrix.values)
    }

    /// The rows of tokens `[T, N]`: `[T, N, D]`.
    pub(super) fn look_up(&mut self, network: &Arranged<'_>, tokens: &str) -> String {
        let table = self.matrix("table", &network.table);
        self.node(
            "looked_up",
            "Gather",
            &[&table, tokens],
            vec![Attribute::integer("axis", 0)],
        )
    }

    /// Layer `number` on `input` `[T, N, in]` from its initial states `[1, N, H]`.
    pub(super) fn recurrent(
        &mut self,
        network: &Arranged<'_>,
        number: usize,
        input: &str,
        initial: &[String],
    ) -> Recurrent {
        let layer = &network.layers[number];
        let name = format!("layer{number}");
        let [weight, recurrent, bias] = self.weights(&name, layer);
        // The empty name stands for the lengths of sequences: what lies past a sentence's end is
        // not counted.
        let mut inputs = vec![input, &weight, &recurrent, &bias, ""];
        inputs.extend(initial.iter().map(String::as_str));
        let mut attributes = vec![Attribute::integer("hidden_size", layer.hidden as i64)];
        attributes.extend(
            network
                .activation
                .map(|activation| Attribute::texts("activations", &[activation])),
        );
        if network.operator.name == "GRU" {
            // PyTorch's reset gate: after the product.
            attributes.push(Attribute::integer("linear_before_reset", 1));
        }
        let every_step = format!("{name}.y");
        let states: Vec<String> = ["h", "c"][..network.operator.states]
            .iter()
            .map(|state| format!("{name}.{state}"))
            .collect();
        let outputs: Vec<&str> = std::iter::once(&every_step)
            .chain(&states)
            .map(String::as_str)
            .collect();
        self.node_with_outputs(&name, network.operator.name, &inputs, &outputs, attributes);
        let axis = self.integers(&format!("{name}.direction"), &[1], &[1]);
        let outputs = self.node(
            &format!("{name}.outputs"),
            "Squeeze",
            &[&every_step, &axis],
            Vec::new(),
        );
        Recurrent { outputs, states }
    }

    /// The names of W, R and B; that of B is empty without biases. The operators' first dimension
    /// is the direction.
    fn weights(&mut self, name: &str, layer: &Layer<'_>) -> [String; 3] {
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

    /// ln P of every word after hidden states `[rows, H]`: `[rows, V]`, under `name`.
    pub(super) fn log_probabilities(
        &mut self,
        network: &Arranged<'_>,
        hidden: &str,
        name: &str,
    ) -> String {
        let transposed = || vec![Attribute::integer("transB", 1)];
        let projected = match &network.projection {
            None => hidden.to_owned(),
            Some(projection) => {
                let weight = self.matrix("projection", projection);
                self.node("projected", "Gemm", &[hidden, &weight], transposed())
            }
        };
        let decoder = match &network.decoder {
            None => "table".to_owned(),
            Some(decoder) => self.matrix("decoder", decoder),
        };
        let bias = network
            .decoder_bias
            .map(|bias| self.floats("decoder.bias", &[bias.len()], bias));
        let inputs: Vec<&str> = [&projected, &decoder]
            .into_iter()
            .chain(&bias)
            .map(String::as_str)
            .collect();
        let logits = self.node("logits", "Gemm", &inputs, transposed());
        self.node(
            name,
            "LogSoftmax",
            &[&logits],
            vec![Attribute::integer("axis", 1)],
        )
    }
}

fn value(name: &str, elem_type: i32, shape: &[Dimension]) -> ValueInfo {
    let shape = Some(Shape {
        dim: shape.to_vec(),
    });
    ValueInfo {
        name: name.to_owned(),
        kind: Some(ValueType {
            tensor_type: Some(TensorType { elem_type, shape }),
        }),
    }
}
