// c = op(a) op(b), or c += op(a) op(b). One workgroup makes one 64 x 64 tile of c, one invocation 4 x 4 of it.
//
// The inner size runs from `first` to before `last`, all of it or a part.
//
// a is [m, k], or [k, m] where TRANSPOSE_A; b is [k, n], or [n, k] where TRANSPOSE_B; c is [m, n]. All row-major.
struct Arguments { m: u32, n: u32, k: u32, first: u32, last: u32, a_offset: u32, b_offset: u32, c_offset: u32 }

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

const TILE = 64u;
const DEPTH = 16u;

// Both tiles have the depth first, so that an invocation's four values lie side by side.
var<workgroup> a_tile: array<vec4<f32>, 256>;
var<workgroup> b_tile: array<vec4<f32>, 256>;

fn a_at(row: u32, depth: u32) -> f32 {
    if row >= arguments.m || depth >= arguments.k { return 0.0; }
    if TRANSPOSE_A { return a[arguments.a_offset + depth * arguments.m + row]; }
    return a[arguments.a_offset + row * arguments.k + depth];
}

fn b_at(depth: u32, column: u32) -> f32 {
    if column >= arguments.n || depth >= arguments.k { return 0.0; }
    if TRANSPOSE_B { return b[arguments.b_offset + column * arguments.k + depth]; }
    return b[arguments.b_offset + depth * arguments.n + column];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = workgroup.y * TILE;
    let first_column = workgroup.x * TILE;
    let lane_row = lane / 16u;
    let lane_column = lane % 16u;
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();

    for (var start = arguments.first; start < arguments.last; start += DEPTH) {
        // Neighbouring invocations read neighbouring words: along the rows of a stored matrix, whichever way it is turned.
        var a_depth = lane % 16u;
        var a_group = lane / 16u;
        if TRANSPOSE_A { a_depth = lane / 16u; a_group = lane % 16u; }
        let row = first_row + a_group * 4u;
        a_tile[a_depth * 16u + a_group] = vec4<f32>(
            a_at(row, start + a_depth), a_at(row + 1u, start + a_depth), a_at(row + 2u, start + a_depth), a_at(row + 3u, start + a_depth));
        var b_depth = lane / 16u;
        var b_group = lane % 16u;
        if TRANSPOSE_B { b_depth = lane % 16u; b_group = lane / 16u; }
        let column = first_column + b_group * 4u;
        b_tile[b_depth * 16u + b_group] = vec4<f32>(
            b_at(start + b_depth, column), b_at(start + b_depth, column + 1u), b_at(start + b_depth, column + 2u), b_at(start + b_depth, column + 3u));
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth++) {
            let left = a_tile[depth * 16u + lane_row];
            let right = b_tile[depth * 16u + lane_column];
            sum_0 += left.x * right;
            sum_1 += left.y * right;
            sum_2 += left.z * right;
            sum_3 += left.w * right;
        }
        workgroupBarrier();
    }

    let row = first_row + lane_row * 4u;
    let column = first_column + lane_column * 4u;
    store(row, column, sum_0);
    store(row + 1u, column, sum_1);
    store(row + 2u, column, sum_2);
    store(row + 3u, column, sum_3);
}

fn store(row: u32, column: u32, sums: vec4<f32>) {
    if row >= arguments.m { return; }
    for (var i = 0u; i < 4u; i++) {
        if column + i < arguments.n {
            let position = arguments.c_offset + row * arguments.n + column + i;
            if ACCUMULATE { c[position] += sums[i]; } else { c[position] = sums[i]; }
        }
    }
}
