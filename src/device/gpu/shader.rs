//! The host-side declaration of a compute shader: source, named bindings and named arguments.
//!
//! The declarations repeat those of the WGSL file. A test compares them with the shader by naga's
//! reflection.

use crate::tensor::{Element, Tensor};

/// How a shader uses a storage buffer. WebGPU does not allow both kinds of access to one buffer in
/// one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// A four-byte field of a shader's `Arguments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// The field's name, the same in Rust and in WGSL.
    pub name: &'static str,
    /// Its WGSL type: `u32` or `f32`.
    pub scalar: &'static str,
}

/// The arguments of a dispatch: a `repr(C)` struct of four-byte scalars, declared with the macro
/// `arguments!`.
pub trait Arguments: bytemuck::Pod {
    /// The fields in memory order.
    const FIELDS: &'static [Argument];
}

/// Declares the arguments of a shader: the struct, its layout, and the field names that the test
/// compares with the WGSL declaration.
macro_rules! arguments {
    ($($field:ident: $scalar:ident),* $(,)?) => {
        /// The arguments of one dispatch, laid out as `Arguments` in the shader.
        #[repr(C)]
        #[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct Arguments { $($field: $scalar),* }

        impl $crate::device::Arguments for Arguments {
            const FIELDS: &'static [$crate::device::Argument] = &[$(
                $crate::device::Argument {
                    name: stringify!($field),
                    scalar: stringify!($scalar),
                }
            ),*];
        }
    };
}
pub(crate) use arguments;

/// An entry point of a WGSL file, with what the host needs to launch it.
#[derive(Debug)]
pub struct Shader {
    /// The stem of the file under `shaders/`.
    pub stem: &'static str,
    /// The file's text, without the shared prelude.
    pub source: &'static str,
    /// The entry point's name.
    pub entry_point: &'static str,
    /// Storage buffers of bind group 0 in binding order: the WGSL variable's name and its access.
    pub bindings: &'static [(&'static str, Access)],
    /// The fields of `Arguments`.
    pub arguments: &'static [Argument],
    /// `enable` directives, which WGSL requires before all other text; usually empty.
    pub enables: &'static str,
    /// Whether the shader runs without wgpu's bounds checks and loop bounds, and with uninitialized
    /// workgroup memory. Only for shaders whose indices are all bounded by sizes that the host
    /// checks, and whose test cases, including their guard bands, pass without the checks.
    pub trusted: bool,
}

/// WGSL text that precedes every shader: shared constants and functions.
pub const SHADER_PRELUDE: &str = include_str!("../../../shaders/shared.wgsl");

/// The part of a shader that sums over a workgroup without subgroups, and the one with the same
/// functions that replaces it on adapters with subgroups.
const WORKGROUP_REDUCTION: &str = include_str!("../../../shaders/workgroup_reduction.wgsl");
const SUBGROUP_REDUCTION: &str = include_str!("../../../shaders/subgroup_reduction.wgsl");

/// The part of a shader that declares the types of cooperative matrices, and the one that replaces
/// it where they are smaller.
const MATRICES_OF_16: &str = include_str!("../../../shaders/cooperative_16.wgsl");
const MATRICES_OF_8: &str = include_str!("../../../shaders/cooperative_8.wgsl");

/// What a module is written for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Whether arguments are immediates; otherwise they are in a uniform buffer.
    pub immediates: bool,
    /// Whether shaders may use subgroups.
    pub subgroups: bool,
    /// The rows and columns of cooperative matrices: 16, or 8.
    pub matrix: usize,
}

impl Shader {
    /// Whether the module uses subgroups on adapters that have them.
    pub fn has_reduction(&self) -> bool {
        self.source.contains(WORKGROUP_REDUCTION)
    }

    /// Whether the module uses cooperative matrices.
    pub fn has_matrices(&self) -> bool {
        self.source.contains(MATRICES_OF_16)
    }

    /// The complete WGSL module: `enable` directives, the declaration of the arguments, the shared
    /// prelude, and the file. naga requires no directive for subgroups, and knows none.
    pub fn module(&self, target: Target) -> String {
        let arguments = if target.immediates {
            "var<immediate> arguments: Arguments;"
        } else {
            "@group(1) @binding(0) var<uniform> arguments: Arguments;"
        };
        let mut module = format!(
            "{}{arguments}\n{SHADER_PRELUDE}\n{}",
            self.enables, self.source
        );
        if target.subgroups {
            module = module.replace(WORKGROUP_REDUCTION, SUBGROUP_REDUCTION);
        }
        if target.matrix == 8 {
            module = module.replace(MATRICES_OF_16, MATRICES_OF_8);
        }
        module
    }
}

/// A buffer for one of a shader's bindings. The whole buffer is bound; the tensor's offset is
/// passed in the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    pub(in crate::device) buffer: usize,
}

impl Binding {
    /// The tensor's buffer and the tensor's offset in it, for a shader that takes the offset as an
    /// argument.
    pub fn with_offset<T: Element>(tensor: &Tensor<T>) -> (Self, u32) {
        (
            Self {
                buffer: tensor.buffer,
            },
            to_u32(tensor.offset),
        )
    }

    /// The tensor's buffer, for a shader that expects the tensor at offset 0.
    ///
    /// # Panics
    /// If the tensor has another offset.
    pub fn whole<T: Element>(tensor: &Tensor<T>) -> Self {
        assert_eq!(
            tensor.offset, 0,
            "this kernel requires a tensor at offset 0 of its buffer"
        );
        Self {
            buffer: tensor.buffer,
        }
    }
}

/// Converts a size or an index to the integer type of shaders. Every binding is smaller than 2^31
/// bytes, so every element index fits.
///
/// # Panics
/// If the value does not fit.
pub fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a binding is smaller than 2^31 bytes")
}
