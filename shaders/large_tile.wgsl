// Products in tiles of 128 x 128: the end of matmul.wgsl. docs/performance.md lists the variants
// that were tried, with their registers and instructions.

// The buffers as vectors of four values.
@group(0) @binding(0) var<storage, read> a4: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b4: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c4: array<vec4<f32>>;

// Terms of the sums that a tile holds.
const LARGE_DEPTH = 16u;
// Stride of a tile's rows in vectors.
const LARGE_STRIDE = 32u;

// [depth, stride] each, as the small tiles.
var<workgroup> large_a: array<vec4<f32>, 512>;
var<workgroup> large_b: array<vec4<f32>, 512>;

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

// Where an invocation finds its block of each tile in memory: the indices of the vectors that hold
// the block's four lines at depth 0. A line is a row of op(a) or a column of op(b). Lines outside
// the matrix are replaced by its last ones: nothing is stored for them.
fn block_lines(lane: u32, wide: bool, first_line: u32, end_line: u32, offset: u32, stride: u32)
    -> vec4<u32> {
    let line = first_line + large_block(lane, wide).y;
    if wide { return vec4<u32>((offset + min(line, end_line - 4u)) / 4u); }
    let lines = vec4<u32>(line, line + 1u, line + 2u, line + 3u);
    return (offset + min(lines, vec4<u32>(end_line - 1u)) * stride) / 4u;
}

// The indices of the block's vectors in the tile from depth `start` on. Depths from `end` on are
// replaced by the last ones: `masked` clears their values.
fn block_indices(lines: vec4<u32>, lane: u32, wide: bool, stride: u32, start: u32, end: u32)
    -> vec4<u32> {
    let depth = start + large_block(lane, wide).x;
    if wide {
        let depths = vec4<u32>(depth, depth + 4u, depth + 8u, depth + 12u);
        return lines + min(depths, vec4<u32>(end - 1u)) * (stride / 4u);
    }
    return lines + min(depth, end - 4u) / 4u;
}

// A block whose first depth is `depth`, with zeros from depth `end` on.
fn masked(block: Block, wide: bool, depth: u32, end: u32, scale: f32) -> Block {
    let zero = vec4<f32>();
    let step = select(0u, 4u, wide);
    return Block(
        rounded(select(zero, block.v0, depth < end), scale),
        rounded(select(zero, block.v1, depth + step < end), scale),
        rounded(select(zero, block.v2, depth + 2u * step < end), scale),
        rounded(select(zero, block.v3, depth + 3u * step < end), scale),
    );
}

// Half of the invocations load the tile of a, the others that of b.
fn load_blocks(workgroup: vec3<u32>, lane: u32, start: u32, end: u32) -> Block {
    if lane < 128u { return load_a_block(lane, workgroup.y * 128u, start, end); }
    return load_b_block(lane - 128u, workgroup.x * 128u, start, end);
}

fn vector_lines(workgroup: vec3<u32>, lane: u32) -> vec4<u32> {
    if lane < 128u {
        return block_lines(
            lane,
            TRANSPOSE_A,
            workgroup.y * 128u,
            arguments.m,
            arguments.a_offset,
            arguments.a_stride,
        );
    }
    return block_lines(
        lane - 128u,
        !TRANSPOSE_B,
        workgroup.x * 128u,
        arguments.n,
        arguments.b_offset,
        arguments.b_stride,
    );
}

fn load_vectors(lines: vec4<u32>, lane: u32, start: u32, end: u32) -> Block {
    if lane < 128u {
        let i = block_indices(lines, lane, TRANSPOSE_A, arguments.a_stride, start, end);
        return Block(a4[i.x], a4[i.y], a4[i.z], a4[i.w]);
    }
    let i = block_indices(lines, lane - 128u, !TRANSPOSE_B, arguments.b_stride, start, end);
    return Block(b4[i.x], b4[i.y], b4[i.z], b4[i.w]);
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

// Clears what is outside the matrix only here: before, the values may not have arrived.
fn write_vectors(lane: u32, block: Block, start: u32, end: u32) {
    if lane < 128u {
        let depth = start + large_block(lane, TRANSPOSE_A).x;
        write_a_tile(lane, masked(block, TRANSPOSE_A, depth, end, arguments.a_scale));
    } else {
        let depth = start + large_block(lane - 128u, !TRANSPOSE_B).x;
        write_b_tile(lane - 128u, masked(block, !TRANSPOSE_B, depth, end, 1.0));
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
    for (var done = 0u; done < arguments.chunk; done += LARGE_DEPTH) {
        write_tile(lane, next);
        workgroupBarrier();
        next = load_blocks(workgroup, lane, range.x + done + LARGE_DEPTH, range.y);
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
    if arguments.k > 0u {
        let range = chunk_range(workgroup.z);
        let lines = vector_lines(workgroup, lane);
        // For c = a b^T, loading each tile just before it is used is 2 to 10 % faster (NVIDIA
        // H200).
        let is_late = !TRANSPOSE_A && TRANSPOSE_B;
        var next = Block();
        if !is_late { next = load_vectors(lines, lane, range.x, range.y); }
        for (var done = 0u; done < arguments.chunk; done += LARGE_DEPTH) {
            let start = range.x + done;
            if is_late { next = load_vectors(lines, lane, start, range.y); }
            write_vectors(lane, next, start, range.y);
            workgroupBarrier();
            if !is_late { next = load_vectors(lines, lane, start + LARGE_DEPTH, range.y); }
            multiply_large(lane, &sums);
            workgroupBarrier();
        }
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

// The values of both tiles that an invocation multiplies at one depth.
struct Fragment { top: vec4<f32>, bottom: vec4<f32>, left: vec4<f32>, right: vec4<f32> }

fn fragment(at: vec2<u32>, depth: u32) -> Fragment {
    let first_a = depth * LARGE_STRIDE + at.y;
    let first_b = depth * LARGE_STRIDE + at.x;
    return Fragment(
        large_a[first_a],
        large_a[first_a + 16u],
        large_b[first_b],
        large_b[first_b + 16u],
    );
}

fn multiply_fragment(values: Fragment, sums: ptr<function, TileSums>) {
    (*sums).left0 += values.top.x * values.left;
    (*sums).right0 += values.top.x * values.right;
    (*sums).left1 += values.top.y * values.left;
    (*sums).right1 += values.top.y * values.right;
    (*sums).left2 += values.top.z * values.left;
    (*sums).right2 += values.top.z * values.right;
    (*sums).left3 += values.top.w * values.left;
    (*sums).right3 += values.top.w * values.right;
    (*sums).left4 += values.bottom.x * values.left;
    (*sums).right4 += values.bottom.x * values.right;
    (*sums).left5 += values.bottom.y * values.left;
    (*sums).right5 += values.bottom.y * values.right;
    (*sums).left6 += values.bottom.z * values.left;
    (*sums).right6 += values.bottom.z * values.right;
    (*sums).left7 += values.bottom.w * values.left;
    (*sums).right7 += values.bottom.w * values.right;
}

// All depths without a loop, each loaded while the one before is multiplied: compilers do not
// unroll such a loop, whose counter and addresses cost 3 to 14 % (NVIDIA H200).
fn multiply_large(lane: u32, sums: ptr<function, TileSums>) {
    let at = large_position(lane);
    let depth_0 = fragment(at, 0u);
    let depth_1 = fragment(at, 1u);
    multiply_fragment(depth_0, sums);
    let depth_2 = fragment(at, 2u);
    multiply_fragment(depth_1, sums);
    let depth_3 = fragment(at, 3u);
    multiply_fragment(depth_2, sums);
    let depth_4 = fragment(at, 4u);
    multiply_fragment(depth_3, sums);
    let depth_5 = fragment(at, 5u);
    multiply_fragment(depth_4, sums);
    let depth_6 = fragment(at, 6u);
    multiply_fragment(depth_5, sums);
    let depth_7 = fragment(at, 7u);
    multiply_fragment(depth_6, sums);
    let depth_8 = fragment(at, 8u);
    multiply_fragment(depth_7, sums);
    let depth_9 = fragment(at, 9u);
    multiply_fragment(depth_8, sums);
    let depth_10 = fragment(at, 10u);
    multiply_fragment(depth_9, sums);
    let depth_11 = fragment(at, 11u);
    multiply_fragment(depth_10, sums);
    let depth_12 = fragment(at, 12u);
    multiply_fragment(depth_11, sums);
    let depth_13 = fragment(at, 13u);
    multiply_fragment(depth_12, sums);
    let depth_14 = fragment(at, 14u);
    multiply_fragment(depth_13, sums);
    let depth_15 = fragment(at, 15u);
    multiply_fragment(depth_14, sums);
    multiply_fragment(depth_15, sums);
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
