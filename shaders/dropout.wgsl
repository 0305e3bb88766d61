// Dropout: output = input m (copy), or output *= m (in_place). The multiplier m is 0 if the random
// word for the element's position is below `threshold`, otherwise `factor`.
//
// Element i has position i modulo `period`: the mask repeats after `period` elements. With WORDS,
// the position is the token of the element's row, and rows of NONE are unchanged.
struct Arguments {
    count: u32,
    columns: u32,
    period: u32,
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

fn rotate_left(x: u32, bits: u32) -> u32 {
    return (x << bits) | (x >> (32u - bits));
}

// Four rounds, followed by the injection of a key.
fn rounds(state: vec2<u32>, rotations: vec4<u32>, key: vec2<u32>) -> vec2<u32> {
    var x = state.x;
    var y = state.y;
    x += y;
    y = rotate_left(y, rotations.x) ^ x;
    x += y;
    y = rotate_left(y, rotations.y) ^ x;
    x += y;
    y = rotate_left(y, rotations.z) ^ x;
    x += y;
    y = rotate_left(y, rotations.w) ^ x;
    return vec2<u32>(x, y) + key;
}

// The first word of Threefry-2x32 with 20 rounds (Salmon 2011).
fn threefry(key: vec2<u32>, counter: vec2<u32>) -> u32 {
    const EVEN = vec4<u32>(13u, 15u, 26u, 6u);
    const ODD = vec4<u32>(17u, 29u, 16u, 24u);
    let last = 0x1bd11bdau ^ key.x ^ key.y;
    var state = counter + key;
    state = rounds(state, EVEN, vec2<u32>(key.y, last + 1u));
    state = rounds(state, ODD, vec2<u32>(last, key.x + 2u));
    state = rounds(state, EVEN, vec2<u32>(key.x, key.y + 3u));
    state = rounds(state, ODD, vec2<u32>(key.y, last + 4u));
    state = rounds(state, EVEN, vec2<u32>(last, key.x + 5u));
    return state.x;
}

// The multiplier m of element i.
fn multiplier(i: u32) -> f32 {
    var position = i % arguments.period;
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
