//! What a kernel says about its compute shader: source, bindings by name, arguments by name.
//!
//! The declarations here are the Rust side of what the WGSL file says; a test holds each against
//! the shader by naga's reflection.

use crate::tensor::{Element, Tensor};

/// How a shader uses a storage buffer. WebGPU forbids binding one buffer both ways in one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// One field of a shader's `Arguments`, four bytes each: its name and WGSL type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// The field's name, the same in Rust and in WGSL.
    pub name: &'static str,
    /// `u32` or `f32`.
    pub scalar: &'static str,
}

/// A `repr(C)` struct of four-byte scalars that travels with a dispatch; made by the macro
/// `arguments!`.
pub trait Arguments: bytemuck::Pod {
    /// The fields in their order in memory.
    const FIELDS: &'static [Argument];
}

/// Declares the arguments of a shader once: the struct, its layout and the names that the test
/// compares with WGSL.
macro_rules! arguments {
    ($($field:ident: $scalar:ident),* $(,)?) => {
        /// Sizes and numbers of one dispatch, as `Arguments` in the shader.
        #[repr(C)]
        #[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        struct Arguments { $($field: $scalar),* }

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

/// One entry point of a WGSL file with everything that the host must know of it.
#[derive(Debug)]
pub struct Shader {
    /// The file's stem under `shaders/`.
    pub stem: &'static str,
    /// The file's text, without the shared prefix.
    pub source: &'static str,
    /// The function to run.
    pub entry_point: &'static str,
    /// Storage buffers of group 0 by binding number: the WGSL variable's name and its access.
    pub bindings: &'static [(&'static str, Access)],
    /// The fields of `Arguments`.
    pub arguments: &'static [Argument],
    /// `enable` directives, which WGSL wants before everything else; empty for most.
    pub enables: &'static str,
    /// Whether it runs without the bounds checks and loop bounds that wgpu would add, and with
    /// workgroup memory as it comes. Only for shaders all of whose indices follow from sizes that
    /// the host checked, and whose cases, guard bands and all, pass so.
    pub trusted: bool,
}

/// Text put in front of every shader: constants and functions that several need.
pub const SHARED: &str = include_str!("../../../shaders/shared.wgsl");

impl Shader {
    /// The complete WGSL module: where the arguments lie, the shared prefix, the file.
    pub fn module(&self, immediates: bool) -> String {
        let arguments = if immediates {
            "var<immediate> arguments: Arguments;"
        } else {
            "@group(1) @binding(0) var<uniform> arguments: Arguments;"
        };
        format!("{}{arguments}\n{SHARED}\n{}", self.enables, self.source)
    }
}

/// A buffer for one of a shader's bindings. The whole buffer is bound; where the tensor begins
/// travels in the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    pub(in crate::device) buffer: usize,
}

impl Binding {
    /// The tensor's buffer, for a shader that takes the tensor's offset as an argument.
    pub fn with_offset<T: Element>(tensor: &Tensor<T>) -> (Self, u32) {
        (
            Self {
                buffer: tensor.buffer,
            },
            index(tensor.offset),
        )
    }

    /// The tensor's buffer, for a shader that expects it at the buffer's beginning.
    ///
    /// # Panics
    /// If the tensor begins elsewhere.
    pub fn whole<T: Element>(tensor: &Tensor<T>) -> Self {
        assert_eq!(tensor.offset, 0, "this kernel takes no part of a buffer");
        Self {
            buffer: tensor.buffer,
        }
    }
}

/// A size or position as shaders count. Every buffer is below 2^31 bytes, so each element's number
/// fits.
///
/// # Panics
/// If it does not fit.
pub fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a binding is smaller than 2^31 bytes")
}
