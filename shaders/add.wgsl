// output += input or, where SQUARE is set, output += input^2.
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

// One workgroup for each position of `order`. Only the first position of each token does work.
@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = flat_workgroup(workgroup, workgroups);
    if p >= arguments.count { return; }
    let token = tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
    // NONE and rows in another shard of the table are skipped.
    if token < arguments.first_row || token >= arguments.end_row { return; }
    if p > 0u && tokens[arguments.tokens_offset
        + order[arguments.order_offset + max(p, 1u) - 1u]] == token {
        return;
    }
    for (var column = lane; column < arguments.columns; column += 64u) {
        add((token - arguments.first_row) * arguments.columns + column,
            input[arguments.input_offset + p * arguments.columns + column]);
    }
}
