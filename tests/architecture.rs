//! The structure of the sources: files and folders of `src` import only what is below them, and
//! files do not import one another in circles.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libtest_mimic::Trial;

use self::imports::{Sources, circles, rust_files};
use super::harness::{apply, test, trial, trials};

/// Every module of the crate, lowest first, and all the others that it imports.
const LAYERS: &[(&str, &[&str])] = &[
    ("activity", &[]),
    ("error", &[]),
    ("faults", &[]),
    ("hash", &[]),
    ("tensor", &[]),
    ("field", &["error"]),
    ("decompress", &["activity", "error"]),
    ("output_file", &["error"]),
    ("parallel", &["activity", "error", "faults"]),
    ("device", &["error", "tensor"]),
    ("kernels", &["error", "tensor", "field", "device"]),
    (
        "model",
        &["error", "faults", "tensor", "field", "device", "kernels"],
    ),
    (
        "corpus",
        &["activity", "error", "hash", "tensor", "field", "decompress"],
    ),
    ("tensorboard", &["error"]),
    ("ngram", &["activity", "error", "decompress", "output_file"]),
    (
        "check",
        &[
            "activity", "error", "tensor", "device", "kernels", "model", "corpus",
        ],
    ),
    (
        "data_loader",
        &["error", "tensor", "device", "model", "corpus"],
    ),
    (
        "evaluate",
        &[
            "activity",
            "error",
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "data_loader",
        ],
    ),
    (
        "generate",
        &["error", "parallel", "tensor", "device", "kernels", "model"],
    ),
    (
        "mixture",
        &[
            "activity",
            "error",
            "parallel",
            "tensor",
            "device",
            "kernels",
            "model",
            "corpus",
            "decompress",
            "ngram",
            "data_loader",
            "evaluate",
        ],
    ),
    (
        "rescore",
        &[
            "activity",
            "error",
            "tensor",
            "field",
            "decompress",
            "device",
            "kernels",
            "model",
            "corpus",
        ],
    ),
    (
        "score",
        &[
            "activity", "error", "tensor", "device", "kernels", "model", "corpus",
        ],
    ),
    (
        "train",
        &[
            "error",
            "faults",
            "parallel",
            "tensor",
            "field",
            "device",
            "kernels",
            "model",
            "corpus",
            "data_loader",
            "evaluate",
        ],
    ),
    (
        "bench",
        &[
            "activity",
            "error",
            "tensor",
            "device",
            "kernels",
            "model",
            "parallel",
            "corpus",
            "data_loader",
            "evaluate",
            "generate",
            "train",
        ],
    ),
    (
        "checkpoint",
        &[
            "activity",
            "error",
            "faults",
            "hash",
            "field",
            "decompress",
            "output_file",
            "kernels",
            "model",
            "corpus",
            "train",
        ],
    ),
    (
        "language_model",
        &["error", "device", "model", "corpus", "score", "checkpoint"],
    ),
    ("prepared", &["error", "hash", "corpus", "checkpoint"]),
    ("onnx", &["error", "field", "model", "checkpoint"]),
    (
        "report",
        &[
            "activity",
            "error",
            "tensor",
            "device",
            "model",
            "corpus",
            "ngram",
            "data_loader",
            "evaluate",
            "mixture",
            "train",
            "checkpoint",
        ],
    ),
    (
        "cli",
        &[
            "activity",
            "error",
            "faults",
            "hash",
            "tensor",
            "field",
            "decompress",
            "output_file",
            "parallel",
            "device",
            "kernels",
            "model",
            "corpus",
            "ngram",
            "prepared",
            "check",
            "evaluate",
            "generate",
            "mixture",
            "rescore",
            "score",
            "train",
            "bench",
            "checkpoint",
            "onnx",
            "tensorboard",
            "report",
        ],
    ),
];
/// Imports that close a circle of files, and are to be removed: nothing may be added here.
const CLOSING_IMPORTS: &[(&str, &str)] = &[];

/// The files of `src`, read once.
static SOURCES: LazyLock<Sources> = LazyLock::new(|| Sources::read(&source_folder()));

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[apply(trials)]
fn imports_of_every_layer() -> Vec<Trial> {
    let layers = LAYERS.iter().map(|&(layer, listed)| {
        trial(format!("architecture::imports_of_{layer}"), move || {
            check_imports(layer, listed);
        })
    });
    layers.collect()
}

/// Demands that the layer imports exactly what is listed, and that its documentation mentions only
/// lower layers.
fn check_imports(layer: &str, listed: &[&str]) {
    let folder = source_folder();
    let imports = SOURCES.imports();
    let imported: BTreeSet<&str> = imports
        .iter()
        .filter(|(path, _)| layer_of(path) == layer)
        .flat_map(|(_, targets)| targets.iter().map(|target| layer_of(target)))
        .filter(|&other| other != layer)
        .collect();
    let listed: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(imported, listed, "imports of src/{layer} and LAYERS");
    let not_below: BTreeSet<&str> = LAYERS
        .iter()
        .map(|(name, _)| *name)
        .skip_while(|name| *name != layer)
        .skip(1)
        .collect();
    for path in rust_files(&folder) {
        if layer_of(path.strip_prefix(&folder).expect("a file of src")) != layer {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut mentioned = mentioned(&text);
        mentioned.retain(|name| not_below.contains(name.as_str()));
        assert!(
            mentioned.is_empty(),
            "{} mentions {mentioned:?}, which are not below it",
            path.display()
        );
    }
}

/// The layer of a file that is given relative to `src`.
fn layer_of(path: &Path) -> &str {
    let first = path.iter().next().and_then(|name| name.to_str());
    first.unwrap_or_default().trim_end_matches(".rs")
}

/// The names after `crate::`, alone or in braces, documentation included.
fn mentioned(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let identifier = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for rest in source.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            // Deeper braces add names that are not those of layers.
            Some(group) => names.extend(
                group
                    .split(';')
                    .next()
                    .unwrap_or(group)
                    .split(['{', ',', '}'])
                    .map(identifier),
            ),
            None => {
                names.insert(identifier(rest));
            }
        }
    }
    names
}

#[apply(test)]
fn every_layer_is_listed() {
    let entries = std::fs::read_dir(source_folder()).expect("the folder src");
    let found: BTreeSet<String> = entries
        .map(|entry| layer_of(Path::new(&entry.expect("an entry of src").file_name())).to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    let listed: BTreeSet<String> = LAYERS.iter().map(|(layer, _)| (*layer).into()).collect();
    assert_eq!(found, listed, "modules in src and LAYERS");
}

#[apply(test)]
fn layers_import_only_lower_layers() {
    let names: Vec<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    for (index, (layer, listed)) in LAYERS.iter().enumerate() {
        for name in *listed {
            assert!(
                names[..index].contains(name),
                "{layer} imports {name}, which is not below it"
            );
        }
    }
}

#[apply(test)]
fn files_do_not_import_in_circles() {
    let imports = SOURCES.imports();
    let without = |removed: &[&(&str, &str)]| {
        let mut imports = imports.clone();
        for (from, to) in removed {
            let targets = imports.get_mut(Path::new(from));
            let removed = targets.is_some_and(|targets| targets.remove(Path::new(to)));
            assert!(
                removed,
                "{from} does not import {to}: delete it in CLOSING_IMPORTS"
            );
        }
        circles(&imports)
    };
    let all: Vec<_> = CLOSING_IMPORTS.iter().collect();
    let found = without(&all);
    assert!(
        found.is_empty(),
        "files that import one another: {found:#?}"
    );
    for import in CLOSING_IMPORTS {
        let others: Vec<_> = all
            .iter()
            .copied()
            .filter(|other| *other != import)
            .collect();
        assert!(
            !without(&others).is_empty(),
            "{import:?} closes no circle: delete it in CLOSING_IMPORTS"
        );
    }
}

#[apply(test)]
fn imports_are_resolved() {
    let files = [
        ("lib.rs", "pub mod a; pub mod b; pub use a::Thing;"),
        (
            "a/mod.rs",
            "mod inner; mod other; pub use inner::{Deep, Thing as Renamed}; pub use other::*; pub \
             struct Own;",
        ),
        (
            "a/inner.rs",
            "use super::Own; // use crate::b::Nothing;\n pub struct Deep; pub struct Thing;",
        ),
        (
            "a/other.rs",
            "use super::inner; pub const OTHER: &str = \"crate::b::Nothing\";",
        ),
        (
            "b.rs",
            "use std::{fmt, io}; use crate::{a::{self, Deep, Renamed}};\n/// See \
             [`OTHER`](crate::a::OTHER).\nfn f() -> char { let _ = '\"'; let _: &'static str = \
             r#\"\"crate::c::Nothing\"#; crate::a::OTHER; '\\'' } #[cfg(test)] mod tests { use \
             crate::c::C; } mod nested { use super::super::c::D; }",
        ),
        ("c.rs", "pub struct C; pub struct D;"),
    ];
    let sources = Sources::new(files.map(|(path, text)| (path.into(), text.into())));
    let want: BTreeMap<&Path, BTreeSet<&Path>> = [
        ("lib.rs", &["a/mod.rs"][..]),
        ("a/mod.rs", &["a/inner.rs", "a/other.rs"]),
        ("a/inner.rs", &["a/mod.rs"]),
        ("a/other.rs", &["a/inner.rs"]),
        ("b.rs", &["a/mod.rs", "a/inner.rs", "a/other.rs", "c.rs"]),
        ("c.rs", &[]),
    ]
    .map(|(path, targets)| {
        let targets = targets.iter().map(Path::new).collect();
        (Path::new(path), targets)
    })
    .into();
    assert_eq!(sources.imports(), want);
}

#[apply(test)]
fn circles_are_found() {
    let files = |a: &str| {
        let files = [
            ("lib.rs", "pub mod a;"),
            ("a/mod.rs", "pub mod b; pub mod c; pub mod d;"),
            ("a/b.rs", a),
            ("a/c.rs", "use super::d::D; pub struct C;"),
            ("a/d.rs", "use super::b::B; pub struct D;"),
        ];
        circles(&Sources::new(files.map(|(path, text)| (path.into(), text.into()))).imports())
    };
    assert_eq!(files("pub struct B;"), []);
    // Between a module and one inside it.
    assert_eq!(files("use super::super::a; pub struct B;"), []);
    assert_eq!(
        files("use super::c; pub struct B;"),
        [BTreeSet::from(
            ["a/b.rs", "a/c.rs", "a/d.rs"].map(PathBuf::from)
        )]
    );
}

#[apply(test)]
fn mentions_are_found() {
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
fn model_does_not_ask_for_the_kind_of_device() {
    assert_no_mention(&source_folder().join("model"), "is_gpu");
}

/// A mistake in the crate cannot be repeated in a reference that shares no code with it.
#[apply(test)]
fn reference_does_not_use_the_crate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    assert_no_mention(&folder, "elman::");
}

fn assert_no_mention(folder: &Path, text: &str) {
    let files = rust_files(folder);
    assert!(!files.is_empty(), "no Rust files in {}", folder.display());
    for path in files {
        let source = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!source.contains(text), "{} in {}", text, path.display());
    }
}

/// `docs/architecture.md` says of every file with unsafe code why it is sound.
#[apply(test)]
fn unsafe_code_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).expect("a page");
    let (_, section) = page.split_once("\n## Unsafe code\n").expect("a section");
    let mut found = 0;
    for path in rust_files(&source_folder()) {
        let source = std::fs::read_to_string(&path).expect("a source");
        let name = path
            .strip_prefix(root)
            .expect("inside")
            .display()
            .to_string();
        let is_unsafe = ["unsafe {", "unsafe impl"]
            .iter()
            .any(|code| source.contains(code));
        let name = name.replace('\\', "/");
        assert_eq!(section.contains(&format!("`{name}`")), is_unsafe, "{name}");
        found += usize::from(is_unsafe);
    }
    assert!(found > 0);
}
