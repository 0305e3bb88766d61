// RMSprop (Tieleman and Hinton 2012, as in PyTorch), with g = scale gradient:
//
//   squares = 0.99 squares + 0.01 g^2
//   parameter -= rate g / (sqrt(squares) + 1e-8)
//
// The gradient of a table is zero in most rows, but the squares of every row decay. `sparse` adds
// g^2 to the squares, prescaled so that the decay in `dense`, which runs next without a gradient,
// yields the squares above. `sparse` updates the parameter with these final squares.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

// Whether `dense` has a gradient. Without one it only decays the squares.
override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// The gradient's weight is a constant because 1 - 0.99 in f32 has a relative error of 1e-6.
const ALPHA: f32 = 0.99;
const ONE_MINUS_ALPHA: f32 = 0.01;

@compute @workgroup_size(256)
fn dense(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    if GRADIENT {
        let g = scale[0] * gradient[i];
        let square = ALPHA * squares[i] + ONE_MINUS_ALPHA * (g * g);
        squares[i] = square;
        parameter[i] -= arguments.rate * g / (sqrt(square) + 1e-8);
    } else {
        squares[i] *= ALPHA;
    }
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
        let square = squares[i] + ONE_MINUS_ALPHA / ALPHA * (g * g);
        squares[i] = square;
        parameter[i] -= arguments.rate * g / (sqrt(ALPHA * square) + 1e-8);
    }
}
