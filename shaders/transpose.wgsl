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
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) lane: vec3<u32>,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let tile_columns = (arguments.columns + 15u) / 16u;
    let first_row = flat / tile_columns * 16u;
    let first_column = flat % tile_columns * 16u;
    let row = first_row + lane.y;
    let column = first_column + lane.x;
    if row < arguments.rows && column < arguments.columns {
        tile[lane.y * 17u + lane.x] = input[row * arguments.columns + column];
    }
    workgroupBarrier();
    let output_row = first_column + lane.y;
    let output_column = first_row + lane.x;
    if output_row < arguments.columns && output_column < arguments.rows {
        output[output_row * arguments.rows + output_column] = tile[lane.x * 17u + lane.y];
    }
}
