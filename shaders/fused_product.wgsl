// The product of the fused recurrences, in which one workgroup processes all time steps of a
// stream: the end of recurrence.wgsl, gru.wgsl and lstm.wgsl, which declare `weight`.

// The left operand: the previous state, or the gradient of all gates. The host ensures that it
// fits.
var<workgroup> vector: array<f32, 2048>;
// Results for the invocations that need several of them, or parts of them.
var<workgroup> products: array<f32, 2048>;

// Four elements of a column of `weight` below one another.
fn weight_rows(first: u32, columns: u32) -> vec4<f32> {
    return vec4<f32>(
        weight[first],
        weight[first + columns],
        weight[first + 2u * columns],
        weight[first + 3u * columns],
    );
}

// The products of four elements of `vector` with their weights, added one after the other.
fn add_products(initial: f32, row: u32, weights: vec4<f32>) -> f32 {
    var sum = initial;
    sum += vector[row] * weights.x;
    sum += vector[row + 1u] * weights.y;
    sum += vector[row + 2u] * weights.z;
    sum += vector[row + 3u] * weights.w;
    return sum;
}

// The sum of vector[row] weight[row, column] over the rows first_row..end_row, in their order.
// Sixteen weights are loaded before the first is used: a load takes much longer than a
// multiplication.
fn column_product(column: u32, columns: u32, first_row: u32, end_row: u32) -> f32 {
    var sum = 0.0;
    var row = first_row;
    for (; row + 15u < end_row; row += 16u) {
        let first = row * columns + column;
        let weights_0 = weight_rows(first, columns);
        let weights_1 = weight_rows(first + 4u * columns, columns);
        let weights_2 = weight_rows(first + 8u * columns, columns);
        let weights_3 = weight_rows(first + 12u * columns, columns);
        sum = add_products(sum, row, weights_0);
        sum = add_products(sum, row + 4u, weights_1);
        sum = add_products(sum, row + 8u, weights_2);
        sum = add_products(sum, row + 12u, weights_3);
    }
    for (; row < end_row; row++) {
        sum += vector[row] * weight[row * columns + column];
    }
    return sum;
}

// products[column] = column `column` of the product of `rows` elements of `vector` with `weight`.
fn multiply_columns(lane: u32, rows: u32, columns: u32) {
    for (var column = lane; column < columns; column += 256u) {
        products[column] = column_product(column, columns, 0u, rows);
    }
}

// The number of slices into which the rows are divided so that narrow layers use all invocations.
fn slice_count(columns: u32) -> u32 {
    return max(256u / columns, 1u);
}

// As multiply_columns, in slices of the rows: products[slice * columns + column].
fn multiply_slices(lane: u32, rows: u32, columns: u32) {
    let slices = slice_count(columns);
    let length = (rows + slices - 1u) / slices;
    for (var i = lane; i < slices * columns; i += 256u) {
        let first_row = i / columns * length;
        products[i] =
            column_product(i % columns, columns, first_row, min(first_row + length, rows));
    }
}

// The sum of a column's slices.
fn sum_slices(column: u32, columns: u32) -> f32 {
    var sum = products[column];
    for (var slice = 1u; slice < slice_count(columns); slice++) {
        sum += products[slice * columns + column];
    }
    return sum;
}
