//! The GPU trials under Vulkan's validation layer, with its checks of synchronization and of the
//! accesses of shaders. This binary runs itself with the layer, and reads the layer's messages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use elman::device::{Access, Argument, Arguments, Binding, Cpu, Gpu, Kernel, Shader};
use elman::kernels::cases;
use elman::tensor::Tensor;
use libtest_mimic::Trial;
use serde_json::Value;

use super::environment::{cpu_only, slow_tests};
use super::gpu::VARIANTS;
use super::harness::{apply, gpu_trials, test, trials};
use super::reference::cells::Cell;

/// Messages of the layer that are no findings: a part of the message, and why.
const ALLOWED: &[(&str, &str)] = &[
    (
        "VALIDATION-SETTINGS",
        "the layer says that two of its checks together are slow",
    ),
    (
        "Internal Warning: ",
        "the layer says which features it turns on, or misses, for its own shaders",
    ),
];

/// Set when this binary runs itself under the layer.
const UNDER_THE_LAYER: &str = "ELMAN_TEST_UNDER_VALIDATION_LAYER";

/// The file that describes the layer to the Vulkan loader.
const MANIFEST: &str = "VkLayer_khronos_validation.json";
/// Where the loader looks for it on Linux, unless `VK_LAYER_PATH` says otherwise.
const FOLDERS: [&str; 3] = [
    "/usr/share/vulkan/explicit_layer.d",
    "/usr/local/share/vulkan/explicit_layer.d",
    "/etc/vulkan/explicit_layer.d",
];

/// The version of the layer, if it is installed.
fn layer_version() -> Option<(u32, u32)> {
    let folders: Vec<PathBuf> = match std::env::var_os("VK_LAYER_PATH") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => FOLDERS.iter().map(PathBuf::from).collect(),
    };
    let manifests = folders.iter().map(|folder| folder.join(MANIFEST));
    let text = manifests
        .filter_map(|path| std::fs::read(path).ok())
        .next()?;
    let manifest: Value = serde_json::from_slice(&text).ok()?;
    let mut numbers = manifest["layer"]["api_version"].as_str()?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Whether slow GPU trials run and the layer is installed.
fn has_layer() -> bool {
    slow_tests() && !cpu_only() && layer_version().is_some()
}

/// What a run under the layer printed.
struct Run(String);

/// Runs the trials whose names contain `filter` and none of `skipped` under the layer.
fn run_under_the_layer(filter: &str, skipped: &[&str]) -> Run {
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vk_layer_settings.txt");
    let binary = std::env::current_exe().expect("the path of this binary");
    let output = Command::new(binary)
        .arg(filter)
        .args(skipped.iter().flat_map(|part| ["--skip", part]))
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation")
        .env("VK_LAYER_SETTINGS_PATH", settings)
        // With these, wgpu takes the messages, and marks shaders in a way that old layers reject.
        .env_remove("WGPU_VALIDATION")
        .env_remove("WGPU_DEBUG")
        .env(UNDER_THE_LAYER, "1")
        .env_remove("ELMAN_TEST_ALL")
        .output()
        .expect("this binary runs");
    let printed = [output.stdout, output.stderr].concat();
    Run(String::from_utf8_lossy(&printed).into_owned())
}

impl Run {
    /// How many trials passed. The exit status does not count: the layer may end the process at its
    /// end, where the driver is already gone.
    ///
    /// # Panics
    /// If a trial failed.
    fn passed(&self) -> usize {
        let (_, after) = self
            .0
            .rsplit_once("test result: ok. ")
            .unwrap_or_else(|| panic!("trials fail under the layer: {}", self.0));
        let number = after.split(' ').next().and_then(|text| text.parse().ok());
        number.expect("the number of trials that passed")
    }

    /// How many trials passed under the layer, which found nothing.
    fn passed_without_findings(&self) -> usize {
        let passed = self.passed();
        // The layer was there and read its settings.
        for check in ["SYNCHRONIZATION_VALIDATION", "GPU_ASSISTED"] {
            assert!(self.0.contains(check), "{check}: {}", self.0);
        }
        let mut findings = self.findings();
        findings.retain(|message, _| !ALLOWED.iter().any(|(part, _)| message.contains(part)));
        assert!(findings.is_empty(), "{passed} trials: {findings:#?}");
        println!("{passed} trials under the validation layer");
        passed
    }

    /// The layer's errors and warnings, each with the number of times it was printed. Messages that
    /// differ in the numbers of Vulkan objects count as one.
    fn findings(&self) -> BTreeMap<String, usize> {
        let lines: Vec<&str> = self.0.lines().collect();
        let mut findings = BTreeMap::new();
        for pair in lines.windows(2) {
            if let Some(message) = finding(pair[0], pair[1]) {
                *findings.entry(message).or_default() += 1;
            }
        }
        findings
    }
}

/// The message of a line that reports an error or a warning. New layers continue it in the next
/// line.
fn finding(line: &str, next: &str) -> Option<String> {
    let (before, message) = line.split_once(": [ ")?;
    let (_, kind) = before.rsplit_once("Validation ")?;
    let words = message.split_whitespace().chain(next.split_whitespace());
    let words = words.map(|word| if word.starts_with("0x") { "0x_" } else { word });
    (kind != "Information").then(|| words.collect::<Vec<_>>().join(" "))
}

/// Trials on a GPU that take minutes under the layer.
const SLOW: &[&str] = &[
    "cells::",
    "steps::",
    "training::",
    "updates::",
    "window_updates::",
    "table_updates::",
    "large_vocabularies::",
    "evaluation_streams::",
    "awd_lstm::",
    "feed_forward::",
    "state_resets::",
    "residual::",
    "lstm_variants::",
    "softmax_mixtures::",
    "report_memory::",
    "validation_layers::",
];

/// Every case of every kernel that is not slow, and the trials of activations and of NaN.
#[apply(test)]
#[ignore_unless(has_layer())]
fn kernels_have_no_findings() {
    let run = run_under_the_layer("::gpu_", SLOW);
    let cases = cases::all().iter().filter(|case| !case.is_slow()).count();
    let kernels = cases * VARIANTS.len();
    assert!(
        run.passed_without_findings() > kernels,
        "{kernels} of kernels"
    );
}

/// Whole training steps of each cell, in two layers; of the mogrifier, which a software GPU runs in
/// one layer only, in one.
#[apply(test)]
#[ignore_unless(has_layer())]
fn training_steps_have_no_findings() {
    let run = run_under_the_layer("_layers_2::gpu_immediates", &[]);
    assert_eq!(run.passed_without_findings(), Cell::TABLE.len() - 1);
    let run = run_under_the_layer("mogrifier_layers_1::gpu_immediates", &[]);
    assert_eq!(run.passed_without_findings(), 1);
}

/// The layer finds an access outside a buffer: findings are not lost on their way here. Layers of
/// version 1.3 do not see accesses as naga writes them, with one access chain on another.
#[apply(test)]
#[ignore_unless(has_layer() && layer_version() >= Some((1, 4)))]
fn an_access_outside_a_buffer_is_found() {
    let run = run_under_the_layer("validation_layers::outside_a_buffer", &[]);
    assert_eq!(run.passed(), VARIANTS.len(), "{}", run.0);
    let findings = run.findings();
    assert!(
        findings.keys().any(|message| message.contains("bounds")),
        "{findings:#?}: {}",
        run.0
    );
}

/// What the trial above runs under the layer, and nothing else does.
#[apply(trials)]
fn outside_a_buffer() -> Vec<Trial> {
    if std::env::var_os(UNDER_THE_LAYER).is_none() {
        return Vec::new();
    }
    gpu_trials("validation_layers::outside_a_buffer", |gpu| {
        let values = gpu
            .tensor_from("values", 1, 64, &[0.0; 64])
            .expect("memory");
        gpu.run(&ReadOutside { values });
        gpu.wait().expect("a driver checks the bounds of buffers");
    })
}

/// Reads 64 MiB behind a buffer.
struct ReadOutside {
    values: Tensor,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ReadArguments {
    index: u32,
}

impl Arguments for ReadArguments {
    const FIELDS: &'static [Argument] = &[Argument {
        name: "index",
        scalar: "u32",
    }];
}

static READ_OUTSIDE: Shader = Shader {
    stem: "read_outside",
    source: "struct Arguments { index: u32 }
        @group(0) @binding(0) var<storage, read_write> values: array<f32>;
        @compute @workgroup_size(1) fn main() { values[0] = values[arguments.index]; }",
    entry_point: "main",
    bindings: &[("values", Access::Write)],
    arguments: ReadArguments::FIELDS,
    enables: "",
    trusted: true,
};

impl Kernel for ReadOutside {
    fn name(&self) -> &'static str {
        READ_OUTSIDE.stem
    }

    fn on_cpu(&self, _cpu: &Cpu) {}

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, _) = Binding::with_offset(&self.values);
        let arguments = ReadArguments { index: 1 << 24 };
        gpu.launch(&READ_OUTSIDE, &[], &[values], &arguments, [1; 3]);
    }
}

/// Errors and warnings are findings, whatever is printed before them in the line.
#[apply(test)]
fn findings_are_read() {
    let old = "ID(ERROR / SPEC): msgNum: -3 - Validation Error: [ ID ] Object 0: handle = 0x7f1, \
               type = VK_OBJECT_TYPE_DEVICE; | MessageID = 0xd7 | wrong\n    Objects: 1\n";
    let information = "I(INFO / SPEC): msgNum: -6 - Validation Information: [ I ] Layer Active:\n";
    let new = "Validation Performance Warning: [ P ] | MessageID = 0x24\nvkCmdDispatch(): slow\n";
    let other_object = old.replace("0x7f1", "0x80");
    let result = "\ntest result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
    let run = Run([information, "test a ... ", old, &other_object, new, result].concat());
    assert_eq!(run.passed(), 12);
    let findings: Vec<_> = run.findings().into_iter().collect();
    let expected = [
        (
            "ID ] Object 0: handle = 0x_ type = VK_OBJECT_TYPE_DEVICE; | MessageID = 0x_ | wrong \
             Objects: 1",
            2,
        ),
        ("P ] | MessageID = 0x_ vkCmdDispatch(): slow", 1),
    ];
    assert_eq!(findings, expected.map(|(text, count)| (text.into(), count)));
}
