// Dropout: output = input m (copy), or output *= m (in_place). The multiplier m is 0 if the random
// word for the element's position is below `threshold`, otherwise `factor`.
//
// Element i has position i modulo `period`, plus `stride` for each period before it, plus `first`:
// with a stride of 0 the mask repeats after `period` elements. With WORDS, the position is the
// token of the element's row, and rows of NONE are unchanged.
struct Arguments {
    count: u32,
    columns: u32,
    period: u32,
    stride: u32,
    first: u32,
    input_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
    seed: u32,
    site: u32,
    draw: u32,
    threshold: u32,
    factor: f32,
}

override WORDS: bool = false;

@group(0) @binding(0) var<storage, read_write> output: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

// The multiplier m of element i.
fn multiplier(i: u32) -> f32 {
    let period = arguments.period;
    var position = i % period + i / period * arguments.stride + arguments.first;
    if WORDS {
        position = tokens[arguments.tokens_offset + i / arguments.columns];
        if position == NONE { return 1.0; }
    }
    let key = vec2<u32>(arguments.seed, arguments.site);
    let random = threefry(key, vec2<u32>(position, arguments.draw));
    return select(arguments.factor, 0.0, random < arguments.threshold);
}

@compute @workgroup_size(256)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count {
        output[arguments.output_offset + i] = input[arguments.input_offset + i] * multiplier(i);
    }
}

@compute @workgroup_size(256)
fn in_place(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count { output[arguments.output_offset + i] *= multiplier(i); }
}
