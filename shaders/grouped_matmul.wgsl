// Products of groups of rows, each with a run of a table's rows of its own. Record g of `groups`:
// the group's first row, its first row of the table, how many rows of the table, its first number
// of `products`, and its first row of the table's gradient; one record more ends the last.
struct Arguments {
    count: u32,
    rows: u32,
    columns: u32,
    parts: u32,
    groups_offset: u32,
    rows_offset: u32,
    products_offset: u32,
}

override BIAS: bool = false;

@group(0) @binding(0) var<storage, read> groups: array<u32>;

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> products: array<f32>;

@group(0) @binding(1) var<storage, read_write> rows_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> products_gradient: array<f32>;

@group(0) @binding(2) var<storage, read_write> table_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias_gradient: array<f32>;

fn field(group: u32, number: u32) -> u32 {
    return groups[arguments.groups_offset + 5u * group + number];
}

// The last group whose field `number` is at most `value`; fields ascend.
fn group_of(value: u32, number: u32) -> u32 {
    var low = 0u;
    var high = arguments.count;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if field(middle, number) <= value { low = middle; } else { high = middle; }
    }
    return low;
}

// products[i, j] = rows[i] . table[first + j] + bias[first + j]. A workgroup for each row and 64 of
// its products.
@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let row = flat / arguments.parts;
    let j = (flat % arguments.parts) * 64u + lane;
    if arguments.count == 0u || row >= field(arguments.count, 0u) { return; }
    let group = group_of(row, 0u);
    let width = field(group, 2u);
    if j >= width { return; }
    let entry = field(group, 1u) + j;
    var sum = 0.0;
    for (var k = 0u; k < arguments.columns; k++) {
        sum += rows[arguments.rows_offset + row * arguments.columns + k]
            * table[entry * arguments.columns + k];
    }
    if BIAS { sum += bias[entry]; }
    products[arguments.products_offset + field(group, 3u) + (row - field(group, 0u)) * width + j] =
        sum;
}

// rows[i] = sum over j of products[i, j] table[first + j]; zero for rows of no group. A workgroup
// for each row and 64 of its columns.
@compute @workgroup_size(64)
fn input(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let row = flat / arguments.parts;
    let column = (flat % arguments.parts) * 64u + lane;
    if row >= arguments.rows || column >= arguments.columns { return; }
    var sum = 0.0;
    if arguments.count > 0u && row < field(arguments.count, 0u) {
        let group = group_of(row, 0u);
        let width = field(group, 2u);
        let first = arguments.products_offset + field(group, 3u) + (row - field(group, 0u)) * width;
        for (var j = 0u; j < width; j++) {
            sum += products_gradient[first + j]
                * table[(field(group, 1u) + j) * arguments.columns + column];
        }
    }
    rows_gradient[arguments.rows_offset + row * arguments.columns + column] = sum;
}

// table[own + j] = sum over the group's rows i of products[i, j] rows[i]; the bias likewise, as of
// a column of ones. A workgroup for each row of the gradient and 64 of its columns.
@compute @workgroup_size(64)
fn weight(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let entry = flat / arguments.parts;
    let column = (flat % arguments.parts) * 64u + lane;
    if arguments.count == 0u || entry >= field(arguments.count, 4u) || column > arguments.columns {
        return;
    }
    let group = group_of(entry, 4u);
    let width = field(group, 2u);
    let begin = field(group, 0u);
    let first = arguments.products_offset + field(group, 3u) + entry - field(group, 4u);
    var sum = 0.0;
    for (var row = begin; row < field(group + 1u, 0u); row++) {
        var value = 1.0;
        if column < arguments.columns {
            value = rows[arguments.rows_offset + row * arguments.columns + column];
        }
        sum += products_gradient[first + (row - begin) * width] * value;
    }
    if column < arguments.columns {
        table_gradient[entry * arguments.columns + column] = sum;
    } else if BIAS {
        bias_gradient[entry] = sum;
    }
}
