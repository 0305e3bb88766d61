// Column sums: output[column] is the sum of values[row, column] over all rows, or += with
// ACCUMULATE. One workgroup sums 16 columns, with 16 lanes each.
struct Arguments { rows: u32, columns: u32, values_offset: u32, output_offset: u32 }

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = flat_workgroup(workgroup, workgroups) * 16u + lane % 16u;
    var sum = 0.0;
    if column < arguments.columns {
        for (var row = lane / 16u; row < arguments.rows; row += 16u) {
            sum += values[arguments.values_offset + row * arguments.columns + column];
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    if lane < 16u && column < arguments.columns {
        var total = 0.0;
        for (var i = 0u; i < 16u; i++) {
            total += partial[i * 16u + lane];
        }
        let position = arguments.output_offset + column;
        if ACCUMULATE {
            output[position] += total;
        } else {
            output[position] = total;
        }
    }
}
