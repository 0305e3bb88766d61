//! `elman train --tensorboard`: TensorBoard's own reader finds what the run reported.

use serde_json::Value;

use crate::command::{Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

const TRAIN: &str = "train --train train.txt --device cpu --hidden 4 --embedding 3 --batch 4 \
                     --bptt 5 --tensorboard events";

/// Prints what TensorBoard reads in a directory, as JSON.
const READ: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
reader = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0, "histograms": 0})
reader.Reload()
tags = reader.Tags()
json.dump({
    "scalars": {tag: [[e.step, e.value] for e in reader.Scalars(tag)] for tag in tags["scalars"]},
    "texts": {
        tag: [
            [e.step, tensor_util.make_ndarray(e.tensor_proto).item().decode()]
            for e in reader.Tensors(tag)
        ]
        for tag in tags["tensors"]
    },
    "plugin": reader.SummaryMetadata("sample").plugin_data.plugin_name,
    "histograms": {
        tag: [
            [e.step, e.histogram_value.num, sum(e.histogram_value.bucket)]
            for e in reader.Histograms(tag)
        ]
        for tag in tags["histograms"]
    },
}, sys.stdout)
"#;

/// What TensorBoard reads in the folder `events`.
fn read(workbench: &Workbench) -> Value {
    let output = std::process::Command::new(python())
        .args(["-c", READ, "events"])
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The epochs in `model/log.jsonl`.
fn epochs(workbench: &Workbench) -> Vec<Value> {
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    let records = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records
        .filter(|record| record.get("valid_loss").is_some())
        .collect()
}

/// The number of elements of the model's parameters.
fn parameters(workbench: &Workbench) -> f64 {
    let model = workbench.run("inspect model --json").succeeds().stdout;
    let model: Value = serde_json::from_str(&model).expect("JSON");
    let tensors = model["parameters"].as_array().expect("parameters");
    let sizes = tensors.iter().map(|tensor| {
        let shape = tensor["shape"].as_array().expect("a shape").iter();
        shape
            .map(|size| size.as_f64().expect("a size"))
            .product::<f64>()
    });
    sizes.sum()
}

/// The steps of some values.
fn steps(values: &Value) -> Vec<u64> {
    let values = values.as_array().expect("values");
    let steps = values.iter().map(|value| value[0].as_u64());
    steps.map(|step| step.expect("a step")).collect()
}

#[apply(test)]
#[ignore_unless(has_python("tensorboard"))]
fn tensorboard_reads_a_run() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.run(&format!("{TRAIN} --epochs 3")).succeeds();
    let events = read(&workbench);
    let epochs = epochs(&workbench);
    for (tag, key) in [
        ("loss/epoch", "train_loss"),
        ("loss/validation", "valid_loss"),
        ("perplexity/validation", "valid_perplexity"),
    ] {
        let values = events["scalars"][tag].as_array().expect("values");
        assert_eq!(values.len(), 3, "{tag}");
        for (value, epoch) in values.iter().zip(&epochs) {
            let logged = epoch[key].as_f64().expect("a number") as f32;
            assert_eq!(value[1].as_f64(), Some(f64::from(logged)), "{tag}");
        }
    }
    let of_epochs = steps(&events["scalars"]["loss/epoch"]);
    let windows = of_epochs[0];
    assert_eq!(of_epochs, [windows, 2 * windows, 3 * windows]);
    for tag in [
        "loss/train",
        "gradient_norm",
        "learning_rate",
        "tokens_per_second",
    ] {
        let steps = steps(&events["scalars"][tag]);
        assert_eq!(steps.last(), of_epochs.last(), "{tag}");
        assert!(steps.is_sorted(), "{tag}: {steps:?}");
    }
    // TensorBoard has numbers of single precision, as the log.
    let single = |value: &Value| value.as_f64().expect("a number") as f32;
    let updates: Vec<_> = epochs.iter().map(|it| &it["last_update"]).collect();
    for (name, change) in updates[0]["parameters"].as_object().expect("names") {
        let tag = format!("update_ratio/{name}");
        let values = &events["scalars"][&tag];
        assert_eq!(steps(values), of_epochs, "{tag}");
        let logged = single(&change["update_ratio"]);
        assert_eq!(single(&values[0][1]).to_bits(), logged.to_bits(), "{tag}");
    }
    let saturation = &events["scalars"]["saturation/l0"];
    assert_eq!(steps(saturation), of_epochs);
    let logged = single(&updates[2]["saturation"][0]);
    assert_eq!(single(&saturation[2][1]).to_bits(), logged.to_bits());
    assert_eq!(events["plugin"], "text");
    assert_eq!(steps(&events["texts"]["sample"]), of_epochs);
    for (text, epoch) in events["texts"]["sample"]
        .as_array()
        .expect("texts")
        .iter()
        .zip(&epochs)
    {
        let text = text[1].as_str().expect("a text");
        let lines: Vec<_> = text.lines().map(|line| &line[4..]).collect();
        assert_eq!(epoch["sample"].as_str(), Some(lines.join("\n").as_str()));
        assert!(text.trim().len() > 10, "{text}");
    }
    let parameters = parameters(&workbench);
    let histograms = events["histograms"].as_object().expect("histograms");
    assert_eq!(histograms.len() % 2, 0);
    let mut total = 0.0;
    for (tag, values) in histograms {
        assert_eq!(steps(values), of_epochs, "{tag}");
        let counts = [&values[0][1], &values[0][2]].map(|count| count.as_f64().expect("a count"));
        assert_eq!(counts[0].to_bits(), counts[1].to_bits(), "{tag}");
        if tag.starts_with("weights/") {
            total += counts[0];
            let gradient = tag.replace("weights/", "gradients/");
            assert!(histograms.contains_key(&gradient), "{gradient}");
        }
    }
    assert_eq!(total, parameters);
}

/// The events of a resumed run replace those that it repeats, and its results do not depend on
/// them.
#[apply(test)]
#[ignore_unless(has_python("tensorboard"))]
fn resumed_runs_continue() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.run(&format!("{TRAIN} --epochs 2")).succeeds();
    workbench
        .run("train --resume model --epochs 3 --device cpu --tensorboard events")
        .succeeds();
    let samples = epochs(&workbench);
    assert!(samples.iter().all(|epoch| epoch["sample"].is_string()));
    let epochs = steps(&read(&workbench)["scalars"]["loss/validation"]);
    assert_eq!(epochs.len(), 3);
    assert!(epochs.is_sorted());
    let plain = "train --train train.txt --device cpu --hidden 4 --embedding 3 --batch 4 --bptt 5 \
                 --epochs 3 --out plain";
    workbench.run(plain).succeeds();
    assert_eq!(
        workbench.read("model/model.safetensors"),
        workbench.read("plain/model.safetensors")
    );
}

#[apply(test)]
fn a_place_that_cannot_be_written_is_an_error() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("events", "a file");
    workbench.run(TRAIN).fails(1, &["create", "events"]);
    // Before the text is read.
    std::fs::remove_file(workbench.path("train.txt")).expect("the text is there");
    workbench
        .run(&format!("{TRAIN} --out other"))
        .fails(1, &["create", "events"]);
}
