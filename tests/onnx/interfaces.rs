//! Inputs, outputs and metadata, and how a step uses the states that it is given.

use elman::onnx::OnnxForm;
use elman::onnx::proto::{DimensionProto, FLOAT, ModelProto, NodeProto, ValueInfoProto};

use super::made::{NETWORKS, TestNetwork};
use super::{constant, graph, numbers};
use crate::harness::{apply, test};

/// Name, element type and shape as text.
pub fn interface(values: &[ValueInfoProto]) -> Vec<String> {
    let text = |value: &ValueInfoProto| {
        let tensor = value
            .r#type
            .as_ref()
            .and_then(|value| value.tensor_type.as_ref())
            .expect("a tensor");
        let size = |dimension: &DimensionProto| match (&dimension.dim_value, &dimension.dim_param) {
            (Some(size), None) => size.to_string(),
            (None, Some(name)) => name.clone(),
            _ => panic!("a dimension is a number or a name"),
        };
        let sizes: Vec<String> = tensor
            .shape
            .as_ref()
            .expect("a shape")
            .dim
            .iter()
            .map(size)
            .collect();
        format!(
            "{} {} [{}]",
            value.name,
            if tensor.elem_type == FLOAT {
                "f32"
            } else {
                "int64"
            },
            sizes.join(", ")
        )
    };
    values.iter().map(text).collect()
}

#[apply(test)]
fn interfaces_match_sherpa_onnx() {
    for made in NETWORKS.iter().filter(|made| made.has_step()) {
        let sentence = made.model(OnnxForm::Sentence);
        assert_eq!(
            interface(&graph(&sentence).input),
            ["x int64 [N, L]", "x_lens int64 [N]"]
        );
        assert_eq!(interface(&graph(&sentence).output), ["nll f32 [N]"]);
        let step = made.model(OnnxForm::Step);
        let states = format!("f32 [{}, N, {}]", made.sizes.len(), made.sizes[0]);
        // Whatever the cell: sherpa-onnx binds three inputs and three outputs by position.
        let names = ["h0", "c0"];
        let inputs: Vec<String> = names
            .iter()
            .map(|name| format!("{name} {states}"))
            .collect();
        let outputs: Vec<String> = names
            .iter()
            .map(|name| format!("next_{name} {states}"))
            .collect();
        assert_eq!(
            interface(&graph(&step).input),
            [&["x int64 [N, 1]".to_owned()][..], &inputs].concat()
        );
        assert_eq!(
            interface(&graph(&step).output),
            [&["log_softmax f32 [N, 11]".to_owned()][..], &outputs].concat()
        );

        let uniform = made.initial_state.to_string();
        let [layers, hidden, embedding] =
            [made.sizes.len(), made.sizes[0], made.embedding].map(|size| size.to_string());
        for (model, comment) in [(&sentence, "rnnlm without state"), (&step, "rnnlm state")] {
            let mut wanted = vec![
                ("model_type", "rnnlm"),
                ("version", "1"),
                ("comment", comment),
                ("sos_id", "0"),
                ("eos_id", "0"),
            ];
            wanted.extend([("vocab_size", "11"), ("cell", made.cell), ("unit", "word")]);
            if std::ptr::eq(model, &raw const step) {
                wanted.extend([
                    ("initial_state", "0"),
                    ("num_layers", layers.as_str()),
                    ("hidden_size", &hidden),
                    ("embedding_dim", &embedding),
                ]);
            } else if !made.stored {
                wanted.push(("initial_state", &uniform));
            }
            for (key, value) in wanted {
                let found = model
                    .metadata_props
                    .iter()
                    .find(|one| one.key == key)
                    .map(|one| one.value.as_str());
                assert_eq!(found, Some(value), "{key}");
            }
        }
    }
}

/// The node that computes a value.
fn producer<'a>(model: &'a ModelProto, value: &str) -> &'a NodeProto {
    graph(model)
        .node
        .iter()
        .find(|node| node.output.iter().any(|output| output == value))
        .unwrap_or_else(|| panic!("no node computes {value}"))
}

/// The values of one state (0 for h, 1 for c) before the first token: one, or those of all layers.
fn initial_values(made: &TestNetwork, state: usize) -> Vec<f32> {
    if !made.stored {
        return vec![made.initial_state];
    }
    let values = |(name, _, values): &(String, Vec<usize>, Vec<f32>)| {
        let index: usize = name.strip_prefix("initial_state.")?.parse().ok()?;
        (index % made.states() == state).then(|| values.clone())
    };
    let parameters = made.parameters(1);
    parameters.iter().filter_map(values).flatten().collect()
}

/// A step adds the initial state to the states that it reads, and subtracts it from those that it
/// returns. A state that the cell lacks passes through.
#[apply(test)]
fn steps_start_from_zeros() {
    for made in NETWORKS.iter().filter(|made| made.has_step()) {
        let model = made.model(OnnxForm::Step);
        for (state, name) in ["h", "c"].iter().enumerate() {
            let (given, returned) = (format!("{name}0"), format!("next_{name}0"));
            if state >= made.states() {
                let node = producer(&model, &returned);
                assert_eq!((&*node.op_type, &node.input), ("Identity", &vec![given]));
                continue;
            }
            let split = producer(&model, &format!("layer0.{name}0"));
            assert_eq!(
                (&*split.op_type, split.output.len()),
                ("Split", made.sizes.len())
            );
            let joined = if initial_values(made, state) == [0.0] {
                assert_eq!(split.input, [given]);
                returned
            } else {
                let added = producer(&model, &split.input[0]);
                assert_eq!((&*added.op_type, &added.input[0]), ("Add", &given));
                let initial = constant(&model, &added.input[1]);
                assert_eq!(numbers(initial), initial_values(made, state));
                let subtracted = producer(&model, &returned);
                assert_eq!(
                    (&*subtracted.op_type, &subtracted.input[1]),
                    ("Sub", &initial.name)
                );
                subtracted.input[0].clone()
            };
            let joined = producer(&model, &joined);
            assert_eq!(
                (&*joined.op_type, joined.input.len()),
                ("Concat", made.sizes.len())
            );
        }
    }
}
