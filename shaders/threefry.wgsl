// Random numbers from counters: the end of dropout.wgsl and qrnn.wgsl.

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
