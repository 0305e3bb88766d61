//! Wrong values in workgroup memory before a shader runs. Shaders without wgpu's checks run with
//! uninitialized workgroup memory: none may read what it has not written.

use std::fmt::Write as _;

use elman::device::{Shader, Target};
use elman::kernels::KERNELS;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Module, ScalarKind, TypeInner};

use super::harness::{apply, test};

/// The name, the number of elements and a wrong element of each array in workgroup memory that the
/// entry point uses, and the invocations of a workgroup.
fn arrays(shader: &Shader, source: &str) -> (Vec<(String, u32, &'static str)>, u32) {
    let module = naga::front::wgsl::parse_str(source).expect("the shader parses");
    let capabilities = Capabilities::IMMEDIATES
        | Capabilities::SHADER_FLOAT16
        | Capabilities::COOPERATIVE_MATRIX
        | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .expect("the shader is valid");
    let entries = &module.entry_points;
    let number = entries
        .iter()
        .position(|entry| entry.name == shader.entry_point)
        .expect("the entry point exists");
    let used = module.global_variables.iter().filter(|(handle, variable)| {
        variable.space == AddressSpace::WorkGroup
            && !info.get_entry_point(number)[*handle].is_empty()
    });
    let arrays = used.flat_map(|(_, variable)| {
        let name = variable.name.clone().expect("a variable has a name");
        arrays_in(&module, name, &module.types[variable.ty].inner)
    });
    (
        arrays.collect(),
        entries[number].workgroup_size.iter().product(),
    )
}

/// The array of this type, or those that are members of a structure.
fn arrays_in(module: &Module, name: String, inner: &TypeInner) -> Vec<(String, u32, &'static str)> {
    let TypeInner::Struct { members, .. } = inner else {
        let (count, value) = array(module, inner);
        return vec![(name, count, value)];
    };
    let members = members.iter().map(|member| {
        let field = member.name.as_deref().expect("a member has a name");
        let (count, value) = array(module, &module.types[member.ty].inner);
        (format!("{name}.{field}"), count, value)
    });
    members.collect()
}

fn array(module: &Module, inner: &TypeInner) -> (u32, &'static str) {
    let TypeInner::Array {
        base,
        size: ArraySize::Constant(count),
        ..
    } = *inner
    else {
        panic!("workgroup memory that is no array: {inner:?}");
    };
    let value = match module.types[base].inner {
        TypeInner::Scalar(scalar) if scalar.width == 2 => "-60000.0h",
        TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Uint => "4000000000u",
        TypeInner::Scalar(_) => "-1.25e30",
        TypeInner::Vector { .. } => "vec4<f32>(-1.25e30)",
        ref other => panic!("elements of workgroup memory: {other:?}"),
    };
    (count.get(), value)
}

/// The module of a shader that first fills the workgroup memory with wrong values.
pub fn poison_workgroup_memory(shader: &Shader, source: String) -> String {
    let (arrays, invocations) = arrays(shader, &source);
    if arrays.is_empty() {
        return source;
    }
    let function = source
        .find(&format!("fn {}(", shader.entry_point))
        .expect("the entry point is a function");
    let parameters = &source[function..];
    let body = parameters.find(") {\n").expect("the function has a body");
    let lane = if parameters[..body].contains("lane: vec3<u32>") {
        "lane.y * 16u + lane.x"
    } else {
        "lane"
    };
    let mut poison = String::new();
    for (name, count, value) in arrays {
        writeln!(
            poison,
            "for (var wrong = {lane}; wrong < {count}u; wrong += {invocations}u) {{ {name}[wrong] \
             = {value}; }}"
        )
        .expect("a string takes everything");
    }
    poison.push_str("workgroupBarrier();\n");
    let (before, after) = source.split_at(function + body + ") {\n".len());
    format!("{before}{poison}{after}")
}

/// Every shader that declares workgroup memory is poisoned, and is still valid.
#[apply(test)]
fn poisoned_shaders_are_valid() {
    let mut poisoned = 0;
    for shader in KERNELS.iter().flat_map(|kernel| kernel.shaders) {
        let source = shader.module(Target {
            immediates: false,
            subgroups: false,
            matrix: 16,
        });
        let changed = poison_workgroup_memory(shader, source.clone());
        let (arrays, _) = arrays(shader, &changed);
        for (name, _, _) in &arrays {
            assert!(
                changed.contains(&format!("{name}[wrong]")),
                "{}",
                shader.stem
            );
        }
        poisoned += usize::from(changed != source);
    }
    assert!(poisoned >= 15, "{poisoned} entry points");
}
