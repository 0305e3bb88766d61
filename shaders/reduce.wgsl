// The sums of several tensors' values, or of their squares, in two passes. The order of summation
// depends only on a tensor's size.
//
// partial: for each of up to four tensors, at most `slots` workgroups; each sums a strided subset
//          of the values and writes the result to one of the row's `slots` elements from
//          `first_slot` on. The others become 0. Row `first_row` + workgroup.y of [rows, 256].
// total:   one workgroup adds the elements of each of `rows` rows.
struct Arguments {
    count_0: u32,
    count_1: u32,
    count_2: u32,
    count_3: u32,
    offset_0: u32,
    offset_1: u32,
    offset_2: u32,
    offset_3: u32,
    // Bit i: whether the values of tensor i are squared.
    squares: u32,
    first_row: u32,
    first_slot: u32,
    slots: u32,
    // total: where the sums are written.
    output_offset: u32,
    rows: u32,
}

@group(0) @binding(0) var<storage, read> values_0: array<f32>;
@group(0) @binding(1) var<storage, read> values_1: array<f32>;
@group(0) @binding(2) var<storage, read> values_2: array<f32>;
@group(0) @binding(3) var<storage, read> values_3: array<f32>;
// partial: [rows, 256]. total: the sums.
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
// total: [rows, 256].
@group(0) @binding(0) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums_of_rows: array<f32>;

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
        default: { return arguments.count_3; }
    }
}

fn value_at(tensor: u32, i: u32) -> f32 {
    switch tensor {
        case 0u: { return values_0[arguments.offset_0 + i]; }
        case 1u: { return values_1[arguments.offset_1 + i]; }
        case 2u: { return values_2[arguments.offset_2 + i]; }
        default: { return values_3[arguments.offset_3 + i]; }
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
    for (var i = workgroup.x * 256u + lane; i < count; i += groups * 256u) {
        let value = value_at(tensor, i);
        sum += value * select(1.0, value, is_squared);
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
    for (var row = 0u; row < arguments.rows; row++) {
        let total = sum_lanes(lane, partial_sums[row * 256u + lane]);
        if lane == 0u { sums_of_rows[arguments.output_offset + row] = total; }
        // The first sum may be overwritten once every invocation has read it.
        workgroupBarrier();
    }
}
