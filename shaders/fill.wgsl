// Fills a tensor: values = value.
struct Arguments { count: u32, values_offset: u32, value: f32 }

@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count { values[arguments.values_offset + i] = arguments.value; }
}
