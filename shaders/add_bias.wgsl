// Adds a bias to every row: values[row, column] += bias[column]. With SECOND, adds another one
// after it.
struct Arguments {
    count: u32,
    columns: u32,
    bias_offset: u32,
    values_offset: u32,
    second_offset: u32,
}

override SECOND: bool = false;

@group(0) @binding(0) var<storage, read> bias: array<f32>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@group(0) @binding(2) var<storage, read> second: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let column = i % arguments.columns;
    var value = values[arguments.values_offset + i] + bias[arguments.bias_offset + column];
    if SECOND { value += second[arguments.second_offset + column]; }
    values[arguments.values_offset + i] = value;
}
