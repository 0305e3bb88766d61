//! Checks of the shaders without an adapter: naga parses each of them, the result is compared with
//! the Rust declarations, and the files of a kernel have the same stem.

use std::collections::BTreeSet;
use std::path::Path;

use elman::device::{Access, Shader, Target};
use elman::kernels::{KERNELS, cases};
use libtest_mimic::Trial;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, Scalar, StorageAccess, TypeInner};

use super::harness::{apply, test, trial, trials};

/// The limit on storage buffers per dispatch: Metal uses one of the eight that WebGPU guarantees.
const MOST_BINDINGS: usize = 7;
/// Bytes of workgroup memory that WebGPU guarantees.
const MOST_WORKGROUP_MEMORY: u32 = 16_384;
/// Bytes of workgroup memory that an adapter needs for cooperative matrices to be used.
const MATRICES_WORKGROUP_MEMORY: u32 = 28_688;
/// Invocations per workgroup that WebGPU guarantees.
const MOST_INVOCATIONS: u32 = 256;
/// Files of `src/kernels` without a shader.
const HELPERS: [&str; 6] = ["cases", "math", "mod", "parallel", "recurrent", "rows"];
/// Kernels that are GPU variants of another one, in its folder.
const VARIANTS: &[&str] = &[
    "matmul/gpu/matmul_cooperative",
    "recurrence/recurrence_step",
];

/// Every shader of the crate, one for each entry point.
fn all_shaders() -> impl Iterator<Item = &'static Shader> + Clone {
    KERNELS.iter().flat_map(|kernel| kernel.shaders).copied()
}

/// One trial per shader entry point and way to pass arguments.
#[apply(trials)]
fn every_shader() -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for shader in all_shaders() {
        for (arguments, immediates) in [("immediates", true), ("uniform", false)] {
            let name = format!(
                "shaders::{}::{}::{arguments}",
                shader.stem, shader.entry_point
            );
            let target = target(immediates);
            trials.push(trial(name.clone(), move || check_shader(shader, target)));
            if shader.has_reduction() {
                let target = Target {
                    subgroups: true,
                    ..target
                };
                trials.push(trial(format!("{name}::subgroups"), move || {
                    check_shader(shader, target);
                }));
            }
            if shader.has_matrices() {
                let target = Target {
                    matrix: 8,
                    ..target
                };
                trials.push(trial(format!("{name}::matrices_of_8"), move || {
                    check_shader(shader, target);
                }));
            }
        }
    }
    trials
}

/// An adapter without subgroups.
fn target(immediates: bool) -> Target {
    Target {
        immediates,
        subgroups: false,
        matrix: 16,
    }
}

fn check_shader(shader: &Shader, target: Target) {
    if let Err(difference) = compare(shader, target) {
        panic!(
            "shaders/{}.wgsl, {}: {difference}",
            shader.stem, shader.entry_point
        );
    }
}

/// Compares a shader with its declaration.
fn compare(shader: &Shader, target: Target) -> Result<(), String> {
    let source = shader.module(target);
    let module =
        naga::front::wgsl::parse_str(&source).map_err(|error| error.emit_to_string(&source))?;
    let mut validator = Validator::new(
        ValidationFlags::all(),
        Capabilities::IMMEDIATES
            | Capabilities::SHADER_FLOAT16
            | Capabilities::COOPERATIVE_MATRIX
            | Capabilities::SUBGROUP,
    );
    let info = validator
        .validate(&module)
        .map_err(|error| error.emit_to_string(&source))?;
    let number = module
        .entry_points
        .iter()
        .position(|entry| entry.name == shader.entry_point)
        .ok_or("there is no such entry point")?;
    let declared = declared_bindings(shader);
    let (bound, used) = bindings(&module, &info, number, &declared)?;
    // Entry points of one file share their first bindings, and may not use all of them.
    same(
        "bindings in WGSL, in Rust",
        &bound[..declared.len().min(bound.len())],
        &declared[..],
    )?;
    if let Some(missing) = used
        .iter()
        .find(|number| **number as usize >= declared.len())
    {
        return Err(format!("binding {missing} is used and not declared"));
    }
    same(
        "arguments in WGSL, in Rust",
        arguments(&module, target.immediates)?,
        declared_arguments(shader),
    )?;

    let entry = &module.entry_points[number];
    if entry.workgroup_size.iter().product::<u32>() > MOST_INVOCATIONS {
        return Err(format!(
            "{:?} invocations are more than {MOST_INVOCATIONS}",
            entry.workgroup_size
        ));
    }
    if shader.bindings.len() > MOST_BINDINGS {
        return Err(format!(
            "{} storage buffers are more than {MOST_BINDINGS}",
            shader.bindings.len()
        ));
    }
    let in_workgroups: Vec<_> = module
        .global_variables
        .iter()
        .filter(|(handle, variable)| {
            variable.space == AddressSpace::WorkGroup
                && !info.get_entry_point(number)[*handle].is_empty()
        })
        .map(|(_, variable)| &module.types[variable.ty].inner)
        .collect();
    let memory: u32 = in_workgroups
        .iter()
        .map(|inner| inner.size(module.to_ctx()))
        .sum();
    let most_memory = if shader.has_matrices() {
        check_places_of_matrices(&in_workgroups)?;
        MATRICES_WORKGROUP_MEMORY
    } else {
        MOST_WORKGROUP_MEMORY
    };
    if memory > most_memory {
        return Err(format!(
            "{memory} bytes of workgroup memory are more than {most_memory}"
        ));
    }
    Ok(())
}

/// Matrices in workgroup memory begin at multiples of 16 bytes: the members of one structure, since
/// compilers choose the order of variables.
fn check_places_of_matrices(in_workgroups: &[&TypeInner]) -> Result<(), String> {
    match in_workgroups {
        [] => Ok(()),
        [TypeInner::Struct { members, .. }]
            if members
                .iter()
                .all(|member| member.offset.is_multiple_of(16)) =>
        {
            Ok(())
        }
        others => Err(format!(
            "workgroup memory where matrices may begin anywhere: {others:?}"
        )),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wgsl: T, rust: T) -> Result<(), String> {
    if wgsl == rust {
        Ok(())
    } else {
        Err(format!("{what}: {wgsl:?}, {rust:?}"))
    }
}

/// Binding index, name and access of a storage buffer.
type Bound = (u32, String, Access);

/// The storage buffers of a file by binding index, and the indices that an entry point uses.
fn bindings(
    module: &Module,
    info: &ModuleInfo,
    entry_point: usize,
    declared: &[Bound],
) -> Result<(Vec<Bound>, Vec<u32>), String> {
    let (mut bindings, mut used) = (Vec::new(), Vec::new());
    for (handle, variable) in module.global_variables.iter() {
        let AddressSpace::Storage { access } = variable.space else {
            continue;
        };
        let binding = variable
            .binding
            .as_ref()
            .ok_or("a storage buffer without a binding")?;
        if binding.group != 0 {
            return Err(format!("a storage buffer in group {}", binding.group));
        }
        let access = if access.contains(StorageAccess::STORE) {
            Access::Write
        } else {
            Access::Read
        };
        let is_used = !info.get_entry_point(entry_point)[handle].is_empty();
        if is_used {
            used.push(binding.binding);
        }
        bindings.push((
            binding.binding,
            variable.name.clone().unwrap_or_default(),
            access,
            is_used,
        ));
    }
    // If several variables have the same binding, each for other entry points, the one that this
    // entry point uses counts. If it uses none of them, any may be declared.
    bindings.sort_by_cached_key(|(number, name, access, is_used)| {
        let is_declared = declared.contains(&(*number, name.clone(), *access));
        (*number, !is_used, !is_declared)
    });
    bindings.dedup_by_key(|binding| binding.0);
    let bindings = bindings
        .into_iter()
        .map(|(number, name, access, _)| (number, name, access))
        .collect();
    Ok((bindings, used))
}

fn declared_bindings(shader: &Shader) -> Vec<Bound> {
    (0..)
        .zip(shader.bindings)
        .map(|(number, (name, access))| (number, (*name).to_string(), *access))
        .collect()
}

/// The fields of `Arguments`, each with its type and offset. The offsets must match the host's.
fn arguments(
    module: &Module,
    immediates: bool,
) -> Result<Vec<(String, &'static str, u32)>, String> {
    let mut variables = module.global_variables.iter().map(|(_, variable)| variable);
    let variable = variables
        .find(|variable| variable.name.as_deref() == Some("arguments"))
        .ok_or("there are no arguments")?;
    let space = if immediates {
        AddressSpace::Immediate
    } else {
        AddressSpace::Uniform
    };
    same("address space, wanted", variable.space, space)?;
    if !immediates {
        let place = variable
            .binding
            .as_ref()
            .map(|binding| (binding.group, binding.binding));
        same(
            "group and binding of the arguments, wanted",
            place,
            Some((1, 0)),
        )?;
    }
    let TypeInner::Struct { members, .. } = &module.types[variable.ty].inner else {
        return Err("arguments are no struct".into());
    };
    let fields = members.iter().map(|member| {
        let scalar = match module.types[member.ty].inner {
            TypeInner::Scalar(Scalar::U32) => "u32",
            TypeInner::Scalar(Scalar::F32) => "f32",
            ref other => {
                return Err(format!(
                    "{:?} is neither u32 nor f32 but {other:?}",
                    member.name
                ));
            }
        };
        Ok((
            member.name.clone().unwrap_or_default(),
            scalar,
            member.offset,
        ))
    });
    fields.collect()
}

fn declared_arguments(shader: &Shader) -> Vec<(String, &'static str, u32)> {
    (0..)
        .step_by(4)
        .zip(shader.arguments)
        .map(|(offset, field)| (field.name.to_string(), field.scalar, offset))
        .collect()
}

/// The comparison must fail if a declaration is wrong: another access, order, name, number of
/// bindings, type, entry point, or WGSL that does not validate.
#[apply(test)]
fn wrong_declarations_are_detected() {
    use elman::device::Argument;
    const BINDINGS: &[(&str, Access)] = &[("a", Access::Read), ("b", Access::Write)];
    const ARGUMENTS: &[Argument] = &[
        Argument {
            name: "count",
            scalar: "u32",
        },
        Argument {
            name: "rate",
            scalar: "f32",
        },
    ];
    const TURNED: &[Argument] = &[ARGUMENTS[1], ARGUMENTS[0]];
    const OTHER_TYPE: &[Argument] = &[
        Argument {
            name: "count",
            scalar: "f32",
        },
        ARGUMENTS[1],
    ];
    const SOURCE: &str = "struct Arguments { count: u32, rate: f32 }
        @group(0) @binding(0) var<storage, read> a: array<f32>;
        @group(0) @binding(1) var<storage, read_write> b: array<f32>;
        @compute @workgroup_size(64) fn main() { b[arguments.count] = arguments.rate * a[0]; }";
    let right = Shader {
        stem: "test",
        source: SOURCE,
        entry_point: "main",
        bindings: BINDINGS,
        arguments: ARGUMENTS,
        enables: "",
        trusted: false,
    };
    for immediates in [true, false] {
        assert_eq!(compare(&right, target(immediates)), Ok(()));
        let wrong = [
            Shader {
                entry_point: "other",
                ..right
            },
            Shader {
                bindings: &[("a", Access::Write), ("b", Access::Write)],
                ..right
            },
            Shader {
                bindings: &[("b", Access::Write), ("a", Access::Read)],
                ..right
            },
            Shader {
                bindings: &[("a", Access::Read)],
                ..right
            },
            Shader {
                arguments: TURNED,
                ..right
            },
            Shader {
                arguments: OTHER_TYPE,
                ..right
            },
            Shader {
                arguments: ARGUMENTS.split_at(1).0,
                ..right
            },
            Shader {
                source: "struct Arguments { count: u32, rate: f32 } @compute @workgroup_size(64) \
                    fn main() {}",
                ..right
            },
            Shader {
                source: "struct Arguments { count: u32 } @compute @workgroup_size(64) fn main() { \
                    let x: f32 = 1u; }",
                ..right
            },
        ];
        for (number, shader) in wrong.iter().enumerate() {
            assert!(
                compare(shader, target(immediates)).is_err(),
                "wrong declaration {number} passes"
            );
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Ends of shaders, in files of their own: the stem and the text, in the order in which they follow
/// one another.
const PARTS: [(&str, &str); 13] = [
    ("threefry", include_str!("../shaders/threefry.wgsl")),
    ("unit_steps", include_str!("../shaders/unit_steps.wgsl")),
    (
        "cooperative_16",
        include_str!("../shaders/cooperative_16.wgsl"),
    ),
    ("large_tile", include_str!("../shaders/large_tile.wgsl")),
    ("gated_states", include_str!("../shaders/gated_states.wgsl")),
    (
        "fused_product",
        include_str!("../shaders/fused_product.wgsl"),
    ),
    ("step_product", include_str!("../shaders/step_product.wgsl")),
    ("lstm_cell", include_str!("../shaders/lstm_cell.wgsl")),
    ("softmax_row", include_str!("../shaders/softmax_row.wgsl")),
    (
        "online_softmax",
        include_str!("../shaders/online_softmax.wgsl"),
    ),
    (
        "workgroup_reduction",
        include_str!("../shaders/workgroup_reduction.wgsl"),
    ),
    ("update", include_str!("../shaders/update.wgsl")),
    ("update_two", include_str!("../shaders/update_two.wgsl")),
];

/// Whether a source is a file's text followed by some of the [`PARTS`].
fn is_text_and_parts(source: &str, text: &str) -> bool {
    let rest = source.strip_prefix(text);
    rest.is_some_and(|rest| {
        PARTS
            .iter()
            .fold(rest, |rest, (_, part)| {
                rest.strip_prefix(part).unwrap_or(rest)
            })
            .is_empty()
    })
}

/// The stems of the files with this extension in a folder.
fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let entries =
        std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let paths = entries.map(|entry| {
        entry
            .unwrap_or_else(|error| panic!("{folder}: {error}"))
            .path()
    });
    let files = paths.filter(|path| path.extension().is_some_and(|own| own == extension));
    files
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// Every kernel has a shader, a Rust file, a row of [`KERNELS`] and a case, all with the same stem,
/// and none of these lacks the others.
#[apply(test)]
fn shader_and_rust_files_share_a_stem() {
    let mut shaders = stems("shaders", "wgsl");
    let others = ["shared", "subgroup_reduction", "cooperative_8"];
    for part in PARTS.iter().map(|(stem, _)| *stem).chain(others) {
        assert!(shaders.remove(part), "no shaders/{part}.wgsl");
    }
    let mut rust = stems("src/kernels", "rs");
    for helper in HELPERS {
        assert!(rust.remove(helper), "no src/kernels/{helper}.rs");
    }
    for variant in VARIANTS {
        let path = root().join(format!("src/kernels/{variant}.rs"));
        assert!(path.is_file(), "no src/kernels/{variant}.rs");
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        rust.insert(stem.expect("a UTF-8 name").to_owned());
    }
    let rows: BTreeSet<String> = all_shaders().map(|shader| shader.stem.to_owned()).collect();
    for kernel in KERNELS {
        let stems = kernel.shaders.iter().map(|shader| shader.stem);
        assert!(
            stems.eq(kernel.shaders.iter().map(|_| kernel.name())),
            "{}: a row of another kernel's shaders",
            kernel.name()
        );
    }
    let with_cases: BTreeSet<String> = cases::all()
        .iter()
        .map(|case| case.kernel.to_owned())
        .collect();
    assert_eq!(shaders, rust, "shaders/*.wgsl and src/kernels/*.rs");
    assert_eq!(shaders, rows, "shaders/*.wgsl and KERNELS");
    assert_eq!(shaders, with_cases, "shaders/*.wgsl and the cases");
    let entry_points: BTreeSet<_> = all_shaders()
        .map(|shader| (shader.stem, shader.entry_point))
        .collect();
    assert_eq!(
        entry_points.len(),
        all_shaders().count(),
        "an entry point is listed twice"
    );
    for stem in shaders {
        let path = root().join(format!("shaders/{stem}.wgsl"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let listed = all_shaders().filter(|shader| shader.stem == stem);
        assert!(
            listed
                .clone()
                .all(|shader| is_text_and_parts(shader.source, &text)),
            "the source of {stem} is another file"
        );
        let entry_points = listed
            .clone()
            .map(|shader| shader.source.matches("@compute").count());
        assert_eq!(
            entry_points.max(),
            Some(listed.count()),
            "entry points of {stem} that KERNELS does not list"
        );
    }
}
