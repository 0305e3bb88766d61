// SGD with momentum (as PyTorch's SGD), with g = scale gradient:
//
//   velocity = 0.9 velocity + g
//   parameter -= rate velocity, or rate (g + 0.9 velocity) if NESTEROV
//
// The gradient of a table is zero in most rows, but the velocity of every row decays. `sparse` adds
// g to the velocity, prescaled so that `dense`, which runs next without a gradient, completes the
// update above.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

override NESTEROV: bool = false;
// Whether `dense` adds a gradient.
override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// The momentum coefficient.
const MOMENTUM: f32 = 0.9;

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
    let updated = MOMENTUM * velocity[i] + g;
    velocity[i] = updated;
    parameter[i] -= arguments.rate * select(updated, g + MOMENTUM * updated, NESTEROV);
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
        let g = scale[0] * gradient[p * arguments.columns + column];
        velocity[i] += 1.0 / MOMENTUM * g;
        // `dense` applies g only through the velocity; Nesterov's term g is applied here.
        if NESTEROV { parameter[i] -= arguments.rate * g; }
    }
}
