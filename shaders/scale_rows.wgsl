// Multiplies each row by its factor: output = factors[row] * input (copy), or
// output *= factors[row] (in_place).
struct Arguments {
    count: u32,
    columns: u32,
    input_offset: u32,
    output_offset: u32,
    factors_offset: u32,
}

@group(0) @binding(0) var<storage, read_write> output: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

fn factor(i: u32) -> f32 {
    return factors[arguments.factors_offset + i / arguments.columns];
}

@compute @workgroup_size(256)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count {
        output[arguments.output_offset + i] = input[arguments.input_offset + i] * factor(i);
    }
}

@compute @workgroup_size(256)
fn in_place(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count { output[arguments.output_offset + i] *= factor(i); }
}
