// The loss of a row of logits and its gradient, computed by one workgroup: a part of
// softmax_cross_entropy.wgsl and ragged_softmax.wgsl, which declare `logits`, `logit`, LANES,
// GRADIENT and RNNLM. Invocation i reads and writes the columns i, i + LANES, ... and no others, so
// that storage needs no barrier.

// Groups of eight logits that an invocation keeps in registers. Longer rows are read again in each
// pass, and so are short ones, for which that is cheaper.
override KEPT: u32 = 0u;
// The first of these groups, of which no row ends before the last column.
override FULL: u32 = 0u;
// With GRADIENT: whether to write scale times the softmax, without the onehot vector.
override PROBABILITIES: bool = false;

struct Octet { low: vec4<f32>, high: vec4<f32> }

// A row in `logits`. Gradients are multiplied by `scale`. Without a target, `target_word` is not
// below `length`.
struct Row { first: u32, length: u32, target_word: u32, scale: f32 }

// The largest logit of a row and the ln of the sum of the exponentials relative to it.
struct Softmax { top: f32, log_sum: f32 }

// A logit, or less than every logit beyond the row.
fn logit_or_lowest(row: Row, column: u32) -> f32 {
    return select(LOWEST, logit(row, min(column, row.length - 1u)), column < row.length);
}

fn load_quad(row: Row, column: u32) -> vec4<f32> {
    return vec4<f32>(
        logit_or_lowest(row, column),
        logit_or_lowest(row, column + LANES),
        logit_or_lowest(row, column + 2u * LANES),
        logit_or_lowest(row, column + 3u * LANES),
    );
}

fn load_full_quad(row: Row, column: u32) -> vec4<f32> {
    return vec4<f32>(
        logit(row, column),
        logit(row, column + LANES),
        logit(row, column + 2u * LANES),
        logit(row, column + 3u * LANES),
    );
}

fn load_octet(row: Row, lane: u32, octet: u32) -> Octet {
    let column = lane + 8u * octet * LANES;
    if octet < FULL {
        return Octet(load_full_quad(row, column), load_full_quad(row, column + 4u * LANES));
    }
    return Octet(load_quad(row, column), load_quad(row, column + 4u * LANES));
}

fn exponentials_of(octet: Octet, top: f32) -> vec4<f32> {
    return exp(octet.low - top) + exp(octet.high - top);
}

fn rnnlm_exponentials_of(octet: Octet, top: f32) -> vec4<f32> {
    return vec4<f32>(
        rnnlm_exp(octet.low.x - top) + rnnlm_exp(octet.high.x - top),
        rnnlm_exp(octet.low.y - top) + rnnlm_exp(octet.high.y - top),
        rnnlm_exp(octet.low.z - top) + rnnlm_exp(octet.high.z - top),
        rnnlm_exp(octet.low.w - top) + rnnlm_exp(octet.high.w - top),
    );
}

// Writes the gradient of a logit of the row.
fn write_gradient(row: Row, column: u32, value: f32, total: Softmax) {
    let probability = softmax_probability(RNNLM, value - total.top, total.log_sum);
    let expected = select(0.0, 1.0, !PROBABILITIES && column == row.target_word);
    logits[row.first + column] = row.scale * (probability - expected);
}

// Writes the gradients of four logits, or of those that the row has.
fn write_quad(row: Row, column: u32, quad: vec4<f32>, total: Softmax, full: bool) {
    let second = column + LANES;
    let third = column + 2u * LANES;
    let fourth = column + 3u * LANES;
    if full || column < row.length { write_gradient(row, column, quad.x, total); }
    if full || second < row.length { write_gradient(row, second, quad.y, total); }
    if full || third < row.length { write_gradient(row, third, quad.z, total); }
    if full || fourth < row.length { write_gradient(row, fourth, quad.w, total); }
}

// Whether an invocation computes the loss of the row's target.
fn has_target(row: Row, lane: u32) -> bool {
    return row.target_word < row.length && row.target_word % LANES == lane;
}

// The loss of the row's target, which the invocation has.
fn loss_of_target(row: Row, total: Softmax) -> f32 {
    let relative = logit(row, row.target_word) - total.top;
    return softmax_loss(RNNLM, relative, total.log_sum);
}

// Returns the loss in the invocation that has the target, and 0 in the others.
fn process_row(lane: u32, row: Row) -> f32 {
    if KEPT > 0u && row.length > max(8u * FULL, 4u) * LANES && row.length <= 8u * KEPT * LANES {
        return process_kept_row(lane, row);
    }
    var own = Exponentials(LOWEST, 0.0);
    for (var column = lane; column < row.length; column += LANES) {
        own = with_value(own, logit(row, column));
    }
    var total = all_exponentials(lane, own);
    // rnnlm's exponential cannot be rescaled and needs a second pass.
    if RNNLM {
        var sum = 0.0;
        for (var column = lane; column < row.length; column += LANES) {
            sum += rnnlm_exp(logit(row, column) - total.top);
        }
        total.sum = all_values(lane, sum);
    }
    let softmax = Softmax(total.top, log(total.sum));
    var loss = 0.0;
    if has_target(row, lane) { loss = loss_of_target(row, softmax); }
    if GRADIENT {
        for (var column = lane; column < row.length; column += LANES) {
            write_gradient(row, column, logit(row, column), softmax);
        }
    }
    return loss;
}

// As process_row. The logits are read from memory once, all of them before the first is used.
fn process_kept_row(lane: u32, row: Row) -> f32 {
    var octets: array<Octet, 5>;
    octets[0] = load_octet(row, lane, 0u);
    if KEPT > 1u { octets[1] = load_octet(row, lane, 1u); }
    if KEPT > 2u { octets[2] = load_octet(row, lane, 2u); }
    if KEPT > 3u { octets[3] = load_octet(row, lane, 3u); }
    if KEPT > 4u { octets[4] = load_octet(row, lane, 4u); }
    var tops = max(octets[0].low, octets[0].high);
    if KEPT > 1u { tops = max(tops, max(octets[1].low, octets[1].high)); }
    if KEPT > 2u { tops = max(tops, max(octets[2].low, octets[2].high)); }
    if KEPT > 3u { tops = max(tops, max(octets[3].low, octets[3].high)); }
    if KEPT > 4u { tops = max(tops, max(octets[4].low, octets[4].high)); }
    let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    var parts = exponentials_of(octets[0], top);
    if KEPT > 1u { parts += exponentials_of(octets[1], top); }
    if KEPT > 2u { parts += exponentials_of(octets[2], top); }
    if KEPT > 3u { parts += exponentials_of(octets[3], top); }
    if KEPT > 4u { parts += exponentials_of(octets[4], top); }
    let own = Exponentials(top, (parts.x + parts.y) + (parts.z + parts.w));
    var total = all_exponentials(lane, own);
    if RNNLM {
        var sums = rnnlm_exponentials_of(octets[0], total.top);
        if KEPT > 1u { sums += rnnlm_exponentials_of(octets[1], total.top); }
        if KEPT > 2u { sums += rnnlm_exponentials_of(octets[2], total.top); }
        if KEPT > 3u { sums += rnnlm_exponentials_of(octets[3], total.top); }
        if KEPT > 4u { sums += rnnlm_exponentials_of(octets[4], total.top); }
        total.sum = all_values(lane, (sums.x + sums.y) + (sums.z + sums.w));
    }
    let softmax = Softmax(total.top, log(total.sum));
    var loss = 0.0;
    if has_target(row, lane) { loss = loss_of_target(row, softmax); }
    if GRADIENT {
        write_octet(row, lane, 0u, octets[0], softmax);
        if KEPT > 1u { write_octet(row, lane, 1u, octets[1], softmax); }
        if KEPT > 2u { write_octet(row, lane, 2u, octets[2], softmax); }
        if KEPT > 3u { write_octet(row, lane, 3u, octets[3], softmax); }
        if KEPT > 4u { write_octet(row, lane, 4u, octets[4], softmax); }
    }
    return loss;
}

fn write_octet(row: Row, lane: u32, octet: u32, values: Octet, total: Softmax) {
    let column = lane + 8u * octet * LANES;
    write_quad(row, column, values.low, total, octet < FULL);
    write_quad(row, column + 4u * LANES, values.high, total, octet < FULL);
}
