//! The order of the sources: data flows one way, and imports follow it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use super::harness::{apply, test, trial, trials};

/// What a file or folder of `src` may mention beside itself and [`EVERYWHERE`]: what lies below it,
/// and nothing else that there is.
const LAYERS: [(&str, &[&str]); 12] = [
    ("tensor.rs", &[]),
    ("device", &["tensor"]),
    ("kernels", &["tensor", "device"]),
    ("model", &["tensor", "device", "kernels"]),
    ("corpus", &["tensor"]),
    ("ngram", &[]),
    ("checkpoint", &["tensor", "model", "corpus", "train"]),
    ("onnx", &["tensor", "model", "corpus", "checkpoint"]),
    (
        "data_loader.rs",
        &[
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "checkpoint",
        ],
    ),
    (
        "train",
        &[
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "checkpoint",
            "data_loader",
            "evaluate",
        ],
    ),
    (
        "mixture",
        &[
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "ngram",
            "data_loader",
            "evaluate",
        ],
    ),
    ("rescore", &["tensor", "device", "kernels", "model"]),
];
/// What knows nothing of the others and may be mentioned by all.
const EVERYWHERE: [&str; 4] = ["error", "field", "gzip", "hash"];

#[apply(trials)]
fn every_layer() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (part, allowed) in LAYERS {
        trials.push(trial(
            format!("architecture::imports_of_{}", part.trim_end_matches(".rs")),
            move || check_imports(part, allowed),
        ));
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
            let entries = std::fs::read_dir(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            waiting.extend(
                entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sources.push((path, text));
        }
    }
    assert!(!sources.is_empty(), "src/{part} has no Rust files");
    sources
}

/// The modules of the crate that a source mentions, documentation and all: whatever follows
/// `crate::`, alone or in braces.
fn mentioned(source: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    let identifier = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for rest in source.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            // One level of braces is enough to see each module's name: the names in deeper ones are
            // only too many.
            Some(group) => modules.extend(
                group
                    .split(';')
                    .next()
                    .unwrap_or(group)
                    .split(['{', ',', '}'])
                    .map(identifier),
            ),
            None => drop(modules.insert(identifier(rest))),
        }
    }
    modules
}

/// The modules of the crate.
fn rooms() -> BTreeSet<String> {
    let entries =
        std::fs::read_dir(root().join("src")).unwrap_or_else(|error| panic!("src: {error}"));
    let names = entries.map(|entry| {
        entry
            .unwrap_or_else(|error| panic!("src: {error}"))
            .file_name()
    });
    names
        .filter_map(|name| Some(name.to_str()?.trim_end_matches(".rs").to_owned()))
        .collect()
}

fn check_imports(part: &str, allowed: &[&str]) {
    let rooms = rooms();
    let own = part.trim_end_matches(".rs");
    for known in allowed.iter().chain(&EVERYWHERE).chain([&own]) {
        assert!(rooms.contains(*known), "there is no src/{known}");
    }
    for (path, text) in sources(part) {
        let may = |room: &str| room == own || allowed.contains(&room) || EVERYWHERE.contains(&room);
        let wrong: Vec<_> = mentioned(&text)
            .into_iter()
            .filter(|room| rooms.contains(room) && !may(room))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} mentions {wrong:?}, which do not lie below it",
            path.display()
        );
    }
}

/// The search itself finds what it is to find, and nothing else.
#[apply(test)]
fn imports_are_found() {
    let source = "use crate::model::{Config, Window};\n/// See [`x`](crate::train).\nuse \
        crate::{kernels::Matmul, corpus};\nlet c = my_crate_model;";
    let found = mentioned(source);
    for module in ["model", "train", "kernels", "corpus"] {
        assert!(found.contains(module), "{module} in {found:?}");
    }
    assert!(
        !found.contains("Config") && !found.contains("my_crate_model"),
        "{found:?}"
    );
}

/// A model never asks which device runs it.
#[apply(test)]
fn model_asks_for_no_device() {
    let asking = sources("model")
        .into_iter()
        .filter(|(_, text)| text.contains("is_gpu"))
        .map(|(path, _)| path);
    assert_eq!(asking.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}
