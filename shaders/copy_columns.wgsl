// Copies columns of a matrix to columns of another one with as many rows.
struct Arguments {
    rows: u32,
    columns: u32,
    input_columns: u32,
    output_columns: u32,
    input_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.rows * arguments.columns { return; }
    let row = i / arguments.columns;
    let column = i % arguments.columns;
    let value = input[arguments.input_offset + row * arguments.input_columns + column];
    output[arguments.output_offset + row * arguments.output_columns + column] = value;
}
