// Grouped matrix products: each group of rows is multiplied by its own range of a table's rows.
// Record g of `groups` holds the group's first row, its first table row, its number of table rows
// (the width), the offset of its first product, and its first row in the table's gradient. An extra
// record marks the end of the last group.
struct Arguments {
    count: u32,
    rows: u32,
    columns: u32,
    // Workgroups per row, for 64 columns each.
    column_blocks: u32,
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

fn field(group: u32, index: u32) -> u32 {
    return groups[arguments.groups_offset + 5u * group + index];
}

// The last group whose field `index` is at most `value`. That field increases from group to group.
fn group_of(value: u32, index: u32) -> u32 {
    var low = 0u;
    var high = arguments.count;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if field(middle, index) <= value {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// products[i, j] = rows[i] . table[first + j] + bias[first + j]. One workgroup per row and 64 of
// its products.
@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let row = flat / arguments.column_blocks;
    let j = (flat % arguments.column_blocks) * 64u + lane;
    if arguments.count == 0u || row >= field(arguments.count, 0u) { return; }
    let group = group_of(row, 0u);
    let width = field(group, 2u);
    if j >= width { return; }
    let table_row = field(group, 1u) + j;
    var sum = 0.0;
    for (var k = 0u; k < arguments.columns; k++) {
        sum += rows[arguments.rows_offset + row * arguments.columns + k]
            * table[table_row * arguments.columns + k];
    }
    if BIAS { sum += bias[table_row]; }
    let first = arguments.products_offset + field(group, 3u) + (row - field(group, 0u)) * width;
    products[first + j] = sum;
}

// rows[i] = sum over j of products[i, j] table[first + j], or zero for rows in no group. One
// workgroup per row and 64 of its columns.
@compute @workgroup_size(64)
fn input_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let row = flat / arguments.column_blocks;
    let column = (flat % arguments.column_blocks) * 64u + lane;
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

// table[first_gradient + j] = sum over the group's rows i of products[i, j] rows[i]. The bias's
// gradient is that of an additional column of ones in `rows`. One workgroup per row of the table's
// gradient and 64 of its columns.
@compute @workgroup_size(64)
fn weight_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(workgroup, workgroups);
    let gradient_row = flat / arguments.column_blocks;
    let column = (flat % arguments.column_blocks) * 64u + lane;
    if arguments.count == 0u || gradient_row >= field(arguments.count, 4u) { return; }
    // Column arguments.columns is the bias.
    if column > arguments.columns { return; }
    let group = group_of(gradient_row, 4u);
    let width = field(group, 2u);
    let first_row = field(group, 0u);
    let first = arguments.products_offset + field(group, 3u) + gradient_row - field(group, 4u);
    var sum = 0.0;
    for (var row = first_row; row < field(group + 1u, 0u); row++) {
        var value = 1.0;
        if column < arguments.columns {
            value = rows[arguments.rows_offset + row * arguments.columns + column];
        }
        sum += products_gradient[first + (row - first_row) * width] * value;
    }
    if column < arguments.columns {
        table_gradient[gradient_row * arguments.columns + column] = sum;
    } else if BIAS {
        bias_gradient[gradient_row] = sum;
    }
}
