// Matrix transpose: output [columns, rows] from input [rows, columns]. One workgroup per 16 x 16
// tile.
struct Arguments { rows: u32, columns: u32 }

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

// Padded by one column, so that the elements of a column are in different memory banks.
var<workgroup> tile: array<f32, 272>;

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) lane: vec3<u32>,
) {
    let row = workgroup.y * 16u + lane.y;
    let column = workgroup.x * 16u + lane.x;
    if row < arguments.rows && column < arguments.columns {
        tile[lane.y * 17u + lane.x] = input[row * arguments.columns + column];
    }
    workgroupBarrier();
    let output_row = workgroup.x * 16u + lane.y;
    let output_column = workgroup.y * 16u + lane.x;
    if output_row < arguments.columns && output_column < arguments.rows {
        output[output_row * arguments.rows + output_column] = tile[lane.x * 17u + lane.y];
    }
}
