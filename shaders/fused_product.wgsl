// The product of the fused recurrences, in which one workgroup processes all time steps of a
// stream: the end of recurrence.wgsl, gru.wgsl and lstm.wgsl, which declare `weight`.
//
// `rows` elements of `vector` are multiplied with `weight`, [rows, columns]. So that narrow layers
// use all invocations, the rows are divided into slices: sum slice * columns + column is the part
// of a column that a slice of the rows contributes. Invocation i computes the sums i, i + 256, ...
// It keeps weights of its first two sums in registers for all time steps, in banks of 32, and loads
// the others in every step. The order of a sum's terms does not depend on how many it keeps.

// The sums of an invocation: 1, 2, or 3 for more.
override SUMS: u32 = 3u;
// Banks of the first and of the second sum. Every slice has at least as many rows.
override FIRST_BANKS: u32 = 0u;
override SECOND_BANKS: u32 = 0u;

// The left operand: the previous state, or the gradient of all gates. The host ensures that it
// fits.
var<workgroup> vector: array<f32, 2048>;
// The sums.
var<workgroup> products: array<f32, 2048>;

// Weights of 32 rows of a column, in quads of adjacent rows.
struct Bank {
    quad_0: vec4<f32>,
    quad_1: vec4<f32>,
    quad_2: vec4<f32>,
    quad_3: vec4<f32>,
    quad_4: vec4<f32>,
    quad_5: vec4<f32>,
    quad_6: vec4<f32>,
    quad_7: vec4<f32>,
}

struct Banks { first: array<Bank, 6>, second: array<Bank, 6> }

// A sum: the column, the first four of its rows, counted in fours, and the row after the last.
struct Sum { column: u32, first_quad: u32, end_row: u32 }

// What an invocation computes: its first two sums; the number of all sums, and the rows that every
// slice has, counted in fours. An invocation without a sum computes the last one, and does not
// store it.
struct Sums { count: u32, quads: u32, first: Sum, second: Sum }

// The rows of a slice, a multiple of 4: at least 16, or all.
fn slice_length(rows: u32, columns: u32) -> u32 {
    let slices = clamp(rows / 16u, 1u, max(256u / columns, 1u));
    return (rows + 4u * slices - 1u) / (4u * slices) * 4u;
}

fn sum_at(i: u32, rows: u32, columns: u32) -> Sum {
    let length = slice_length(rows, columns);
    let slice = i / columns;
    return Sum(i % columns, slice * (length / 4u), min((slice + 1u) * length, rows));
}

fn sums_of(lane: u32, rows: u32, columns: u32) -> Sums {
    let length = slice_length(rows, columns);
    let slices = (rows + length - 1u) / length;
    let count = slices * columns;
    return Sums(
        count,
        (rows - (slices - 1u) * length) / 4u,
        sum_at(min(lane, count - 1u), rows, columns),
        sum_at(min(lane + 256u, count - 1u), rows, columns),
    );
}

// The weights of a column in four rows.
fn weight_quad(column: u32, quad: u32, columns: u32) -> vec4<f32> {
    let first = 4u * quad * columns + column;
    return vec4<f32>(
        weight[first],
        weight[first + columns],
        weight[first + 2u * columns],
        weight[first + 3u * columns],
    );
}

fn vector_quad(quad: u32) -> vec4<f32> {
    let first = 4u * quad;
    return vec4<f32>(vector[first], vector[first + 1u], vector[first + 2u], vector[first + 3u]);
}

fn load_bank(sum: Sum, bank: u32, columns: u32) -> Bank {
    let quad = sum.first_quad + 8u * bank;
    return Bank(
        weight_quad(sum.column, quad, columns),
        weight_quad(sum.column, quad + 1u, columns),
        weight_quad(sum.column, quad + 2u, columns),
        weight_quad(sum.column, quad + 3u, columns),
        weight_quad(sum.column, quad + 4u, columns),
        weight_quad(sum.column, quad + 5u, columns),
        weight_quad(sum.column, quad + 6u, columns),
        weight_quad(sum.column, quad + 7u, columns),
    );
}

fn add_bank(initial: vec4<f32>, quad: u32, bank: Bank) -> vec4<f32> {
    var sums = initial;
    sums += vector_quad(quad) * bank.quad_0;
    sums += vector_quad(quad + 1u) * bank.quad_1;
    sums += vector_quad(quad + 2u) * bank.quad_2;
    sums += vector_quad(quad + 3u) * bank.quad_3;
    sums += vector_quad(quad + 4u) * bank.quad_4;
    sums += vector_quad(quad + 5u) * bank.quad_5;
    sums += vector_quad(quad + 6u) * bank.quad_6;
    sums += vector_quad(quad + 7u) * bank.quad_7;
    return sums;
}

// The weights that an invocation keeps.
fn kept_weights(sums: Sums, columns: u32) -> Banks {
    var banks: Banks;
    if FIRST_BANKS > 0u { banks.first[0] = load_bank(sums.first, 0u, columns); }
    if FIRST_BANKS > 1u { banks.first[1] = load_bank(sums.first, 1u, columns); }
    if FIRST_BANKS > 2u { banks.first[2] = load_bank(sums.first, 2u, columns); }
    if FIRST_BANKS > 3u { banks.first[3] = load_bank(sums.first, 3u, columns); }
    if FIRST_BANKS > 4u { banks.first[4] = load_bank(sums.first, 4u, columns); }
    if FIRST_BANKS > 5u { banks.first[5] = load_bank(sums.first, 5u, columns); }
    if SECOND_BANKS > 0u { banks.second[0] = load_bank(sums.second, 0u, columns); }
    if SECOND_BANKS > 1u { banks.second[1] = load_bank(sums.second, 1u, columns); }
    if SECOND_BANKS > 2u { banks.second[2] = load_bank(sums.second, 2u, columns); }
    if SECOND_BANKS > 3u { banks.second[3] = load_bank(sums.second, 3u, columns); }
    if SECOND_BANKS > 4u { banks.second[4] = load_bank(sums.second, 4u, columns); }
    if SECOND_BANKS > 5u { banks.second[5] = load_bank(sums.second, 5u, columns); }
    return banks;
}

// The terms of the first `count` banks.
fn add_banks(count: u32, first_quad: u32, banks: array<Bank, 6>) -> vec4<f32> {
    var sums = vec4<f32>();
    if count > 0u { sums = add_bank(sums, first_quad, banks[0]); }
    if count > 1u { sums = add_bank(sums, first_quad + 8u, banks[1]); }
    if count > 2u { sums = add_bank(sums, first_quad + 16u, banks[2]); }
    if count > 3u { sums = add_bank(sums, first_quad + 24u, banks[3]); }
    if count > 4u { sums = add_bank(sums, first_quad + 32u, banks[4]); }
    if count > 5u { sums = add_bank(sums, first_quad + 40u, banks[5]); }
    return sums;
}

// A sum of which the terms of `banks` banks are in `initial`. Sixteen weights are loaded before the
// first is used: a load takes much longer than a multiplication. Only the last loop depends on the
// invocation, so that compilers see that the others do not.
fn complete_sum(initial: vec4<f32>, banks: u32, sum: Sum, quads: u32, columns: u32) -> f32 {
    var sums = initial;
    let column = sum.column;
    var done = 8u * banks;
    for (; done + 3u < quads; done += 4u) {
        let quad = sum.first_quad + done;
        let weights_0 = weight_quad(column, quad, columns);
        let weights_1 = weight_quad(column, quad + 1u, columns);
        let weights_2 = weight_quad(column, quad + 2u, columns);
        let weights_3 = weight_quad(column, quad + 3u, columns);
        sums += vector_quad(quad) * weights_0;
        sums += vector_quad(quad + 1u) * weights_1;
        sums += vector_quad(quad + 2u) * weights_2;
        sums += vector_quad(quad + 3u) * weights_3;
    }
    for (; done < quads; done++) {
        let quad = sum.first_quad + done;
        sums += vector_quad(quad) * weight_quad(column, quad, columns);
    }
    var total = (sums.x + sums.y) + (sums.z + sums.w);
    for (var row = 4u * (sum.first_quad + quads); row < sum.end_row; row++) {
        total += vector[row] * weight[row * columns + column];
    }
    return total;
}

// Computes all sums into `products`.
fn multiply_vector(lane: u32, sums: Sums, rows: u32, columns: u32, banks: Banks) {
    let quads = sums.quads;
    let kept = add_banks(FIRST_BANKS, sums.first.first_quad, banks.first);
    let first = complete_sum(kept, FIRST_BANKS, sums.first, quads, columns);
    if lane < sums.count { products[lane] = first; }
    if SUMS > 1u {
        let kept = add_banks(SECOND_BANKS, sums.second.first_quad, banks.second);
        let second = complete_sum(kept, SECOND_BANKS, sums.second, quads, columns);
        if lane + 256u < sums.count { products[lane + 256u] = second; }
    }
    if SUMS > 2u {
        for (var i = 512u; i < sums.count; i += 256u) {
            let sum = sum_at(min(i + lane, sums.count - 1u), rows, columns);
            let value = complete_sum(vec4<f32>(), 0u, sum, quads, columns);
            if i + lane < sums.count { products[i + lane] = value; }
        }
    }
}

// An element of the product: the sum of its slices.
fn product_of(column: u32, columns: u32, sums: Sums) -> f32 {
    var sum = products[column];
    for (var i = column + columns; i < sums.count; i += columns) {
        sum += products[i];
    }
    return sum;
}
