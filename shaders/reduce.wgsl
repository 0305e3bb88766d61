// The sums of several tensors' values, or of their squares, in two passes. The order of summation
// depends only on a tensor's size.
//
// partial: for each of up to six tensors, at most `slots` workgroups; each sums a strided subset
//          of the values and writes the result to one of the row's `slots` elements from
//          `first_slot` on. The others become 0. Row `first_row` + workgroup.y of [rows, 256].
// total:   one workgroup adds the elements of each of `rows` rows. With CLIP, it also computes
//          scale = min(1, maximum / (norm + 1e-6)) (PyTorch's clip_grad_norm_), where norm is the
//          square root of the sum over the rows from `first_square` on. For a norm of NaN it is
//          NaN.
struct Arguments {
    count_0: u32,
    count_1: u32,
    count_2: u32,
    count_3: u32,
    count_4: u32,
    count_5: u32,
    offset_0: u32,
    offset_1: u32,
    offset_2: u32,
    offset_3: u32,
    offset_4: u32,
    offset_5: u32,
    // Bit i: whether the values of tensor i are squared.
    squares: u32,
    first_row: u32,
    first_slot: u32,
    slots: u32,
    // total: where the sums are written.
    output_offset: u32,
    rows: u32,
    first_square: u32,
    maximum: f32,
}

override CLIP: bool = false;

@group(0) @binding(0) var<storage, read> values_0: array<f32>;
@group(0) @binding(1) var<storage, read> values_1: array<f32>;
@group(0) @binding(2) var<storage, read> values_2: array<f32>;
@group(0) @binding(3) var<storage, read> values_3: array<f32>;
@group(0) @binding(4) var<storage, read> values_4: array<f32>;
@group(0) @binding(5) var<storage, read> values_5: array<f32>;
// [rows, 256].
@group(0) @binding(6) var<storage, read_write> output: array<f32>;
// total: [rows, 256].
@group(0) @binding(0) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums_of_rows: array<f32>;
// Written with CLIP.
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;

// Values for which a tensor gets a workgroup.
const VALUES_PER_GROUP = 2048u;

var<workgroup> sums: array<f32, 256>;

fn sum_lanes(lane: u32, value: f32) -> f32 {
    sums[lane] = value;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half { sums[lane] += sums[lane + half]; }
    }
    workgroupBarrier();
    return sums[0];
}

fn count_of(tensor: u32) -> u32 {
    switch tensor {
        case 0u: { return arguments.count_0; }
        case 1u: { return arguments.count_1; }
        case 2u: { return arguments.count_2; }
        case 3u: { return arguments.count_3; }
        case 4u: { return arguments.count_4; }
        default: { return arguments.count_5; }
    }
}

// Value i of a tensor, or 0 from `count` on.
fn value_at(tensor: u32, i: u32, count: u32) -> f32 {
    if i >= count { return 0.0; }
    switch tensor {
        case 0u: { return values_0[arguments.offset_0 + i]; }
        case 1u: { return values_1[arguments.offset_1 + i]; }
        case 2u: { return values_2[arguments.offset_2 + i]; }
        case 3u: { return values_3[arguments.offset_3 + i]; }
        case 4u: { return values_4[arguments.offset_4 + i]; }
        default: { return values_5[arguments.offset_5 + i]; }
    }
}

@compute @workgroup_size(256)
fn partial(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tensor = workgroup.y;
    let count = count_of(tensor);
    let groups = clamp((count + VALUES_PER_GROUP - 1u) / VALUES_PER_GROUP, 1u, arguments.slots);
    if workgroup.x >= groups { return; }
    let is_squared = ((arguments.squares >> tensor) & 1u) == 1u;
    var sum = 0.0;
    let stride = groups * 256u;
    // Four values are loaded before the first is added: a load takes much longer than an addition.
    for (var i = workgroup.x * 256u + lane; i < count; i += 4u * stride) {
        let values = vec4<f32>(
            value_at(tensor, i, count),
            value_at(tensor, i + stride, count),
            value_at(tensor, i + 2u * stride, count),
            value_at(tensor, i + 3u * stride, count),
        );
        let terms = values * select(vec4<f32>(1.0), values, is_squared);
        sum += terms.x;
        sum += terms.y;
        sum += terms.z;
        sum += terms.w;
    }
    let total = sum_lanes(lane, sum);
    // The first invocation writes the sum, the others the row's unused elements.
    let slot = workgroup.x + lane * groups;
    if slot < arguments.slots {
        let row = (arguments.first_row + tensor) * 256u;
        output[row + arguments.first_slot + slot] = select(0.0, total, lane == 0u);
    }
}

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    var squares = 0.0;
    for (var row = 0u; row < arguments.rows; row++) {
        let total = sum_lanes(lane, partial_sums[row * 256u + lane]);
        if lane == 0u { sums_of_rows[arguments.output_offset + row] = total; }
        if row >= arguments.first_square { squares += total; }
        // The first sum may be overwritten once every invocation has read it.
        workgroupBarrier();
    }
    if CLIP && lane == 0u {
        let ratio = arguments.maximum / (sqrt(squares) + 1e-6);
        scale[0] = select(min(1.0, ratio), squares, is_nan(squares));
    }
}
