// Column sums: output[column] is the sum of values[row, column] over all rows, or += with
// ACCUMULATE. One workgroup sums 16 columns, with 16 lanes each. A lane loads eight values before
// it adds the first: a load takes much longer than an addition. With COPY, the output is also
// written to `output_copy`.
struct Arguments {
    rows: u32,
    columns: u32,
    values_offset: u32,
    output_offset: u32,
    copy_offset: u32,
}

override ACCUMULATE: bool = false;
override COPY: bool = false;

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> output_copy: array<f32>;

var<workgroup> partial: array<f32, 256>;

fn value_at(row: u32, column: u32) -> f32 {
    if row >= arguments.rows { return 0.0; }
    return values[arguments.values_offset + row * arguments.columns + column];
}

// Four values of a column, 16 rows apart.
fn values_from(row: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        value_at(row, column),
        value_at(row + 16u, column),
        value_at(row + 32u, column),
        value_at(row + 48u, column),
    );
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = flat_workgroup(workgroup, workgroups) * 16u + lane % 16u;
    var sum = 0.0;
    if column < arguments.columns {
        for (var row = lane / 16u; row < arguments.rows; row += 128u) {
            let four = values_from(row, column) + values_from(row + 64u, column);
            sum += (four.x + four.y) + (four.z + four.w);
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
        if ACCUMULATE { total += output[position]; }
        output[position] = total;
        if COPY { output_copy[arguments.copy_offset + column] = total; }
    }
}
