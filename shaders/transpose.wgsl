// output [columns, rows] = input [rows, columns] transposed. One workgroup turns 16 x 16.
struct Arguments { rows: u32, columns: u32 }

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

// One more column than needed, so that a column of the tile lies in different memory banks.
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
    let turned_row = workgroup.x * 16u + lane.y;
    let turned_column = workgroup.y * 16u + lane.x;
    if turned_row < arguments.columns && turned_column < arguments.rows {
        output[turned_row * arguments.rows + turned_column] = tile[lane.x * 17u + lane.y];
    }
}
