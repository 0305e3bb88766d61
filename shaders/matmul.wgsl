// Matrix product: c = op(a) op(b), or c += op(a) op(b) with ACCUMULATE. One workgroup computes one
// tile of c.
//
// small:        64 x 64 tiles, 4 x 4 values per invocation. For products with too few larger tiles
//               to fill a GPU.
// few_rows:     as small, with 32 x 128 tiles.
// large:        128 x 128 tiles, 8 x 8 values per invocation. Each value loaded into workgroup
//               memory is used 128 times. See large_tile.wgsl.
// large_vector: as large, loading and storing four values at a time. For rows that start and end at
//               multiples of four in all three matrices.
// sum_chunks:   c = the sum of the partial products that the other entry points stored in `a`, one
//               for each chunk of k.
//
// op(a) is [m, k], stored as [m, k], or as [k, m] with TRANSPOSE_A. op(b) is [k, n], stored as
// [k, n], or as [n, k] with TRANSPOSE_B. c is [m, n]. A stride is the distance between rows in
// memory. Workgroup z sums chunk z of k, which has at most `chunk` terms, and writes to matrix z of
// c. Every element of c is summed in the order of k, whatever the tile.
struct Arguments {
    m: u32,
    n: u32,
    k: u32,
    // Terms in a chunk. sum_chunks: the number of chunks.
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
// Whether to round the operands to f16. Those of a are multiplied by a_scale before rounding, and
// the sums are divided by it.
override ROUND: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

// Terms of the sums that a tile holds.
const SMALL_DEPTH = 16u;
// Stride of a tile's rows in vectors. Tiles are padded by one, so that lanes that write a column
// access different memory banks.
const SMALL_STRIDE = 17u;

// [depth, stride] each. A row of a tile holds one depth; a vector holds four adjacent rows of op(a)
// or columns of op(b).
var<workgroup> small_a: array<vec4<f32>, 272>;
var<workgroup> small_b: array<vec4<f32>, 272>;

// Strides of few_rows' tiles in vectors, padded as the small ones.
const ROWS_STRIDE = 9u;
const WIDE_STRIDE = 33u;

// [SMALL_DEPTH, stride] each.
var<workgroup> rows_a: array<vec4<f32>, 144>;
var<workgroup> wide_b: array<vec4<f32>, 528>;

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

// Rounds to f16 after scaling, with ROUND.
fn rounded(values: vec4<f32>, scale: f32) -> vec4<f32> {
    if !ROUND { return values; }
    let scaled = scale * values;
    return vec4<f32>(
        round_to_half(scaled.x),
        round_to_half(scaled.y),
        round_to_half(scaled.z),
        round_to_half(scaled.w),
    );
}

// Four adjacent rows of op(a) at one depth.
fn load_a(row: u32, depth: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(
        a_at(row, depth, end),
        a_at(row + 1u, depth, end),
        a_at(row + 2u, depth, end),
        a_at(row + 3u, depth, end),
    );
    return rounded(values, arguments.a_scale);
}

// Four adjacent columns of op(b) at one depth.
fn load_b(depth: u32, column: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(
        b_at(depth, column, end),
        b_at(depth, column + 1u, end),
        b_at(depth, column + 2u, end),
        b_at(depth, column + 3u, end),
    );
    return rounded(values, 1.0);
}

// The range of k in chunk z. Loops over tiles take as many turns in every chunk, so that compilers
// see that they do not depend on the workgroup; only the last chunk may end earlier.
fn chunk_range(z: u32) -> vec2<u32> {
    return vec2<u32>(z * arguments.chunk, min((z + 1u) * arguments.chunk, arguments.k));
}

@compute @workgroup_size(256)
fn small(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = workgroup.y * 64u;
    let first_column = workgroup.x * 64u;
    let lane_row = lane / 16u;
    let lane_column = lane % 16u;
    // The depth and the vector that this invocation loads. Neighbouring invocations read
    // neighbouring words of a row in memory, whether or not the matrix is transposed.
    let a_load = select(
        vec2<u32>(lane % 16u, lane / 16u),
        vec2<u32>(lane / 16u, lane % 16u),
        TRANSPOSE_A,
    );
    let b_load = select(
        vec2<u32>(lane / 16u, lane % 16u),
        vec2<u32>(lane % 16u, lane / 16u),
        TRANSPOSE_B,
    );
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    let range = chunk_range(workgroup.z);
    for (var done = 0u; done < arguments.chunk; done += SMALL_DEPTH) {
        let start = range.x + done;
        small_a[a_load.x * SMALL_STRIDE + a_load.y] =
            load_a(first_row + a_load.y * 4u, start + a_load.x, range.y);
        small_b[b_load.x * SMALL_STRIDE + b_load.y] =
            load_b(start + b_load.x, first_column + b_load.y * 4u, range.y);
        workgroupBarrier();
        for (var depth = 0u; depth < SMALL_DEPTH; depth++) {
            let left = small_a[depth * SMALL_STRIDE + lane_row];
            let right = small_b[depth * SMALL_STRIDE + lane_column];
            sum_0 += left.x * right;
            sum_1 += left.y * right;
            sum_2 += left.z * right;
            sum_3 += left.w * right;
        }
        workgroupBarrier();
    }
    let row = first_row + lane_row * 4u;
    let column = first_column + lane_column * 4u;
    store(workgroup.z, row, column, sum_0);
    store(workgroup.z, row + 1u, column, sum_1);
    store(workgroup.z, row + 2u, column, sum_2);
    store(workgroup.z, row + 3u, column, sum_3);
}

@compute @workgroup_size(256)
fn few_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = workgroup.y * 32u;
    let first_column = workgroup.x * 128u;
    let lane_row = lane / 32u;
    let lane_column = lane % 32u;
    // As in `small`; half of the invocations load a vector of a, and all load two of b.
    let a_load = select(
        vec2<u32>(lane % 16u, lane / 16u),
        vec2<u32>(lane / 8u, lane % 8u),
        TRANSPOSE_A,
    );
    let b_load = select(
        vec2<u32>(lane / 32u, lane % 32u),
        vec2<u32>(lane % 16u, lane / 16u),
        TRANSPOSE_B,
    );
    // The distance to the second vector of b: eight depths, or 16 vectors.
    let b_step = select(vec2<u32>(8u, 0u), vec2<u32>(0u, 16u), TRANSPOSE_B);
    let b_later = b_load + b_step;
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    let range = chunk_range(workgroup.z);
    for (var done = 0u; done < arguments.chunk; done += SMALL_DEPTH) {
        let start = range.x + done;
        if lane < 128u {
            rows_a[a_load.x * ROWS_STRIDE + a_load.y] =
                load_a(first_row + a_load.y * 4u, start + a_load.x, range.y);
        }
        wide_b[b_load.x * WIDE_STRIDE + b_load.y] =
            load_b(start + b_load.x, first_column + b_load.y * 4u, range.y);
        wide_b[b_later.x * WIDE_STRIDE + b_later.y] =
            load_b(start + b_later.x, first_column + b_later.y * 4u, range.y);
        workgroupBarrier();
        for (var depth = 0u; depth < SMALL_DEPTH; depth++) {
            let left = rows_a[depth * ROWS_STRIDE + lane_row];
            let right = wide_b[depth * WIDE_STRIDE + lane_column];
            sum_0 += left.x * right;
            sum_1 += left.y * right;
            sum_2 += left.z * right;
            sum_3 += left.w * right;
        }
        workgroupBarrier();
    }
    let row = first_row + lane_row * 4u;
    let column = first_column + lane_column * 4u;
    store(workgroup.z, row, column, sum_0);
    store(workgroup.z, row + 1u, column, sum_1);
    store(workgroup.z, row + 2u, column, sum_2);
    store(workgroup.z, row + 3u, column, sum_3);
}

// Stores four adjacent columns of one row.
fn store(z: u32, row: u32, column: u32, sums: vec4<f32>) {
    if row >= arguments.m { return; }
    let first = arguments.c_offset + (z * arguments.m + row) * arguments.c_stride;
    store_value(first, column, sums.x);
    store_value(first, column + 1u, sums.y);
    store_value(first, column + 2u, sums.z);
    store_value(first, column + 3u, sums.w);
}

fn store_value(first: u32, column: u32, scaled: f32) {
    if column >= arguments.n { return; }
    var sum = scaled;
    if ROUND { sum /= arguments.a_scale; }
    if ACCUMULATE {
        c[first + column] += sum;
    } else {
        c[first + column] = sum;
    }
}

// a holds `chunk` matrices [m, n], one after another.
@compute @workgroup_size(256)
fn sum_chunks(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.m * arguments.n { return; }
    var sum = 0.0;
    for (var z = 0u; z < arguments.chunk; z++) {
        sum += a[z * arguments.m * arguments.n + i];
    }
    let position = arguments.c_offset + i / arguments.n * arguments.c_stride + i % arguments.n;
    if ACCUMULATE {
        c[position] += sum;
    } else {
        c[position] = sum;
    }
}
