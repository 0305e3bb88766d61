// The simple recurrent unit over a window, forward and backward. No unit reads another one, so that
// an invocation processes all steps of one unit of one stream, without barriers.
//
// forward:  f = sigmoid(p + v_f c(t-1) + b_f)        c(t) = f c(t-1) + (1 - f) u
//           r = sigmoid(q + v_r c(t-1) + b_r)        h(t) = r c(t) + (1 - r) x(t)
//           It copies the carried cells to slot 0, where the window starts, and replaces them by
//           those after `advance` steps.
// backward: replaces the gate activations by the gradients of their pre-activations.
//
// With RESET, a stream whose input is the boundary token 0 uses `initial` in every unit instead of
// its previous cell, and no gradient flows to it.
//
// A window of more steps than an invocation may have iterations is split into several dispatches,
// each for the steps first_step..end_step. Forward dispatches run in order, backward dispatches in
// reverse.
struct Arguments {
    time_steps: u32,
    first_step: u32,
    end_step: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    // forward: where the cells before the first step begin. In step 0, these are the carried ones.
    previous_offset: u32,
    advance: u32,
    input_offset: u32,
    weight_offset: u32,
    bias_offset: u32,
}

override RESET: bool = false;
// 3, or 4 where x(t) is the last part of `gates`.
override GATES: u32 = 3u;
override HAS_BIAS: bool = false;

// [T, B, GATES * H]. forward: u, p, q and x, of which p and q are replaced by f and r. backward: u,
// f, r and x, replaced by the gradients of u, p, q and x.
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T+1, B, H]: slot 0 holds c(-1), slot t+1 holds c(t). [B, H] at `carried_offset`: the carried
// cells.
@group(0) @binding(1) var<storage, read_write> cells: array<f32>;
// forward: [T, B, H], h(t).
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
// backward: [T, B, H], the gradient of h(t), replaced by the highway's part of that of x(t).
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
// [T, B, H]: x(t), if it is not a part of `gates`.
@group(0) @binding(3) var<storage, read> input: array<f32>;
// [2, H]: v_f and v_r.
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> tokens: array<u32>;
// forward: [2, H], b_f and b_r, with HAS_BIAS.
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// backward: [B, H], the gradient of the cells before the dispatch's first step; then [2, B, 2, H],
// the gradients of v_f and v_r, and those of b_f and b_r.
@group(0) @binding(6) var<storage, read_write> unit_gradients: array<f32>;

// x of a unit, given where its gates begin and its index in [T, B, H].
fn input_of(gate: u32, index: u32) -> f32 {
    if GATES == 4u { return gates[gate + 3u * arguments.hidden_size]; }
    return input[arguments.input_offset + index];
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = arguments.hidden_size;
    let slot = arguments.batch * size;
    let place = unit_index(workgroup, workgroups, lane);
    if place >= slot { return; }
    let stream = place / size;
    let unit = place % size;
    let forget_weight = weight[arguments.weight_offset + unit];
    let reset_weight = weight[arguments.weight_offset + size + unit];
    var forget_bias = 0.0;
    var reset_bias = 0.0;
    if HAS_BIAS {
        forget_bias = bias[arguments.bias_offset + unit];
        reset_bias = bias[arguments.bias_offset + size + unit];
    }
    var cell = cells[arguments.previous_offset + place];
    if arguments.first_step == 0u { cells[place] = cell; }
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let gate = (t * arguments.batch + stream) * GATES * size + unit;
        let before = select(cell, arguments.initial, is_reset(t, stream));
        let f = sigmoid(gates[gate + size] + forget_weight * before + forget_bias);
        let r = sigmoid(gates[gate + 2u * size] + reset_weight * before + reset_bias);
        gates[gate + size] = f;
        gates[gate + 2u * size] = r;
        cell = f * before + (1.0 - f) * gates[gate];
        cells[(t + 1u) * slot + place] = cell;
        output[t * slot + place] = r * cell + (1.0 - r) * input_of(gate, t * slot + place);
        if t + 1u == arguments.advance { cells[arguments.carried_offset + place] = cell; }
    }
}

@compute @workgroup_size(64)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = arguments.hidden_size;
    let slot = arguments.batch * size;
    let place = unit_index(workgroup, workgroups, lane);
    if place >= slot { return; }
    let stream = place / size;
    let unit = place % size;
    let forget_weight = weight[arguments.weight_offset + unit];
    let reset_weight = weight[arguments.weight_offset + size + unit];
    let sums = slot + stream * 2u * size + unit;
    // The gradients of c(t) from the next step, of v_f and v_r, and of b_f and b_r.
    var to_cell = 0.0;
    var to_weights = vec2<f32>();
    var to_biases = vec2<f32>();
    if arguments.end_step < arguments.time_steps {
        to_cell = unit_gradients[place];
        to_weights = vec2<f32>(unit_gradients[sums], unit_gradients[sums + size]);
        let biases = sums + 2u * slot;
        to_biases = vec2<f32>(unit_gradients[biases], unit_gradients[biases + size]);
    }
    var cell = cells[arguments.end_step * slot + place];
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        let t = end - 1u;
        let gate = (t * arguments.batch + stream) * GATES * size + unit;
        let reset = is_reset(t, stream);
        let stored = cells[t * slot + place];
        let before = select(stored, arguments.initial, reset);
        let u = gates[gate];
        let f = gates[gate + size];
        let r = gates[gate + 2u * size];
        let x = input_of(gate, t * slot + place);
        let to_output = gradient[t * slot + place];
        to_cell += to_output * r;
        let to_p = to_cell * (before - u) * (f * (1.0 - f));
        let to_q = to_output * (cell - x) * (r * (1.0 - r));
        gates[gate] = to_cell * (1.0 - f);
        gates[gate + size] = to_p;
        gates[gate + 2u * size] = to_q;
        let to_input = to_output * (1.0 - r);
        gradient[t * slot + place] = to_input;
        if GATES == 4u { gates[gate + 3u * size] = to_input; }
        to_biases += vec2<f32>(to_p, to_q);
        to_weights += vec2<f32>(to_p, to_q) * before;
        to_cell = to_cell * f + to_p * forget_weight + to_q * reset_weight;
        to_cell = select(to_cell, 0.0, reset);
        cell = stored;
    }
    unit_gradients[place] = to_cell;
    unit_gradients[sums] = to_weights.x;
    unit_gradients[sums + size] = to_weights.y;
    unit_gradients[sums + 2u * slot] = to_biases.x;
    unit_gradients[sums + 2u * slot + size] = to_biases.y;
}
