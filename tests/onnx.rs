//! ONNX files: their contents.

mod interfaces;
pub mod made;

use std::collections::BTreeSet;

use elman::onnx::proto::{FLOAT, GraphProto, ModelProto, TensorProto};
use elman::onnx::{OnnxForm, network_to_onnx};
use interfaces::interface;
use made::{NETWORKS, PLAIN, Parameters, TestNetwork, VOCABULARY};
use prost::Message;

use super::command::{Workbench, small_text};
use crate::harness::{apply, test};

pub const FORMS: [OnnxForm; 2] = [OnnxForm::Sentence, OnnxForm::Step];

fn graph(model: &ModelProto) -> &GraphProto {
    model.graph.as_ref().expect("a graph")
}

fn constant<'a>(model: &'a ModelProto, name: &str) -> &'a TensorProto {
    graph(model)
        .initializer
        .iter()
        .find(|one| one.name == name)
        .unwrap_or_else(|| panic!("no initializer {name}"))
}

fn numbers(tensor: &TensorProto) -> Vec<f32> {
    assert_eq!(tensor.data_type, FLOAT, "{}", tensor.name);
    tensor
        .raw_data
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
        .collect()
}

/// Every value is produced once and before its use, every constant is used and has the length of
/// its shape, and the outputs are produced.
#[apply(test)]
fn graphs_are_complete() {
    for made in NETWORKS {
        for form in FORMS
            .into_iter()
            .filter(|&form| form == OnnxForm::Sentence || made.has_step())
        {
            let model = made.model(form);
            let graph = graph(&model);
            let mut known: BTreeSet<&str> =
                graph.input.iter().map(|one| one.name.as_str()).collect();
            for tensor in &graph.initializer {
                let size = tensor.dims.iter().product::<i64>() as usize
                    * if tensor.data_type == FLOAT { 4 } else { 8 };
                assert_eq!(tensor.raw_data.len(), size, "{}", tensor.name);
                assert!(known.insert(&tensor.name), "{} stands twice", tensor.name);
            }
            let mut taken = BTreeSet::new();
            for node in &graph.node {
                for input in node.input.iter().filter(|input| !input.is_empty()) {
                    assert!(
                        known.contains(input.as_str()),
                        "{} takes {input}, which nobody made yet",
                        node.name
                    );
                    taken.insert(input.as_str());
                }
                for output in &node.output {
                    assert!(known.insert(output), "{output} is made twice");
                }
            }
            assert!(
                graph
                    .initializer
                    .iter()
                    .all(|tensor| taken.contains(tensor.name.as_str())),
                "a constant is not used"
            );
            assert!(
                graph
                    .input
                    .iter()
                    .all(|input| taken.contains(input.name.as_str())),
                "an input is not used"
            );
            assert!(
                graph
                    .output
                    .iter()
                    .all(|output| known.contains(output.name.as_str())),
                "an output is not made"
            );
            let operator = ["RNN", "GRU", "LSTM"][["elman", "gru", "lstm"]
                .iter()
                .position(|&cell| cell == made.cell)
                .expect("a cell")];
            assert_eq!(
                graph
                    .node
                    .iter()
                    .filter(|node| node.op_type == operator)
                    .count(),
                made.sizes.len()
            );
            let rows = (made.gates() * made.sizes[0]) as i64;
            let width = if made.embedding > 0 {
                made.embedding as i64
            } else {
                rows
            };
            assert_eq!(constant(&model, "table").dims, [VOCABULARY as i64, width]);
            assert_eq!(constant(&model, "layer0.W").dims, [1, rows, width]);
            assert_eq!(
                constant(&model, "layer0.R").dims,
                [1, rows, made.sizes[0] as i64]
            );
            if made.bias {
                assert_eq!(constant(&model, "layer0.B").dims, [1, 2 * rows]);
            }
        }
    }
}

/// Hundreds identify the gates: PyTorch's r, z, n become z, r, h, and i, f, g, o become i, o, f, c.
#[apply(test)]
fn gates_are_in_the_operators_order() {
    for (cell, order) in [("gru", &[1, 0, 2][..]), ("lstm", &[0, 3, 1, 2])] {
        let made = TestNetwork {
            cell,
            embedding: 3,
            sizes: &[2],
            bias: true,
            ..PLAIN
        };
        let mut parameters = made.parameters(1);
        for (number, (_, shape, values)) in parameters
            .iter_mut()
            .enumerate()
            .filter(|(_, one)| one.0.starts_with("rnn."))
        {
            let block = 2 * shape.get(1).copied().unwrap_or(1);
            values.iter_mut().enumerate().for_each(|(place, value)| {
                *value = (1000 * number + 100 * (place / block) + place % block) as f32;
            });
        }
        let model = ModelProto::decode(made.file(&parameters, OnnxForm::Sentence).as_slice())
            .expect("the file decodes");
        let wanted = |number: usize, block: usize| -> Vec<f32> {
            order
                .iter()
                .flat_map(|gate| {
                    (0..block).map(move |place| (1000 * number + 100 * gate + place) as f32)
                })
                .collect()
        };
        assert_eq!(
            numbers(constant(&model, "layer0.W")),
            wanted(1, 6),
            "{cell}"
        );
        assert_eq!(
            numbers(constant(&model, "layer0.R")),
            wanted(2, 4),
            "{cell}"
        );
        assert_eq!(
            numbers(constant(&model, "layer0.B")),
            [wanted(3, 2), wanted(4, 2)].concat(),
            "{cell}"
        );
    }
}

#[apply(test)]
fn rejected_parameters() {
    let made = TestNetwork {
        cell: "lstm",
        embedding: 3,
        bias: true,
        decoder_bias: true,
        ..PLAIN
    };
    let rejected = |made: &TestNetwork, parameters: &Parameters, parts: &[&str]| {
        let message = network_to_onnx(&made.network(parameters), "word", OnnxForm::Step)
            .expect_err("an error")
            .to_string();
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{message} lacks one of {parts:?}"
        );
    };
    let whole = made.parameters(1);
    for (lost, named) in [
        ("rnn.weight_ih_l0", "rnn.weight_ih_l0"),
        ("rnn.weight_hh_l0", "rnn.weight_hh_l0"),
        ("rnn.bias_ih_l0", "rnn.bias_ih_l0"),
        ("rnn.bias_hh_l0", "rnn.bias_hh_l0"),
        // The output is tied then, and the width of the table differs from the layer's.
        ("decoder.weight", "decoder.weight"),
    ] {
        rejected(
            &made,
            &whole.iter().filter(|one| one.0 != lost).cloned().collect(),
            &[named],
        );
    }
    let mut more = whole.clone();
    more.push(("rnn.weight_peephole".to_owned(), vec![1], vec![0.0]));
    rejected(&made, &more, &["rnn.weight_peephole", "does not support"]);
    rejected(
        &TestNetwork {
            cell: "gru",
            ..made
        },
        &whole,
        &["rnn.weight_hh_l0", "20", "15"],
    );
    rejected(
        &TestNetwork {
            cell: "perceptron",
            ..made
        },
        &whole,
        &["perceptron", "elman, gru, lstm"],
    );
    let mut cut = whole.clone();
    cut[0].2.pop();
    rejected(&made, &cut, &["embedding.weight", "[11, 3]", "32"]);
    let stored = TestNetwork {
        cell: "gru",
        stored: true,
        sizes: &[2, 3],
        ..PLAIN
    };
    let whole = stored.parameters(1);
    let lost = whole.len() - 1;
    rejected(
        &stored,
        &whole[..lost].to_vec(),
        &["initial states", "1", "2"],
    );
    let mut cut = whole.clone();
    cut[lost].2.pop();
    rejected(&stored, &cut, &["initial_state.1", "2", "3"]);
    let uneven = TestNetwork {
        embedding: 3,
        sizes: &[2, 5],
        ..PLAIN
    };
    rejected(
        &uneven,
        &uneven.parameters(1),
        &["[2, 5]", "`form = sentence`"],
    );
}

/// All parts of a model that cannot be exported are in one message.
#[apply(test)]
fn all_obstacles_are_named() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --epochs 1 --embedding 4 --batch 4 --bptt 5";
    for (flags, parts) in [
        (
            "--cell qrnn --hidden 5,4 --output class",
            &[
                "3 parts of the model",
                "(1) the cell qrnn",
                "(2) layers of [5, 4] units",
                "(3) the output layer class",
            ][..],
        ),
        (
            "--hidden 5 --output adaptive --compression 3",
            &["2 parts", "(1) the compression", "(2) the output"],
        ),
        ("--cell sru --hidden 5", &["error: the cell sru: ONNX"]),
    ] {
        workbench
            .run(&format!("{train} {flags} --force"))
            .succeeds();
        workbench
            .run("export --onnx --form step --out model.onnx")
            .fails(1, parts);
    }
}

#[apply(test)]
fn export_does_not_overwrite() {
    let workbench = Workbench::with_model();
    let run = workbench
        .run("export --onnx --model model --out lm.onnx")
        .succeeds();
    assert!(
        run.stdout.contains("lm.onnx") && run.stdout.contains("x_lens"),
        "{}",
        run.stdout
    );
    let sentence = workbench.read("lm.onnx");
    let model = ModelProto::decode(sentence.as_slice()).expect("the file decodes");
    assert_eq!(interface(&graph(&model).output), ["nll f32 [N]"]);
    assert_eq!(numbers(constant(&model, "initial_state")), [0.1]);

    workbench
        .run("export --onnx --out lm.onnx --form step")
        .fails(1, &["lm.onnx", "exists", "--force"]);
    assert!(
        workbench.read("lm.onnx") == sentence,
        "an existing file was overwritten"
    );
    let run = workbench
        .run("export --onnx --out lm.onnx --form step --force --json")
        .succeeds();
    assert_eq!(run.stderr, "");
    let step = workbench.read("lm.onnx");
    assert_eq!(run.number("bytes") as usize, step.len());
    assert_eq!(
        interface(&graph(&ModelProto::decode(step.as_slice()).expect("the file decodes")).input)[0],
        "x int64 [N, 1]"
    );

    workbench
        .run("export --out other.onnx")
        .fails(2, &["--onnx"]);
    workbench.run("export --onnx").fails(2, &["--out"]);
    workbench
        .run("export --onnx --out other.onnx --form word")
        .fails(2, &["word", "sentence", "step"]);
    workbench
        .run("export --onnx --out model --force")
        .fails(1, &["model", "directory"]);
    workbench
        .run("export --onnx --out nowhere/lm.onnx")
        .fails(1, &["nowhere"]);
    workbench
        .run("export --onnx --model nowhere --out other.onnx")
        .fails(1, &["nowhere"]);
    let mut names: Vec<_> = std::fs::read_dir(workbench.path(""))
        .expect("a directory")
        .flatten()
        .map(|one| one.file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["lm.onnx", "model", "train.txt"],
        "something was left behind"
    );
}
