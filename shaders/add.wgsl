// Elementwise addition: output += input, or output += input^2 with SQUARE.
//
// dense: an input of the output's shape. sparse: input for some of its rows.
struct Arguments {
    count: u32,
    columns: u32,
    input_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
}

override SQUARE: bool = false;

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;

fn add(i: u32, value: f32) {
    if SQUARE {
        output[arguments.output_offset + i] += value * value;
    } else {
        output[arguments.output_offset + i] += value;
    }
}

@compute @workgroup_size(256)
fn dense(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count { add(i, input[arguments.input_offset + i]); }
}

fn token_at(p: u32) -> u32 {
    return tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
}

// One workgroup for each position p of `order`. Only the first position of each token does work.
@compute @workgroup_size(64)
fn sparse(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = flat_workgroup(workgroup, workgroups);
    if p >= arguments.count { return; }
    let token = token_at(p);
    // Skips NONE and rows in other shards of the table.
    if token < arguments.first_row || token >= arguments.end_row { return; }
    if p > 0u && token_at(max(p, 1u) - 1u) == token { return; }
    for (var column = lane; column < arguments.columns; column += 64u) {
        let i = (token - arguments.first_row) * arguments.columns + column;
        add(i, input[arguments.input_offset + p * arguments.columns + column]);
    }
}
