// Embedding lookup: output[row] = table[tokens[row]], or zeros for NONE. One workgroup per row.
//
// The bound buffer may be a shard of the table, its rows first_row..end_row. The dispatch for the
// first shard writes the zeros.
struct Arguments {
    columns: u32,
    rows: u32,
    table_offset: u32,
    tokens_offset: u32,
    output_offset: u32,
    first_row: u32,
    end_row: u32,
}

@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let token = tokens[arguments.tokens_offset + row];
    let in_shard = token >= arguments.first_row && token < arguments.end_row;
    if !in_shard && !(token == NONE && arguments.first_row == 0u) { return; }
    let table_row = arguments.table_offset + (token - arguments.first_row) * arguments.columns;
    let output_row = arguments.output_offset + row * arguments.columns;
    for (var column = lane; column < arguments.columns; column += 64u) {
        var value = 0.0;
        if in_shard { value = table[table_row + column]; }
        output[output_row + column] = value;
    }
}
