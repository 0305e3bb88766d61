// One step of an LSTM that normalizes its cell before the output, forward and backward, from
// pre-activations z(t) to which the product of the states has been added. One workgroup per stream,
// whose row of H cells it normalizes. With LN(c) = gain (c - mean(c)) / √(var(c) + ε) + bias:
//
// forward:  (i, f, g, o) = activations of z(t): tanh for g, sigmoid for the others
//           c(t) = f c(t-1) + i g; with CAPPED, min(1 - f, i) in the place of i
//           h(t) = o tanh(LN(c(t)))
// backward: replaces the gate activations by the gradients of their pre-activations, the gradient
//           of h(t) by that of LN(c(t)), and c(t) by the terms of the gain's gradient.
//
// With CAPPED, the gradient of min(1 - f, i) flows to f where 1 - f < i, otherwise to i.
// online_softmax.wgsl and workgroup_reduction.wgsl follow.
struct Arguments {
    step: u32,
    batch: u32,
    hidden_size: u32,
}

override CAPPED: bool = false;
override BIAS: bool = false;

const LANES = 256u;
const VARIANCE_OFFSET = 1e-5;

// [T, B, 4H]: z(t), replaced by the gate activations; backward: these, replaced by the gradient of
// z(t).
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T, B, H]: c(t); backward: replaced by the terms of the gain's gradient.
@group(0) @binding(1) var<storage, read_write> cells: array<f32>;
// [T+1, B, H]: slot t has c(t-1).
@group(0) @binding(2) var<storage, read_write> previous_cells: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
// Any buffer without BIAS.
@group(0) @binding(4) var<storage, read> bias: array<f32>;
// forward: [T, B, H]: h(t).
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
// forward: [T+1, B, H]: slot t has h(t-1).
@group(0) @binding(6) var<storage, read_write> previous_states: array<f32>;
// backward: [T, B, H]: the gradient of h(t) from above, replaced by that of LN(c(t)).
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
// backward: [2, B, H]: the gradients that flow to h(t) and c(t) from the next step; the second is
// replaced by that of c(t-1).
@group(0) @binding(6) var<storage, read_write> carried_gradient: array<f32>;

// The mean of a row of cells, and the inverse of its standard deviation.
struct Statistics { mean: f32, scale: f32 }

fn statistics(lane: u32, first: u32) -> Statistics {
    let size = arguments.hidden_size;
    var sum = 0.0;
    for (var unit = lane; unit < size; unit += LANES) {
        sum += cells[first + unit];
    }
    let mean = all_values(lane, sum) / f32(size);
    var squares = 0.0;
    for (var unit = lane; unit < size; unit += LANES) {
        let difference = cells[first + unit] - mean;
        squares += difference * difference;
    }
    let variance = all_values(lane, squares) / f32(size);
    return Statistics(mean, 1.0 / sqrt(variance + VARIANCE_OFFSET));
}

// tanh(LN(c)) of a unit, from its normalized cell.
fn squashed(unit: u32, normalized: f32) -> f32 {
    var value = gain[unit] * normalized;
    if BIAS { value += bias[unit]; }
    return activate(1u, value);
}

// Whether 1 - f takes the place of i, which stays if it is NaN.
fn is_capped(i: f32, f: f32) -> bool {
    return CAPPED && 1.0 - f < i && !is_nan(i);
}

// The factor of g in the cell.
fn write_gate(i: f32, f: f32) -> f32 {
    return select(i, 1.0 - f, is_capped(i, f));
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = flat_workgroup(workgroup, workgroups);
    if stream >= arguments.batch { return; }
    let size = arguments.hidden_size;
    let row = arguments.step * arguments.batch + stream;
    let first = row * size;
    let next = (row + arguments.batch) * size;
    // An invocation reads only those cells that it wrote.
    for (var unit = lane; unit < size; unit += LANES) {
        let gate = row * 4u * size + unit;
        let i = activate(0u, gates[gate]);
        let f = activate(0u, gates[gate + size]);
        let g = activate(1u, gates[gate + 2u * size]);
        gates[gate] = i;
        gates[gate + size] = f;
        gates[gate + 2u * size] = g;
        gates[gate + 3u * size] = activate(0u, gates[gate + 3u * size]);
        let cell = f * previous_cells[first + unit] + write_gate(i, f) * g;
        cells[first + unit] = cell;
        previous_cells[next + unit] = cell;
    }
    let of_row = statistics(lane, first);
    for (var unit = lane; unit < size; unit += LANES) {
        let normalized = (cells[first + unit] - of_row.mean) * of_row.scale;
        let o = gates[(row * 4u + 3u) * size + unit];
        let state = o * squashed(unit, normalized);
        states[first + unit] = state;
        previous_states[next + unit] = state;
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = flat_workgroup(workgroup, workgroups);
    if stream >= arguments.batch { return; }
    let size = arguments.hidden_size;
    let row = arguments.step * arguments.batch + stream;
    let first = row * size;
    let of_row = statistics(lane, first);
    // The gradients of o's pre-activation and of LN(c), and the sums of the latter's backward pass.
    var sum = 0.0;
    var products = 0.0;
    for (var unit = lane; unit < size; unit += LANES) {
        let normalized = (cells[first + unit] - of_row.mean) * of_row.scale;
        let tanh_cell = squashed(unit, normalized);
        let place = (row * 4u + 3u) * size + unit;
        let o = gates[place];
        let dh = gradient[first + unit] + carried_gradient[stream * size + unit];
        gates[place] = dh * tanh_cell * (o * (1.0 - o));
        let received = dh * o * (1.0 - tanh_cell * tanh_cell);
        gradient[first + unit] = received;
        sum += gain[unit] * received;
        products += gain[unit] * received * normalized;
    }
    let mean = all_values(lane, sum) / f32(size);
    let mean_product = all_values(lane, products) / f32(size);
    for (var unit = lane; unit < size; unit += LANES) {
        let normalized = (cells[first + unit] - of_row.mean) * of_row.scale;
        let received = gradient[first + unit];
        let through = (gain[unit] * received - mean - normalized * mean_product) * of_row.scale;
        cells[first + unit] = normalized * received;
        let carried = (arguments.batch + stream) * size + unit;
        let dc = carried_gradient[carried] + through;
        let gate = row * 4u * size + unit;
        let i = gates[gate];
        let f = gates[gate + size];
        let g = gates[gate + 2u * size];
        let capped = is_capped(i, f);
        let before = previous_cells[first + unit];
        let through_f = select(before, before - g, capped);
        gates[gate] = select(dc * g * (i * (1.0 - i)), 0.0, capped);
        gates[gate + size] = dc * through_f * (f * (1.0 - f));
        gates[gate + 2u * size] = dc * write_gate(i, f) * (1.0 - g * g);
        carried_gradient[carried] = dc * f;
    }
}
