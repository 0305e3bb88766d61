// c = op(a) op(b), or c += op(a) op(b). One workgroup makes one tile of c.
//
// small:        64 x 64 tiles, 4 x 4 values for each invocation, where larger tiles would be too
//               few to fill a GPU.
// large:        128 x 128 tiles, 8 x 8 values for each invocation: each value loaded into
//               workgroup memory is used 128 times.
// large_vector: the same, reading four numbers at a time, where rows begin at multiples of four.
// sum_parts:    c = the sum of partial products over ranges of k, which the other entry points
//               stored side by side in a.
//
// op(a) is [m, k], lying in memory as [m, k], or as [k, m] where TRANSPOSE_A; op(b) is [k, n],
// lying as [k, n], or as [n, k] where TRANSPOSE_B; c is [m, n]. A stride is the distance between
// rows in memory. Workgroup z adds the terms from z * part on, at most `part` of them, into matrix
// z of c. Every element of c is summed in the order of k, whatever the tile.
struct Arguments {
    m: u32, n: u32, k: u32, part: u32,
    a_offset: u32, a_stride: u32, b_offset: u32, b_stride: u32, c_offset: u32, c_stride: u32,
    a_scale: f32,
}

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;
// Whether factors are rounded to f16, those of a after being multiplied by a_scale, and the sums
// divided by it.
override ROUND: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
// The same buffers, four numbers at a time.
@group(0) @binding(0) var<storage, read> a4: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b4: array<vec4<f32>>;

// Depths that a tile holds.
const SMALL_DEPTH = 16u;
const LARGE_DEPTH = 8u;
// Vectors in a line of a tile; one more than the numbers need, so that lanes that write down a
// column meet different banks.
const SMALL_LINE = 17u;
const LARGE_LINE = 33u;

// A tile's line holds one depth: an invocation's four values lie side by side.
var<workgroup> small_a: array<vec4<f32>, 272>;
var<workgroup> small_b: array<vec4<f32>, 272>;
var<workgroup> large_a: array<vec4<f32>, 264>;
var<workgroup> large_b: array<vec4<f32>, 264>;

fn a_at(row: u32, depth: u32, end: u32) -> f32 {
    if row >= arguments.m || depth >= end { return 0.0; }
    if TRANSPOSE_A { return a[arguments.a_offset + depth * arguments.a_stride + row]; }
    return a[arguments.a_offset + row * arguments.a_stride + depth];
}

fn b_at(depth: u32, column: u32, end: u32) -> f32 {
    if column >= arguments.n || depth >= end { return 0.0; }
    if TRANSPOSE_B { return b[arguments.b_offset + column * arguments.b_stride + depth]; }
    return b[arguments.b_offset + depth * arguments.b_stride + column];
}

fn rounded(values: vec4<f32>, scale: f32) -> vec4<f32> {
    if !ROUND { return values; }
    let scaled = scale * values;
    return vec4<f32>(round_to_half(scaled.x), round_to_half(scaled.y), round_to_half(scaled.z),
        round_to_half(scaled.w));
}

// Four rows of op(a) at one depth, from `row` on.
fn four_of_a(row: u32, depth: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(a_at(row, depth, end), a_at(row + 1u, depth, end),
        a_at(row + 2u, depth, end), a_at(row + 3u, depth, end));
    return rounded(values, arguments.a_scale);
}

fn four_of_b(depth: u32, column: u32, end: u32) -> vec4<f32> {
    let values = vec4<f32>(b_at(depth, column, end), b_at(depth, column + 1u, end),
        b_at(depth, column + 2u, end), b_at(depth, column + 3u, end));
    return rounded(values, 1.0);
}

// Where terms of this workgroup begin and end.
fn terms(z: u32) -> vec2<u32> {
    return vec2<u32>(z * arguments.part, min((z + 1u) * arguments.part, arguments.k));
}

@compute @workgroup_size(256)
fn small(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = workgroup.y * 64u;
    let first_column = workgroup.x * 64u;
    let lane_row = lane / 16u;
    let lane_column = lane % 16u;
    // Neighbouring invocations read neighbouring words: along the rows of a stored matrix,
    // whichever way it is transposed.
    let a_place = select(vec2<u32>(lane % 16u, lane / 16u), vec2<u32>(lane / 16u, lane % 16u),
        TRANSPOSE_A);
    let b_place = select(vec2<u32>(lane / 16u, lane % 16u), vec2<u32>(lane % 16u, lane / 16u),
        TRANSPOSE_B);
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    let range = terms(workgroup.z);
    for (var start = range.x; start < range.y; start += SMALL_DEPTH) {
        small_a[a_place.x * SMALL_LINE + a_place.y] =
            four_of_a(first_row + a_place.y * 4u, start + a_place.x, range.y);
        small_b[b_place.x * SMALL_LINE + b_place.y] =
            four_of_b(start + b_place.x, first_column + b_place.y * 4u, range.y);
        workgroupBarrier();
        for (var depth = 0u; depth < SMALL_DEPTH; depth++) {
            let left = small_a[depth * SMALL_LINE + lane_row];
            let right = small_b[depth * SMALL_LINE + lane_column];
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

// Every invocation brings one four of either tile.
@compute @workgroup_size(256)
fn large(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_row = workgroup.y * 128u;
    let first_column = workgroup.x * 128u;
    let a_place = select(vec2<u32>(lane % 8u, lane / 8u), vec2<u32>(lane / 32u, lane % 32u),
        TRANSPOSE_A);
    let b_place = select(vec2<u32>(lane / 32u, lane % 32u), vec2<u32>(lane % 8u, lane / 8u),
        TRANSPOSE_B);
    var sums: Sums;
    let range = terms(workgroup.z);
    for (var start = range.x; start < range.y; start += LARGE_DEPTH) {
        large_a[a_place.x * LARGE_LINE + a_place.y] =
            four_of_a(first_row + a_place.y * 4u, start + a_place.x, range.y);
        large_b[b_place.x * LARGE_LINE + b_place.y] =
            four_of_b(start + b_place.x, first_column + b_place.y * 4u, range.y);
        workgroupBarrier();
        multiply_large(lane, &sums);
        workgroupBarrier();
    }
    store_large(workgroup, lane, &sums);
}

// A four of a matrix that lies with the depth first goes along a line of the tile; else down four
// lines, one number into each.
@compute @workgroup_size(256)
fn large_vector(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_row = workgroup.y * 128u;
    let first_column = workgroup.x * 128u;
    // The line or row of the four, and where in it the four begins.
    let wide = vec2<u32>(lane / 32u, (lane % 32u) * 4u);
    let deep = vec2<u32>(lane / 2u, (lane % 2u) * 4u);
    var sums: Sums;
    let range = terms(workgroup.z);
    for (var start = range.x; start < range.y; start += LARGE_DEPTH) {
        var value = vec4<f32>();
        if TRANSPOSE_A {
            if start + wide.x < range.y && first_row + wide.y < arguments.m {
                value = rounded(a4[(arguments.a_offset + (start + wide.x) * arguments.a_stride
                    + first_row + wide.y) / 4u], arguments.a_scale);
            }
            large_a[wide.x * LARGE_LINE + wide.y / 4u] = value;
        } else {
            if start + deep.y < range.y && first_row + deep.x < arguments.m {
                value = rounded(a4[(arguments.a_offset + (first_row + deep.x) * arguments.a_stride
                    + start + deep.y) / 4u], arguments.a_scale);
            }
            let place = deep.y * LARGE_LINE + deep.x / 4u;
            large_a[place][deep.x % 4u] = value.x;
            large_a[place + LARGE_LINE][deep.x % 4u] = value.y;
            large_a[place + 2u * LARGE_LINE][deep.x % 4u] = value.z;
            large_a[place + 3u * LARGE_LINE][deep.x % 4u] = value.w;
        }
        value = vec4<f32>();
        if TRANSPOSE_B {
            if start + deep.y < range.y && first_column + deep.x < arguments.n {
                value = rounded(b4[(arguments.b_offset
                    + (first_column + deep.x) * arguments.b_stride + start + deep.y) / 4u], 1.0);
            }
            let place = deep.y * LARGE_LINE + deep.x / 4u;
            large_b[place][deep.x % 4u] = value.x;
            large_b[place + LARGE_LINE][deep.x % 4u] = value.y;
            large_b[place + 2u * LARGE_LINE][deep.x % 4u] = value.z;
            large_b[place + 3u * LARGE_LINE][deep.x % 4u] = value.w;
        } else {
            if start + wide.x < range.y && first_column + wide.y < arguments.n {
                value = rounded(b4[(arguments.b_offset + (start + wide.x) * arguments.b_stride
                    + first_column + wide.y) / 4u], 1.0);
            }
            large_b[wide.x * LARGE_LINE + wide.y / 4u] = value;
        }
        workgroupBarrier();
        multiply_large(lane, &sums);
        workgroupBarrier();
    }
    store_large(workgroup, lane, &sums);
}

// An invocation's 8 x 8 numbers: rows r and r + 64 to r + 3 and r + 67, in fours from column q and
// from q + 64.
struct Sums {
    a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>, a4: vec4<f32>, a5: vec4<f32>,
        a6: vec4<f32>, a7: vec4<f32>,
    b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>, b4: vec4<f32>, b5: vec4<f32>,
        b6: vec4<f32>, b7: vec4<f32>,
}

fn multiply_large(lane: u32, sums: ptr<function, Sums>) {
    let lane_row = lane / 16u;
    let lane_column = lane % 16u;
    for (var depth = 0u; depth < LARGE_DEPTH; depth++) {
        let line = depth * LARGE_LINE;
        let top = large_a[line + lane_row];
        let bottom = large_a[line + 16u + lane_row];
        let left = large_b[line + lane_column];
        let right = large_b[line + 16u + lane_column];
        (*sums).a0 += top.x * left;
        (*sums).b0 += top.x * right;
        (*sums).a1 += top.y * left;
        (*sums).b1 += top.y * right;
        (*sums).a2 += top.z * left;
        (*sums).b2 += top.z * right;
        (*sums).a3 += top.w * left;
        (*sums).b3 += top.w * right;
        (*sums).a4 += bottom.x * left;
        (*sums).b4 += bottom.x * right;
        (*sums).a5 += bottom.y * left;
        (*sums).b5 += bottom.y * right;
        (*sums).a6 += bottom.z * left;
        (*sums).b6 += bottom.z * right;
        (*sums).a7 += bottom.w * left;
        (*sums).b7 += bottom.w * right;
    }
}

fn store_large(workgroup: vec3<u32>, lane: u32, sums: ptr<function, Sums>) {
    let row = workgroup.y * 128u + (lane / 16u) * 4u;
    let column = workgroup.x * 128u + (lane % 16u) * 4u;
    store_pair(workgroup.z, row, column, (*sums).a0, (*sums).b0);
    store_pair(workgroup.z, row + 1u, column, (*sums).a1, (*sums).b1);
    store_pair(workgroup.z, row + 2u, column, (*sums).a2, (*sums).b2);
    store_pair(workgroup.z, row + 3u, column, (*sums).a3, (*sums).b3);
    store_pair(workgroup.z, row + 64u, column, (*sums).a4, (*sums).b4);
    store_pair(workgroup.z, row + 65u, column, (*sums).a5, (*sums).b5);
    store_pair(workgroup.z, row + 66u, column, (*sums).a6, (*sums).b6);
    store_pair(workgroup.z, row + 67u, column, (*sums).a7, (*sums).b7);
}

fn store_pair(z: u32, row: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    store(z, row, column, left);
    store(z, row, column + 64u, right);
}

fn store(z: u32, row: u32, column: u32, sums: vec4<f32>) {
    if row >= arguments.m { return; }
    let line = arguments.c_offset + (z * arguments.m + row) * arguments.c_stride;
    put(line, column, sums.x);
    put(line, column + 1u, sums.y);
    put(line, column + 2u, sums.z);
    put(line, column + 3u, sums.w);
}

fn put(line: u32, column: u32, scaled: f32) {
    if column >= arguments.n { return; }
    var sum = scaled;
    if ROUND { sum /= arguments.a_scale; }
    if ACCUMULATE { c[line + column] += sum; } else { c[line + column] = sum; }
}

// a holds `part` matrices [m, n] one after the other.
@compute @workgroup_size(256)
fn sum_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.m * arguments.n { return; }
    var sum = 0.0;
    for (var z = 0u; z < arguments.part; z++) { sum += a[z * arguments.m * arguments.n + i]; }
    let position = arguments.c_offset + i / arguments.n * arguments.c_stride + i % arguments.n;
    if ACCUMULATE { c[position] += sum; } else { c[position] = sum; }
}
