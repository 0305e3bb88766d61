// Adam (Kingma and Ba 2015, as in PyTorch), with g = scale gradient: first = 0.9 first + 0.1 g;
// second = 0.999 second + 0.001 g^2; parameter -= rate first / (sqrt(second) / root_correction +
// 1e-8) rate holds the first moment's correction, root_correction is sqrt(1 - 0.999^step).
//
// A table's gradient is zero in most rows, but its moments fade in all: `rows` adds g so enlarged
// that `dense`, without a gradient, makes it the update above.
struct Arguments {
    count: u32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    rate: f32,
    root_correction: f32,
}

// Whether `dense` has a gradient to add.
override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> first: array<f32>;
@group(0) @binding(2) var<storage, read_write> second: array<f32>;
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read> tokens: array<u32>;
@group(0) @binding(6) var<storage, read> order: array<u32>;

// What the moments keep of themselves, and what they take from the gradient: 1 - 0.999 in f32 is
// off by 1e-5 of itself.
const KEEP_1: f32 = 0.9;
const KEEP_2: f32 = 0.999;
const TAKE_1: f32 = 0.1;
const TAKE_2: f32 = 0.001;

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
    let mean = KEEP_1 * first[i] + TAKE_1 * g;
    let square = KEEP_2 * second[i] + TAKE_2 * (g * g);
    first[i] = mean;
    second[i] = square;
    parameter[i] -= arguments.rate * mean / (sqrt(square) / arguments.root_correction + 1e-8);
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
        first[i] += TAKE_1 / KEEP_1 * g;
        second[i] += TAKE_2 / KEEP_2 * (g * g);
    }
}
