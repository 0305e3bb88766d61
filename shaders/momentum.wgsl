// Momentum (as PyTorch's SGD), with g = scale gradient: velocity = 0.9 velocity + g; parameter -=
// rate velocity, or with NESTEROV parameter -= rate (g + 0.9 velocity)
//
// A table's gradient is zero in most rows, but its velocity fades in all: `rows` adds g so enlarged
// that `dense`, without a gradient, makes it the update above.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

override NESTEROV: bool;
// Whether `dense` has a gradient to add.
override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// What the velocity keeps of itself.
const KEEP: f32 = 0.9;

@compute @workgroup_size(256)
fn dense(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    var g = 0.0;
    if GRADIENT { g = scale[0] * gradient[i]; }
    let moved = KEEP * velocity[i] + g;
    velocity[i] = moved;
    parameter[i] -= arguments.rate * select(moved, g + KEEP * moved, NESTEROV);
}

// One workgroup for each position of `order`; only those work at which a token begins.
@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = flat_workgroup(workgroup, workgroups);
    if p >= arguments.count { return; }
    let token = tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
    // Rows of another piece of the table, and NONE, are left alone.
    if token < arguments.first_row || token >= arguments.end_row { return; }
    if p > 0u && tokens[arguments.tokens_offset
        + order[arguments.order_offset + max(p, 1u) - 1u]] == token {
        return;
    }
    for (var column = lane; column < arguments.columns; column += 64u) {
        let i = (token - arguments.first_row) * arguments.columns + column;
        let g = scale[0] * gradient[p * arguments.columns + column];
        velocity[i] += 1.0 / KEEP * g;
        // `dense` knows g as a part of the velocity only.
        if NESTEROV { parameter[i] -= arguments.rate * g; }
    }
}
