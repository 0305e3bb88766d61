// output[row] = table[tokens[row]], a row of zeros for NONE. One workgroup a row.
//
// The table bound may be a piece of the whole: its rows from `first` to before `end`. The first
// piece's dispatch writes the zeros.
struct Arguments {
    columns: u32,
    rows: u32,
    table_offset: u32,
    tokens_offset: u32,
    output_offset: u32,
    first: u32,
    end: u32,
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
    let is_here = token >= arguments.first && token < arguments.end;
    if !is_here && !(token == NONE && arguments.first == 0u) { return; }
    for (var column = lane; column < arguments.columns; column += 64u) {
        var value = 0.0;
        if is_here {
            value = table[arguments.table_offset + (token - arguments.first) * arguments.columns
                + column];
        }
        output[arguments.output_offset + row * arguments.columns + column] = value;
    }
}
