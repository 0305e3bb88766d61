//! The shaders and a second WGSL compiler: Dawn, Chromium's WebGPU, compiles what naga compiles.

use std::path::PathBuf;
use std::process::Command;

use elman::device::{Access, Shader, Target};
use elman::kernels::KERNELS;
use naga::{Module, Scalar, TypeInner};
use serde_json::{Map, Value, json};

use super::environment::slow_tests;
use super::harness::{apply, test};

/// The folder in which npm installed the package `webgpu`.
fn dawn() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/dawn"))
}

/// Whether Dawn and Node.js, which runs it, are installed.
fn has_dawn() -> bool {
    dawn().join("node_modules/webgpu/index.js").is_file()
        && Command::new("node")
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
}

/// Every combination of the values of the module's Boolean override constants. Other constants
/// keep their defaults.
fn constants(module: &Module) -> Vec<Value> {
    let booleans = module
        .overrides
        .iter()
        .filter(|(_, constant)| module.types[constant.ty].inner == TypeInner::Scalar(Scalar::BOOL));
    let mut combinations = vec![Map::new()];
    for (_, constant) in booleans {
        let name = constant.name.as_ref().expect("a constant has a name");
        combinations = combinations
            .into_iter()
            .flat_map(|combination| {
                [0, 1].map(|value| {
                    let mut combination = combination.clone();
                    combination.insert(name.clone(), value.into());
                    combination
                })
            })
            .collect();
    }
    combinations.into_iter().map(Value::Object).collect()
}

/// What `dawn_compile.mjs` reads about an entry point.
fn description(shader: &Shader, code: &str) -> Value {
    let module = naga::front::wgsl::parse_str(code);
    let bindings = shader.bindings.iter().map(|(_, access)| match access {
        Access::Read => "read-only-storage",
        Access::Write => "storage",
    });
    json!({
        "label": format!("{}::{}", shader.stem, shader.entry_point),
        "code": code,
        "entry_point": shader.entry_point,
        "bindings": bindings.collect::<Vec<_>>(),
        "constants": module.map_or_else(|_| vec![json!({})], |module| constants(&module)),
    })
}

/// Whether Dawn compiles the entry points, and what it printed.
fn compile(entry_points: &[Value]) -> (bool, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let modules = directory.path().join("modules.json");
    std::fs::write(&modules, json!(entry_points).to_string()).expect("a file written");
    let output = Command::new("node")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/dawn_compile.mjs"
        ))
        .args([dawn(), modules])
        .output()
        .expect("node runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), printed)
}

fn target(subgroups: bool) -> Target {
    Target {
        immediates: false,
        subgroups,
        matrix: 16,
    }
}

/// Every entry point but those with cooperative matrices, which are no part of WebGPU.
#[apply(test)]
#[ignore_unless(slow_tests() && has_dawn())]
fn dawn_compiles_every_entry_point() {
    let shaders = KERNELS.iter().flat_map(|kernel| kernel.shaders);
    let entry_points: Vec<_> = shaders
        .filter(|shader| !shader.enables.contains("wgpu_"))
        .flat_map(|shader| {
            // Dawn requires a directive, which naga does not know.
            let reduction = shader.has_reduction().then(|| {
                let module = shader.module(target(true));
                let mut entry_point = description(shader, &module);
                entry_point["code"] = format!("enable subgroups;\n{module}").into();
                entry_point
            });
            [description(shader, &shader.module(target(false)))]
                .into_iter()
                .chain(reduction)
        })
        .collect();
    let (compiled, printed) = compile(&entry_points);
    assert!(compiled, "{printed}");
    println!("{} entry points, {printed}", entry_points.len());
}

/// Dawn reports what is wrong: a type, a barrier that some invocations do not reach, and another
/// access than the host declares.
#[apply(test)]
#[ignore_unless(slow_tests() && has_dawn())]
fn dawn_rejects_invalid_shaders() {
    let shader = Shader {
        stem: "test",
        source: "",
        entry_point: "main",
        bindings: &[("values", Access::Read)],
        arguments: &[],
        enables: "",
        trusted: false,
    };
    let bodies = [
        ("let x = values[lane];", "read", ""),
        ("let x = values[lane] + 1u;", "read", "operator +"),
        (
            "if values[lane] > 0.0 { workgroupBarrier(); }",
            "read",
            "uniform control flow",
        ),
        ("values[lane] = 1.0;", "read_write", "readonlystorage"),
    ];
    for (body, access, reason) in bodies {
        let code = format!(
            "@group(0) @binding(0) var<storage, {access}> values: array<f32>;
            @compute @workgroup_size(64)
            fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
        );
        let (compiled, printed) = compile(&[description(&shader, &code)]);
        assert_eq!(compiled, reason.is_empty(), "{body}: {printed}");
        assert!(
            printed.to_lowercase().contains(reason),
            "{body}, {reason}: {printed}"
        );
    }
}
