// The input of each step beside that of the step before.
//
// forward:  output[t, b] = (input[t, b], before), [T, B, 2D], where `before` is input[t-1, b], at
//           step 0 the carried one. The carried inputs become those of step `advance` - 1.
// backward: output[t, b] = gradient[t, b, 0..D] + gradient[t+1, b, D..2D], without the second term
//           in the last step: [T, B, D].
//
// With RESET, at a step whose token is the boundary, 0, `before` is `initial` in all elements, and
// no gradient flows from there.
struct Arguments {
    count: u32,
    batch: u32,
    columns: u32,
    advance: u32,
    initial: f32,
    input_offset: u32,
    carried_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
}

override RESET: bool = false;

@group(0) @binding(0) var<storage, read_write> output: array<f32>;
// forward: [T, B, D].
@group(0) @binding(1) var<storage, read> input: array<f32>;
// backward: [T, B, 2D].
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
// [T, B].
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// [B, D].
@group(0) @binding(3) var<storage, read_write> carried: array<f32>;

fn is_reset(row: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + row] == 0u;
}

// One invocation per element of the input.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let slot = arguments.batch * arguments.columns;
    let row = i / arguments.columns;
    var before = 0.0;
    if i >= slot {
        before = input[arguments.input_offset + i - slot];
    } else {
        // No other invocation reads or writes this element.
        let place = arguments.carried_offset + i;
        before = carried[place];
        if arguments.advance > 0u {
            let last = (arguments.advance - 1u) * slot;
            carried[place] = input[arguments.input_offset + last + i];
        }
    }
    let first = arguments.output_offset + i + row * arguments.columns;
    output[first] = input[arguments.input_offset + i];
    output[first + arguments.columns] = select(before, arguments.initial, is_reset(row));
}

// One invocation per element of the output.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let slot = arguments.batch * arguments.columns;
    let row = i / arguments.columns;
    let place = arguments.input_offset + i + row * arguments.columns;
    var value = gradient[place];
    if i + slot < arguments.count && !is_reset(row + arguments.batch) {
        value += gradient[place + 2u * slot + arguments.columns];
    }
    output[arguments.output_offset + i] = value;
}
