// Sets the rows of streams that are reset: values[row, :] = value where tokens[row] is the
// boundary 0.
struct Arguments {
    count: u32,
    columns: u32,
    values_offset: u32,
    tokens_offset: u32,
    value: f32,
}

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    if tokens[arguments.tokens_offset + i / arguments.columns] == 0u {
        values[arguments.values_offset + i] = arguments.value;
    }
}
