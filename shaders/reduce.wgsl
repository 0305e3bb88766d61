// The sum of all values, or of their squares, in two passes. The order of summation depends only on
// the count.
//
// partial: at most 256 workgroups; each sums a strided subset of the values and writes the result
//          to output[output_offset + workgroup].
// total:   one workgroup adds these sums.
struct Arguments { count: u32, values_offset: u32, output_offset: u32 }

override SQUARE: bool = false;

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

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

@compute @workgroup_size(256)
fn partial(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var i = workgroup.x * 256u + lane; i < arguments.count; i += workgroups.x * 256u) {
        let value = values[arguments.values_offset + i];
        if SQUARE { sum += value * value; } else { sum += value; }
    }
    let total = sum_lanes(lane, sum);
    if lane == 0u { output[arguments.output_offset + workgroup.x] = total; }
}

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    if lane < arguments.count { sum = values[lane]; }
    let total = sum_lanes(lane, sum);
    if lane == 0u { output[arguments.output_offset] = total; }
}
