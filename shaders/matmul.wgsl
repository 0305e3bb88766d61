// Matrix product: c = op(a) op(b), or c += op(a) op(b) with ACCUMULATE. One workgroup computes one
// tile of c.
//
// small:        64 x 64 tiles, 4 x 4 values per invocation. For products with too few larger tiles
//               to fill a GPU.
// large:        128 x 128 tiles, 8 x 8 values per invocation. Each value loaded into workgroup
//               memory is used 128 times.
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
// The same buffers as vectors of four values.
@group(0) @binding(0) var<storage, read> a4: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b4: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c4: array<vec4<f32>>;

// Terms of the sums that a tile holds.
const SMALL_DEPTH = 16u;
const LARGE_DEPTH = 16u;
// Stride of a tile's rows in vectors. Small tiles are padded by one, so that lanes that write a
// column access different memory banks.
const SMALL_STRIDE = 17u;
const LARGE_STRIDE = 32u;

// [depth, stride] each. A row of a tile holds one depth; a vector holds four adjacent rows of op(a)
// or columns of op(b).
var<workgroup> small_a: array<vec4<f32>, 272>;
var<workgroup> small_b: array<vec4<f32>, 272>;
var<workgroup> large_a: array<vec4<f32>, 512>;
var<workgroup> large_b: array<vec4<f32>, 512>;

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

// The range of k in chunk z.
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
    for (var start = range.x; start < range.y; start += SMALL_DEPTH) {
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

// A 4 x 4 block of an operand: four vectors along its rows in memory.
struct Block { v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32> }

fn transposed(block: Block) -> Block {
    return Block(
        vec4<f32>(block.v0.x, block.v1.x, block.v2.x, block.v3.x),
        vec4<f32>(block.v0.y, block.v1.y, block.v2.y, block.v3.y),
        vec4<f32>(block.v0.z, block.v1.z, block.v2.z, block.v3.z),
        vec4<f32>(block.v0.w, block.v1.w, block.v2.w, block.v3.w),
    );
}

// The block of a large tile that invocation `lane` of 128 loads. Where four adjacent rows of op(a)
// or columns of op(b) are adjacent in memory (`wide`): these four at the depths x, x + 4, x + 8 and
// x + 12, from row or column y. Otherwise four adjacent depths from x on, of four adjacent rows or
// columns from y on. Neighbouring invocations read neighbouring words.
fn large_block(lane: u32, wide: bool) -> vec2<u32> {
    if wide { return vec2<u32>(lane / 32u, (lane % 32u) * 4u); }
    return vec2<u32>((lane / 8u) % 4u * 4u, (lane / 32u * 8u + lane % 8u) * 4u);
}

// Four adjacent depths of one row of op(a).
fn load_a_depths(row: u32, depth: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(
        a_at(row, depth, end),
        a_at(row, depth + 1u, end),
        a_at(row, depth + 2u, end),
        a_at(row, depth + 3u, end),
    );
    return rounded(values, arguments.a_scale);
}

// Four adjacent depths of one column of op(b).
fn load_b_depths(depth: u32, column: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(
        b_at(depth, column, end),
        b_at(depth + 1u, column, end),
        b_at(depth + 2u, column, end),
        b_at(depth + 3u, column, end),
    );
    return rounded(values, 1.0);
}

fn load_a_block(lane: u32, first_row: u32, start: u32, end: u32) -> Block {
    let at = large_block(lane, TRANSPOSE_A);
    let depth = start + at.x;
    let row = first_row + at.y;
    if TRANSPOSE_A {
        return Block(
            load_a(row, depth, end),
            load_a(row, depth + 4u, end),
            load_a(row, depth + 8u, end),
            load_a(row, depth + 12u, end),
        );
    }
    return Block(
        load_a_depths(row, depth, end),
        load_a_depths(row + 1u, depth, end),
        load_a_depths(row + 2u, depth, end),
        load_a_depths(row + 3u, depth, end),
    );
}

fn load_b_block(lane: u32, first_column: u32, start: u32, end: u32) -> Block {
    let at = large_block(lane, !TRANSPOSE_B);
    let depth = start + at.x;
    let column = first_column + at.y;
    if TRANSPOSE_B {
        return Block(
            load_b_depths(depth, column, end),
            load_b_depths(depth, column + 1u, end),
            load_b_depths(depth, column + 2u, end),
            load_b_depths(depth, column + 3u, end),
        );
    }
    return Block(
        load_b(depth, column, end),
        load_b(depth + 4u, column, end),
        load_b(depth + 8u, column, end),
        load_b(depth + 12u, column, end),
    );
}

// Four adjacent values of a row of `a` in memory, or 0.
fn a_vector(row: u32, column: u32, inside: bool) -> vec4<f32> {
    if !inside { return vec4<f32>(); }
    let first = arguments.a_offset + row * arguments.a_stride + column;
    return rounded(a4[first / 4u], arguments.a_scale);
}

// Four adjacent values of a row of `b` in memory, or 0.
fn b_vector(row: u32, column: u32, inside: bool) -> vec4<f32> {
    if !inside { return vec4<f32>(); }
    return rounded(b4[(arguments.b_offset + row * arguments.b_stride + column) / 4u], 1.0);
}

fn load_a_vectors(lane: u32, first_row: u32, start: u32, end: u32) -> Block {
    let at = large_block(lane, TRANSPOSE_A);
    let depth = start + at.x;
    let row = first_row + at.y;
    if TRANSPOSE_A {
        let inside = row < arguments.m;
        return Block(
            a_vector(depth, row, inside && depth < end),
            a_vector(depth + 4u, row, inside && depth + 4u < end),
            a_vector(depth + 8u, row, inside && depth + 8u < end),
            a_vector(depth + 12u, row, inside && depth + 12u < end),
        );
    }
    let inside = depth < end;
    return Block(
        a_vector(row, depth, inside && row < arguments.m),
        a_vector(row + 1u, depth, inside && row + 1u < arguments.m),
        a_vector(row + 2u, depth, inside && row + 2u < arguments.m),
        a_vector(row + 3u, depth, inside && row + 3u < arguments.m),
    );
}

fn load_b_vectors(lane: u32, first_column: u32, start: u32, end: u32) -> Block {
    let at = large_block(lane, !TRANSPOSE_B);
    let depth = start + at.x;
    let column = first_column + at.y;
    if TRANSPOSE_B {
        let inside = depth < end;
        return Block(
            b_vector(column, depth, inside && column < arguments.n),
            b_vector(column + 1u, depth, inside && column + 1u < arguments.n),
            b_vector(column + 2u, depth, inside && column + 2u < arguments.n),
            b_vector(column + 3u, depth, inside && column + 3u < arguments.n),
        );
    }
    let inside = column < arguments.n;
    return Block(
        b_vector(depth, column, inside && depth < end),
        b_vector(depth + 4u, column, inside && depth + 4u < end),
        b_vector(depth + 8u, column, inside && depth + 8u < end),
        b_vector(depth + 12u, column, inside && depth + 12u < end),
    );
}

// Half of the invocations load the tile of a, the others that of b.
fn load_blocks(workgroup: vec3<u32>, lane: u32, start: u32, end: u32) -> Block {
    if lane < 128u { return load_a_block(lane, workgroup.y * 128u, start, end); }
    return load_b_block(lane - 128u, workgroup.x * 128u, start, end);
}

fn load_vectors(workgroup: vec3<u32>, lane: u32, start: u32, end: u32) -> Block {
    if lane < 128u { return load_a_vectors(lane, workgroup.y * 128u, start, end); }
    return load_b_vectors(lane - 128u, workgroup.x * 128u, start, end);
}

// Writes the block that `lane` of 128 loaded to a tile: whole vectors, since two invocations must
// not write to components of one vector.
fn write_a_tile(lane: u32, block: Block) {
    let at = large_block(lane, TRANSPOSE_A);
    let first = at.x * LARGE_STRIDE + at.y / 4u;
    if TRANSPOSE_A {
        large_a[first] = block.v0;
        large_a[first + 4u * LARGE_STRIDE] = block.v1;
        large_a[first + 8u * LARGE_STRIDE] = block.v2;
        large_a[first + 12u * LARGE_STRIDE] = block.v3;
    } else {
        let depths = transposed(block);
        large_a[first] = depths.v0;
        large_a[first + LARGE_STRIDE] = depths.v1;
        large_a[first + 2u * LARGE_STRIDE] = depths.v2;
        large_a[first + 3u * LARGE_STRIDE] = depths.v3;
    }
}

fn write_b_tile(lane: u32, block: Block) {
    let at = large_block(lane, !TRANSPOSE_B);
    let first = at.x * LARGE_STRIDE + at.y / 4u;
    if TRANSPOSE_B {
        let depths = transposed(block);
        large_b[first] = depths.v0;
        large_b[first + LARGE_STRIDE] = depths.v1;
        large_b[first + 2u * LARGE_STRIDE] = depths.v2;
        large_b[first + 3u * LARGE_STRIDE] = depths.v3;
    } else {
        large_b[first] = block.v0;
        large_b[first + 4u * LARGE_STRIDE] = block.v1;
        large_b[first + 8u * LARGE_STRIDE] = block.v2;
        large_b[first + 12u * LARGE_STRIDE] = block.v3;
    }
}

fn write_tile(lane: u32, block: Block) {
    if lane < 128u {
        write_a_tile(lane, block);
    } else {
        write_b_tile(lane - 128u, block);
    }
}

// The next tile is loaded into registers while the current one is multiplied.
@compute @workgroup_size(256)
fn large(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sums: TileSums;
    let range = chunk_range(workgroup.z);
    var next = load_blocks(workgroup, lane, range.x, range.y);
    for (var start = range.x; start < range.y; start += LARGE_DEPTH) {
        write_tile(lane, next);
        workgroupBarrier();
        next = load_blocks(workgroup, lane, start + LARGE_DEPTH, range.y);
        multiply_large(lane, &sums);
        workgroupBarrier();
    }
    store_large(workgroup, lane, &sums);
}

@compute @workgroup_size(256)
fn large_vector(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sums: TileSums;
    let range = chunk_range(workgroup.z);
    var next = load_vectors(workgroup, lane, range.x, range.y);
    for (var start = range.x; start < range.y; start += LARGE_DEPTH) {
        write_tile(lane, next);
        workgroupBarrier();
        next = load_vectors(workgroup, lane, start + LARGE_DEPTH, range.y);
        multiply_large(lane, &sums);
        workgroupBarrier();
    }
    store_vectors(workgroup, lane, &sums);
}

// An invocation's 8 x 8 values. Fields 0 to 3 hold the rows r to r + 3, fields 4 to 7 the rows r +
// 64 to r + 67. `left` holds the columns q to q + 3, `right` the columns q + 64 to q + 67.
struct TileSums {
    left0: vec4<f32>,
    right0: vec4<f32>,
    left1: vec4<f32>,
    right1: vec4<f32>,
    left2: vec4<f32>,
    right2: vec4<f32>,
    left3: vec4<f32>,
    right3: vec4<f32>,
    left4: vec4<f32>,
    right4: vec4<f32>,
    left5: vec4<f32>,
    right5: vec4<f32>,
    left6: vec4<f32>,
    right6: vec4<f32>,
    left7: vec4<f32>,
    right7: vec4<f32>,
}

// The column and row of an invocation's values in a tile, in vectors. 32 adjacent invocations form
// a block of 8 x 4, so that they read few different vectors.
fn large_position(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane / 32u % 2u * 8u + lane % 8u, lane / 64u * 4u + lane % 32u / 8u);
}

fn multiply_large(lane: u32, sums: ptr<function, TileSums>) {
    let at = large_position(lane);
    for (var depth = 0u; depth < LARGE_DEPTH; depth++) {
        let first = depth * LARGE_STRIDE;
        let top = large_a[first + at.y];
        let bottom = large_a[first + 16u + at.y];
        let left = large_b[first + at.x];
        let right = large_b[first + 16u + at.x];
        (*sums).left0 += top.x * left;
        (*sums).right0 += top.x * right;
        (*sums).left1 += top.y * left;
        (*sums).right1 += top.y * right;
        (*sums).left2 += top.z * left;
        (*sums).right2 += top.z * right;
        (*sums).left3 += top.w * left;
        (*sums).right3 += top.w * right;
        (*sums).left4 += bottom.x * left;
        (*sums).right4 += bottom.x * right;
        (*sums).left5 += bottom.y * left;
        (*sums).right5 += bottom.y * right;
        (*sums).left6 += bottom.z * left;
        (*sums).right6 += bottom.z * right;
        (*sums).left7 += bottom.w * left;
        (*sums).right7 += bottom.w * right;
    }
}

fn store_large(workgroup: vec3<u32>, lane: u32, sums: ptr<function, TileSums>) {
    let at = large_position(lane);
    let row = workgroup.y * 128u + at.y * 4u;
    let column = workgroup.x * 128u + at.x * 4u;
    store_pair(workgroup.z, row, column, (*sums).left0, (*sums).right0);
    store_pair(workgroup.z, row + 1u, column, (*sums).left1, (*sums).right1);
    store_pair(workgroup.z, row + 2u, column, (*sums).left2, (*sums).right2);
    store_pair(workgroup.z, row + 3u, column, (*sums).left3, (*sums).right3);
    store_pair(workgroup.z, row + 64u, column, (*sums).left4, (*sums).right4);
    store_pair(workgroup.z, row + 65u, column, (*sums).left5, (*sums).right5);
    store_pair(workgroup.z, row + 66u, column, (*sums).left6, (*sums).right6);
    store_pair(workgroup.z, row + 67u, column, (*sums).left7, (*sums).right7);
}

fn store_vectors(workgroup: vec3<u32>, lane: u32, sums: ptr<function, TileSums>) {
    let at = large_position(lane);
    let row = workgroup.y * 128u + at.y * 4u;
    let column = workgroup.x * 128u + at.x * 4u;
    store_vector_pair(workgroup.z, row, column, (*sums).left0, (*sums).right0);
    store_vector_pair(workgroup.z, row + 1u, column, (*sums).left1, (*sums).right1);
    store_vector_pair(workgroup.z, row + 2u, column, (*sums).left2, (*sums).right2);
    store_vector_pair(workgroup.z, row + 3u, column, (*sums).left3, (*sums).right3);
    store_vector_pair(workgroup.z, row + 64u, column, (*sums).left4, (*sums).right4);
    store_vector_pair(workgroup.z, row + 65u, column, (*sums).left5, (*sums).right5);
    store_vector_pair(workgroup.z, row + 66u, column, (*sums).left6, (*sums).right6);
    store_vector_pair(workgroup.z, row + 67u, column, (*sums).left7, (*sums).right7);
}

fn store_vector_pair(z: u32, row: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    if row >= arguments.m { return; }
    let first = arguments.c_offset + (z * arguments.m + row) * arguments.c_stride + column;
    if column < arguments.n { store_vector(first / 4u, left); }
    if column + 64u < arguments.n { store_vector(first / 4u + 16u, right); }
}

fn store_vector(index: u32, scaled: vec4<f32>) {
    var sums = scaled;
    if ROUND { sums /= arguments.a_scale; }
    if ACCUMULATE {
        c4[index] += sums;
    } else {
        c4[index] = sums;
    }
}

fn store_pair(z: u32, row: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    store(z, row, column, left);
    store(z, row, column + 64u, right);
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
