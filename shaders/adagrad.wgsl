// Adagrad (Duchi 2011, as in PyTorch), with g = scale gradient:
//
//   squares += g^2
//   parameter -= rate g / (sqrt(squares) + 1e-10)
//
// dense:  a gradient of the parameter's shape.
// sparse: gradients of some of its rows.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

fn update(i: u32, g: f32) {
    let square = squares[i] + g * g;
    squares[i] = square;
    parameter[i] -= arguments.rate * g / (sqrt(square) + 1e-10);
}

@compute @workgroup_size(256)
fn dense(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i < arguments.count { update(i, scale[0] * gradient[i]); }
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
        update(i, scale[0] * gradient[p * arguments.columns + column]);
    }
}
