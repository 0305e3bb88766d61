// The matrix product of matmul.wgsl in f16 with f32 accumulation, with cooperative matrices: a
// subgroup multiplies two matrices in one instruction. Their size, MATRIX, their types Left, Right
// and Sum, DEPTH and INVOCATIONS are declared in cooperative_8.wgsl or cooperative_16.wgsl. An
// invocation loads four vectors of four values of each tile.
//
// A workgroup computes a tile of c of 8 by 8 matrices: eight subgroups compute 4 by 2 matrices each
// at once. Where subgroups are larger there are fewer, which compute as many in several rounds.
//
// A factor is read in f32 and rounded to f16 here, values of a after multiplication by a_scale, or
// it was copied to f16 before, by `half_copy`: A_IS_HALF, B_IS_HALF. Sums are divided by
// a_scale.
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
override A_IS_HALF: bool = false;
override B_IS_HALF: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
// The copies of a and b. Offset and stride are multiples of 4, and the columns after the last one
// up to the next multiple of 4 are zero.
@group(0) @binding(3) var<storage, read> a_half: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> b_half: array<vec4<f16>>;
@group(0) @binding(1) var<storage, read_write> copy: array<vec4<f16>>;

// A tile consists of 2 by 4 blocks of 4 by 2 matrices.
const BLOCKS = 8u;
// Rows and columns of a tile of c.
const SIDE = 8u * MATRIX;
// Distances between rows in workgroup memory that spread a column over its banks.
const DEEP_STRIDE = DEPTH + 8u;
const WIDE_STRIDE = SIDE + 8u;

// One variable, because matrices must begin at multiples of 16 bytes (Vulkan:
// VUID-RuntimeSpirv-OpCooperativeMatrixLoadKHR-08986), and compilers place several variables as
// they like: NVIDIA's put one of four bytes first, and all products were wrong.
struct Memory {
    // [SIDE, DEPTH] of op(a) and [DEPTH, SIDE] of op(b), in the order of the factors in memory:
    // with DEPTH in a row, or SIDE.
    a_tile: array<f16, SIDE * DEEP_STRIDE>,
    b_tile: array<f16, SIDE * DEEP_STRIDE>,
    // A matrix of the result of each subgroup, row-major.
    results: array<f32, BLOCKS * MATRIX * MATRIX>,
    // Their number.
    subgroups: array<u32, 1>,
}

var<workgroup> memory: Memory;

// Four neighbours of a factor in memory.
alias Values = vec4<f16>;

fn rounded(values: vec4<f32>) -> Values {
    return Values(
        f16(round_to_half(values.x)),
        f16(round_to_half(values.y)),
        f16(round_to_half(values.z)),
        f16(round_to_half(values.w)),
    );
}

// Values of a from a row and column in memory, or 0 outside of the matrix of this size.
fn a_values(row: u32, column: u32, rows: u32, columns: u32) -> Values {
    if row >= rows || column >= columns { return Values(); }
    if A_IS_HALF { return a_half[(arguments.a_offset + row * arguments.a_stride + column) / 4u]; }
    return rounded_a(row, column, columns);
}

// The same of a in f32, from a row and column that exist.
fn rounded_a(row: u32, column: u32, columns: u32) -> Values {
    let first = arguments.a_offset + row * arguments.a_stride + column;
    var values = vec4<f32>(a[first], 0.0, 0.0, 0.0);
    if column + 1u < columns { values.y = a[first + 1u]; }
    if column + 2u < columns { values.z = a[first + 2u]; }
    if column + 3u < columns { values.w = a[first + 3u]; }
    return rounded(arguments.a_scale * values);
}

// The same of b.
fn b_values(row: u32, column: u32, rows: u32, columns: u32) -> Values {
    if row >= rows || column >= columns { return Values(); }
    let first = arguments.b_offset + row * arguments.b_stride + column;
    if B_IS_HALF { return b_half[first / 4u]; }
    var values = vec4<f32>(b[first], 0.0, 0.0, 0.0);
    if column + 1u < columns { values.y = b[first + 1u]; }
    if column + 2u < columns { values.z = b[first + 2u]; }
    if column + 3u < columns { values.w = b[first + 3u]; }
    return rounded(values);
}

// The row and the column in a tile of the vector with this index, with DEPTH or SIDE in a row.
fn place(index: u32, is_wide: bool) -> vec2<u32> {
    let in_row = select(DEPTH, SIDE, is_wide) / 4u;
    return vec2<u32>(index / in_row, index % in_row * 4u);
}

// The vector of a with this index in the tile of these rows from depth `start` on.
fn load_a(index: u32, first_row: u32, start: u32, end: u32) -> Values {
    let at = place(index, TRANSPOSE_A);
    if TRANSPOSE_A { return a_values(start + at.x, first_row + at.y, end, arguments.m); }
    return a_values(first_row + at.x, start + at.y, arguments.m, end);
}

fn load_b(index: u32, first_column: u32, start: u32, end: u32) -> Values {
    let at = place(index, !TRANSPOSE_B);
    if TRANSPOSE_B { return b_values(first_column + at.x, start + at.y, arguments.n, end); }
    return b_values(start + at.x, first_column + at.y, end, arguments.n);
}

fn store_a(index: u32, values: Values) {
    let at = place(index, TRANSPOSE_A);
    let first = at.x * select(DEEP_STRIDE, WIDE_STRIDE, TRANSPOSE_A) + at.y;
    memory.a_tile[first] = values.x;
    memory.a_tile[first + 1u] = values.y;
    memory.a_tile[first + 2u] = values.z;
    memory.a_tile[first + 3u] = values.w;
}

fn store_b(index: u32, values: Values) {
    let at = place(index, !TRANSPOSE_B);
    let first = at.x * select(WIDE_STRIDE, DEEP_STRIDE, TRANSPOSE_B) + at.y;
    memory.b_tile[first] = values.x;
    memory.b_tile[first + 1u] = values.y;
    memory.b_tile[first + 2u] = values.z;
    memory.b_tile[first + 3u] = values.w;
}

// What an invocation loads of a tile of each factor.
struct Loads {
    a_0: Values,
    a_1: Values,
    a_2: Values,
    a_3: Values,
    b_0: Values,
    b_1: Values,
    b_2: Values,
    b_3: Values,
}

// Loads of the tiles from depth `start` on.
fn load_tiles(lane: u32, tile: Tile, start: u32, end: u32) -> Loads {
    return Loads(
        load_a(lane, tile.row, start, end),
        load_a(lane + INVOCATIONS, tile.row, start, end),
        load_a(lane + 2u * INVOCATIONS, tile.row, start, end),
        load_a(lane + 3u * INVOCATIONS, tile.row, start, end),
        load_b(lane, tile.column, start, end),
        load_b(lane + INVOCATIONS, tile.column, start, end),
        load_b(lane + 2u * INVOCATIONS, tile.column, start, end),
        load_b(lane + 3u * INVOCATIONS, tile.column, start, end),
    );
}

fn store_tiles(lane: u32, loads: Loads) {
    store_a(lane, loads.a_0);
    store_a(lane + INVOCATIONS, loads.a_1);
    store_a(lane + 2u * INVOCATIONS, loads.a_2);
    store_a(lane + 3u * INVOCATIONS, loads.a_3);
    store_b(lane, loads.b_0);
    store_b(lane + INVOCATIONS, loads.b_1);
    store_b(lane + 2u * INVOCATIONS, loads.b_2);
    store_b(lane + 3u * INVOCATIONS, loads.b_3);
}

// The matrix of op(a) at a row and a depth of the tile.
fn left(row: u32, depth: u32) -> Left {
    if TRANSPOSE_A {
        return coopLoad<Left>(&memory.a_tile[depth * WIDE_STRIDE + row], WIDE_STRIDE);
    }
    return coopLoadT<Left>(&memory.a_tile[row * DEEP_STRIDE + depth], DEEP_STRIDE);
}

// The matrix of op(b) at a depth and a column of the tile.
fn right(depth: u32, column: u32) -> Right {
    if TRANSPOSE_B {
        return coopLoad<Right>(&memory.b_tile[column * DEEP_STRIDE + depth], DEEP_STRIDE);
    }
    return coopLoadT<Right>(&memory.b_tile[depth * WIDE_STRIDE + column], WIDE_STRIDE);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) num_subgroups: u32,
) {
    let tile = Tile(workgroup.z, workgroup.y * SIDE, workgroup.x * SIDE);
    let is_inside = tile.row + SIDE <= arguments.m
        && tile.column + SIDE <= arguments.n
        && (arguments.c_offset | arguments.c_stride) % 4u == 0u;
    if lane == 0u {
        memory.subgroups[0] = num_subgroups;
    }
    // One round of eight subgroups, or several of fewer.
    let at_once = workgroupUniformLoad(&memory.subgroups)[0];
    for (var first_block = 0u; first_block < BLOCKS; first_block += at_once) {
        for (var i = lane; i < MATRIX * MATRIX; i += INVOCATIONS) {
            memory.results[i] = 0.0;
        }
        workgroupBarrier();
        // Named after the row and column of the matrix in the subgroup's block.
        var sum_00 = coopLoadT<Sum>(&memory.results[0], MATRIX);
        var sum_01 = sum_00;
        var sum_10 = sum_00;
        var sum_11 = sum_00;
        var sum_20 = sum_00;
        var sum_21 = sum_00;
        var sum_30 = sum_00;
        var sum_31 = sum_00;
        let block = first_block + subgroup;
        let block_row = block / 4u * 4u * MATRIX;
        let block_column = block % 4u * 2u * MATRIX;
        let end = min((workgroup.z + 1u) * arguments.chunk, arguments.k);
        let begin = workgroup.z * arguments.chunk;
        var loads = load_tiles(lane, tile, begin, end);
        for (var start = begin; start < end; start += DEPTH) {
            workgroupBarrier();
            store_tiles(lane, loads);
            workgroupBarrier();
            // The next tiles are on their way while this one is multiplied.
            loads = load_tiles(lane, tile, start + DEPTH, end);
            for (var depth = 0u; depth < DEPTH; depth += MATRIX) {
                let right_0 = right(depth, block_column);
                let right_1 = right(depth, block_column + MATRIX);
                let left_0 = left(block_row, depth);
                sum_00 = coopMultiplyAdd(left_0, right_0, sum_00);
                sum_01 = coopMultiplyAdd(left_0, right_1, sum_01);
                let left_1 = left(block_row + MATRIX, depth);
                sum_10 = coopMultiplyAdd(left_1, right_0, sum_10);
                sum_11 = coopMultiplyAdd(left_1, right_1, sum_11);
                let left_2 = left(block_row + 2u * MATRIX, depth);
                sum_20 = coopMultiplyAdd(left_2, right_0, sum_20);
                sum_21 = coopMultiplyAdd(left_2, right_1, sum_21);
                let left_3 = left(block_row + 3u * MATRIX, depth);
                sum_30 = coopMultiplyAdd(left_3, right_0, sum_30);
                sum_31 = coopMultiplyAdd(left_3, right_1, sum_31);
            }
        }
        if is_inside {
            let first = position(tile, block_row, block_column);
            let below = MATRIX * arguments.c_stride;
            put_matrix(sum_00, first);
            put_matrix(sum_01, first + MATRIX);
            put_matrix(sum_10, first + below);
            put_matrix(sum_11, first + below + MATRIX);
            put_matrix(sum_20, first + 2u * below);
            put_matrix(sum_21, first + 2u * below + MATRIX);
            put_matrix(sum_30, first + 3u * below);
            put_matrix(sum_31, first + 3u * below + MATRIX);
        } else {
            let blocks = Blocks(first_block, at_once, subgroup, lane);
            put_elements(sum_00, tile, blocks, 0u, 0u);
            put_elements(sum_01, tile, blocks, 0u, 1u);
            put_elements(sum_10, tile, blocks, 1u, 0u);
            put_elements(sum_11, tile, blocks, 1u, 1u);
            put_elements(sum_20, tile, blocks, 2u, 0u);
            put_elements(sum_21, tile, blocks, 2u, 1u);
            put_elements(sum_30, tile, blocks, 3u, 0u);
            put_elements(sum_31, tile, blocks, 3u, 1u);
        }
    }
}

// A workgroup's tile: the part of the sums, and the place of the tile in c.
struct Tile {
    part: u32,
    row: u32,
    column: u32,
}

// The blocks of a round: the index of the first one and their number; and the place of this
// invocation.
struct Blocks {
    first: u32,
    count: u32,
    subgroup: u32,
    lane: u32,
}

// The index in c of an element of the tile.
fn position(tile: Tile, row: u32, column: u32) -> u32 {
    let c_row = tile.part * arguments.m + tile.row + row;
    return arguments.c_offset + c_row * arguments.c_stride + tile.column + column;
}

// Writes a matrix to c, from this index on. Its rows start at multiples of 16 bytes.
fn put_matrix(sum: Sum, first: u32) {
    // naga requires the distance between rows to be a variable.
    let stride = arguments.c_stride;
    var value = sum * (1.0 / arguments.a_scale);
    if ACCUMULATE {
        value = value + coopLoadT<Sum>(&c[first], stride);
    }
    coopStoreT(value, &c[first], stride);
}

// Writes the matrices at this row and column of a round's blocks to c, element by element.
fn put_elements(sum: Sum, tile: Tile, blocks: Blocks, row: u32, column: u32) {
    coopStoreT(sum, &memory.results[blocks.subgroup * MATRIX * MATRIX], MATRIX);
    workgroupBarrier();
    for (var i = blocks.lane; i < blocks.count * MATRIX * MATRIX; i += INVOCATIONS) {
        let block = blocks.first + i / (MATRIX * MATRIX);
        let tile_row = (block / 4u * 4u + row) * MATRIX + i / MATRIX % MATRIX;
        let tile_column = (block % 4u * 2u + column) * MATRIX + i % MATRIX;
        if tile.row + tile_row < arguments.m && tile.column + tile_column < arguments.n {
            let at = position(tile, tile_row, tile_column);
            let value = memory.results[i] / arguments.a_scale;
            c[at] = select(value, c[at] + value, ACCUMULATE);
        }
    }
    workgroupBarrier();
}

// Copies the m rows and k columns of a to f16, multiplied by a_scale, with rows of c_stride
// elements that end with zeros.
@compute @workgroup_size(256)
fn half_copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    let row = i / (arguments.c_stride / 4u);
    if row >= arguments.m { return; }
    let column = i % (arguments.c_stride / 4u) * 4u;
    if column >= arguments.k {
        copy[i] = Values();
    } else {
        copy[i] = rounded_a(row, column, arguments.k);
    }
}
