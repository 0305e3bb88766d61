// The matrix product of matmul.wgsl in f16 with f32 accumulation, with cooperative matrices: a
// subgroup multiplies 16 x 16 matrices in one instruction.
//
// One workgroup is one subgroup of 32 invocations and computes one tile of c, 64 rows by 32
// columns. Values are rounded to f16 when they are loaded into workgroup memory. Those of a are
// multiplied by a_scale before rounding, and the sums are divided by it.
struct Arguments {
    m: u32,
    n: u32,
    k: u32,
    // Terms in a chunk of k.
    chunk: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    c_offset: u32,
    c_stride: u32,
    a_scale: f32,
}

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

const DEPTH = 16u;
const ROWS = 64u;
const COLUMNS = 32u;

// [ROWS, DEPTH], [DEPTH, COLUMNS], and one 16 x 16 matrix of the result, all row-major.
var<workgroup> a_tile: array<f16, 1024>;
var<workgroup> b_tile: array<f16, 512>;
var<workgroup> result: array<f32, 256>;

// Element [row, depth] of op(a), or 0 outside the matrix and from depth `end` on.
fn a_at(row: u32, depth: u32, end: u32) -> f32 {
    if row >= arguments.m || depth >= end { return 0.0; }
    if TRANSPOSE_A { return a[arguments.a_offset + depth * arguments.a_stride + row]; }
    return a[arguments.a_offset + row * arguments.a_stride + depth];
}

// Element [depth, column] of op(b), or 0 outside the matrix and from depth `end` on.
fn b_at(depth: u32, column: u32, end: u32) -> f32 {
    if column >= arguments.n || depth >= end { return 0.0; }
    if TRANSPOSE_B { return b[arguments.b_offset + column * arguments.b_stride + depth]; }
    return b[arguments.b_offset + depth * arguments.b_stride + column];
}

@compute @workgroup_size(32)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = workgroup.y * ROWS;
    let first_column = workgroup.x * COLUMNS;
    for (var i = lane; i < 256u; i += 32u) {
        result[i] = 0.0;
    }
    workgroupBarrier();
    // Named after the row and column of the 16 x 16 matrix in the tile.
    var sum_00 = coopLoadT<coop_mat16x16<f32, C>>(&result[0], 16u);
    var sum_01 = sum_00;
    var sum_10 = sum_00;
    var sum_11 = sum_00;
    var sum_20 = sum_00;
    var sum_21 = sum_00;
    var sum_30 = sum_00;
    var sum_31 = sum_00;
    let end = min((workgroup.z + 1u) * arguments.chunk, arguments.k);
    for (var start = workgroup.z * arguments.chunk; start < end; start += DEPTH) {
        // Neighbouring invocations read neighbouring words of a row in memory, whether or not the
        // matrix is transposed.
        for (var i = lane; i < ROWS * DEPTH; i += 32u) {
            let at = select(
                vec2<u32>(i / DEPTH, i % DEPTH),
                vec2<u32>(i % ROWS, i / ROWS),
                TRANSPOSE_A,
            );
            let value = arguments.a_scale * a_at(first_row + at.x, start + at.y, end);
            a_tile[at.x * DEPTH + at.y] = f16(round_to_half(value));
        }
        for (var i = lane; i < DEPTH * COLUMNS; i += 32u) {
            let at = select(
                vec2<u32>(i / COLUMNS, i % COLUMNS),
                vec2<u32>(i % DEPTH, i / DEPTH),
                TRANSPOSE_B,
            );
            let value = b_at(start + at.x, first_column + at.y, end);
            b_tile[at.x * COLUMNS + at.y] = f16(round_to_half(value));
        }
        workgroupBarrier();
        let left_0 = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[0], DEPTH);
        let left_1 = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[256], DEPTH);
        let left_2 = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[512], DEPTH);
        let left_3 = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[768], DEPTH);
        let right_0 = coopLoadT<coop_mat16x16<f16, B>>(&b_tile[0], COLUMNS);
        let right_1 = coopLoadT<coop_mat16x16<f16, B>>(&b_tile[16], COLUMNS);
        sum_00 = coopMultiplyAdd(left_0, right_0, sum_00);
        sum_01 = coopMultiplyAdd(left_0, right_1, sum_01);
        sum_10 = coopMultiplyAdd(left_1, right_0, sum_10);
        sum_11 = coopMultiplyAdd(left_1, right_1, sum_11);
        sum_20 = coopMultiplyAdd(left_2, right_0, sum_20);
        sum_21 = coopMultiplyAdd(left_2, right_1, sum_21);
        sum_30 = coopMultiplyAdd(left_3, right_0, sum_30);
        sum_31 = coopMultiplyAdd(left_3, right_1, sum_31);
        workgroupBarrier();
    }
    coopStoreT(sum_00, &result[0], 16u);
    store(workgroup, lane, 0u, 0u);
    coopStoreT(sum_01, &result[0], 16u);
    store(workgroup, lane, 0u, 16u);
    coopStoreT(sum_10, &result[0], 16u);
    store(workgroup, lane, 16u, 0u);
    coopStoreT(sum_11, &result[0], 16u);
    store(workgroup, lane, 16u, 16u);
    coopStoreT(sum_20, &result[0], 16u);
    store(workgroup, lane, 32u, 0u);
    coopStoreT(sum_21, &result[0], 16u);
    store(workgroup, lane, 32u, 16u);
    coopStoreT(sum_30, &result[0], 16u);
    store(workgroup, lane, 48u, 0u);
    coopStoreT(sum_31, &result[0], 16u);
    store(workgroup, lane, 48u, 16u);
}

// Writes the 16 x 16 matrix in `result` to c, at the given row and column of the tile.
fn store(workgroup: vec3<u32>, lane: u32, tile_row: u32, tile_column: u32) {
    workgroupBarrier();
    for (var i = lane; i < 256u; i += 32u) {
        let row = workgroup.y * ROWS + tile_row + i / 16u;
        let column = workgroup.x * COLUMNS + tile_column + i % 16u;
        if row < arguments.m && column < arguments.n {
            let c_row = workgroup.z * arguments.m + row;
            let position = arguments.c_offset + c_row * arguments.c_stride + column;
            let sum = result[i] / arguments.a_scale;
            if ACCUMULATE {
                c[position] += sum;
            } else {
                c[position] = sum;
            }
        }
    }
    workgroupBarrier();
}
