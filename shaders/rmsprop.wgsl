// RMSprop (Tieleman and Hinton 2012, as in PyTorch), with g = scale gradient:
//   squares = 0.99 squares + 0.01 g^2; parameter -= rate g / (sqrt(squares) + 1e-8)
//
// A table's gradient is zero in most rows, but its squares fade in all: `rows` adds g^2 so enlarged
// that `dense`, without a gradient, makes it the squares above, and moves the parameter by these.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
}

// Whether `dense` has a gradient to add; the parameter stays where it has none.
override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// What the mean keeps of itself, and what it takes from the gradient: 1 - 0.99 in f32 is off by
// 1e-6 of itself.
const KEEP: f32 = 0.99;
const TAKE: f32 = 0.01;

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
        let square = KEEP * squares[i] + TAKE * (g * g);
        squares[i] = square;
        parameter[i] -= arguments.rate * g / (sqrt(square) + 1e-8);
    } else {
        squares[i] *= KEEP;
    }
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
        let square = squares[i] + TAKE / KEEP * (g * g);
        squares[i] = square;
        parameter[i] -= arguments.rate * g / (sqrt(KEEP * square) + 1e-8);
    }
}
