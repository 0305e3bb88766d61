//! Compute pipelines: one for each entry point and set of override constants, created at first use.

use super::shader::{Access, Shader};

/// Identifies a pipeline: shader stem, entry point, and override constants compared by their bits.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    stem: &'static str,
    entry_point: &'static str,
    constants: Vec<(&'static str, u64)>,
}

impl PipelineKey {
    pub(super) fn new(shader: &Shader, constants: &[(&'static str, f64)]) -> Self {
        Self {
            stem: shader.stem,
            entry_point: shader.entry_point,
            constants: constants
                .iter()
                .map(|&(name, value)| (name, value.to_bits()))
                .collect(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) label: &'static str,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) storage_layout: wgpu::BindGroupLayout,
}

/// The layout of bind group 1, which holds a dispatch's arguments if immediates are not used.
pub(super) fn uniform_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("arguments"),
        entries: &[layout_entry(0, wgpu::BufferBindingType::Uniform, true)],
    })
}

fn layout_entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: None,
        },
        count: None,
    }
}

fn compile(device: &wgpu::Device, shader: &Shader, module: String) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(shader.stem),
        source: wgpu::ShaderSource::Wgsl(module.into()),
    };
    if !shader.trusted {
        return device.create_shader_module(descriptor);
    }
    #[expect(unsafe_code, reason = "naga's checks are expensive in hot loops")]
    // SAFETY: the indices of a trusted shader are bounded by its arguments, which kernels derive
    // from the shapes of the bound tensors, and its loops terminate; see `Shader::trusted`.
    unsafe {
        device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}

impl Pipeline {
    pub(super) fn new(
        device: &wgpu::Device,
        shader: &Shader,
        module: String,
        constants: &[(&'static str, f64)],
        immediates: bool,
    ) -> Self {
        let entries: Vec<_> = shader
            .bindings
            .iter()
            .zip(0..)
            .map(|(&(_, access), binding)| {
                layout_entry(
                    binding,
                    wgpu::BufferBindingType::Storage {
                        read_only: access == Access::Read,
                    },
                    false,
                )
            })
            .collect();
        let storage_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(shader.stem),
            entries: &entries,
        });
        let uniform = (!immediates).then(|| uniform_layout(device));
        let mut groups = vec![Some(&storage_layout)];
        groups.extend(uniform.as_ref().map(Some));
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.stem),
            bind_group_layouts: &groups,
            immediate_size: if immediates {
                super::to_u32(shader.arguments.len() * 4)
            } else {
                0
            },
        });
        let module = compile(device, shader, module);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.stem),
            layout: Some(&layout),
            module: &module,
            entry_point: Some(shader.entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: !shader.trusted,
            },
            cache: None,
        });
        Self {
            label: shader.stem,
            pipeline,
            storage_layout,
        }
    }
}
