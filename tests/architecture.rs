//! The order of the sources: data flows one way, and imports follow it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use super::support::trial;

/// What a file or folder of `src` may not mention. What `tensor` and `device` know nothing of, `kernels` may know; and so on upwards.
const LAYERS: [(&str, &[&str]); 10] = [
    (
        "tensor.rs",
        &[
            "device",
            "kernels",
            "model",
            "corpus",
            "checkpoint",
            "onnx",
            "feed",
            "train",
            "evaluate",
            "score",
            "generate",
            "check",
            "bench",
            "cli",
        ],
    ),
    (
        "device",
        &["kernels", "model", "corpus", "checkpoint", "onnx", "feed", "train", "evaluate", "score", "generate", "check", "bench", "cli"],
    ),
    ("kernels", &["model", "corpus", "checkpoint", "onnx", "feed", "train", "evaluate", "score", "generate", "check", "bench", "cli"]),
    ("model", &["corpus", "checkpoint", "onnx", "feed", "train", "evaluate", "score", "generate", "check", "bench", "cli"]),
    (
        "corpus",
        &["device", "kernels", "model", "checkpoint", "onnx", "feed", "train", "evaluate", "score", "generate", "check", "bench", "cli"],
    ),
    (
        "ngram",
        &[
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "checkpoint",
            "onnx",
            "feed",
            "train",
            "evaluate",
            "score",
            "generate",
            "check",
            "bench",
            "cli",
        ],
    ),
    ("checkpoint", &["device", "kernels", "onnx", "feed", "evaluate", "score", "generate", "check", "bench", "cli"]),
    ("onnx", &["device", "kernels", "feed", "train", "evaluate", "score", "generate", "check", "bench", "cli"]),
    ("feed.rs", &["onnx", "train", "evaluate", "score", "generate", "check", "bench", "cli"]),
    ("train", &["onnx", "score", "generate", "check", "bench", "cli"]),
];

/// All of them.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("architecture::imports_are_found", imports_are_found),
        trial("architecture::model_asks_for_no_device", model_asks_for_no_device),
    ];
    for (part, forbidden) in LAYERS {
        trials.push(trial(format!("architecture::imports_of_{}", part.trim_end_matches(".rs")), move || check_imports(part, forbidden)));
    }
    trials
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of a file or folder of `src`.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let mut waiting = vec![root().join("src").join(part)];
    let mut sources = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            waiting.extend(entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sources.push((path, text));
        }
    }
    assert!(!sources.is_empty(), "src/{part} has no Rust files");
    sources
}

/// The modules of the crate that a source mentions, documentation and all: whatever follows `crate::`, alone or in braces.
fn mentioned(source: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    let identifier = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for rest in source.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            // One level of braces is enough to see each module's name: the names in deeper ones are only too many.
            Some(group) => modules.extend(group.split(';').next().unwrap_or(group).split(['{', ',', '}']).map(identifier)),
            None => drop(modules.insert(identifier(rest))),
        }
    }
    modules
}

fn check_imports(part: &str, forbidden: &[&str]) {
    for (path, text) in sources(part) {
        let mentioned = mentioned(&text);
        let wrong: Vec<_> = forbidden.iter().filter(|module| mentioned.contains(**module)).collect();
        assert!(wrong.is_empty(), "{} mentions {wrong:?}, which lie above it", path.display());
    }
}

/// The search itself finds what it is to find, and nothing else.
fn imports_are_found() {
    let source =
        "use crate::model::{Config, Window};\n/// See [`x`](crate::train).\nuse crate::{kernels::Matmul, corpus};\nlet c = my_crate_model;";
    let found = mentioned(source);
    for module in ["model", "train", "kernels", "corpus"] {
        assert!(found.contains(module), "{module} in {found:?}");
    }
    assert!(!found.contains("Config") && !found.contains("my_crate_model"), "{found:?}");
}

/// A model never asks which device runs it.
fn model_asks_for_no_device() {
    let asking = sources("model").into_iter().filter(|(_, text)| text.contains("is_gpu")).map(|(path, _)| path);
    assert_eq!(asking.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}
