// The quasi-recurrent unit over a window, forward and backward. No unit reads another one, so that
// an invocation processes all steps of one unit of one stream, without barriers.
//
// forward:  z = tanh(p + b_z)   f = m sigmoid(q + b_f)   o = sigmoid(r + b_o)
//           c(t) = f z + (1 - f) c(t-1)                  h(t) = o c(t)
//           It copies the carried cells to slot 0, where the window starts, and replaces them by
//           those after `advance` steps. m is `factor`, or with MASKED a random 0 or 1.
// backward: replaces the gate activations by the gradients of their pre-activations. `factor` is
//           that of the forward pass, or 1 with MASKED.
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
    bias_offset: u32,
    factor: f32,
    seed: u32,
    site: u32,
    draw: u32,
    threshold: u32,
    // The position of a mask's first element, and the distance between those of two steps.
    mask_first: u32,
    mask_stride: u32,
}

override RESET: bool = false;
override HAS_BIAS: bool = false;
override MASKED: bool = false;

// [T, B, 3H]. forward: p, q and r, replaced by z, f and o. backward: z, f and o, replaced by the
// gradients of p, q and r.
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T+1, B, H]: slot 0 holds c(-1), slot t+1 holds c(t). [B, H] at `carried_offset`: the carried
// cells.
@group(0) @binding(1) var<storage, read_write> cells: array<f32>;
// forward: [T, B, H], h(t).
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
// backward: [B, H], the gradient of the cells before the dispatch's first step; then [B, 3, H], the
// gradients of b_z, b_f and b_o.
@group(0) @binding(2) var<storage, read_write> unit_gradients: array<f32>;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
// forward: [3, H], b_z, b_f and b_o, with HAS_BIAS.
@group(0) @binding(4) var<storage, read> bias: array<f32>;
// backward: [T, B, H], the gradient of h(t).
@group(0) @binding(4) var<storage, read> gradient: array<f32>;

// m of an element of [T, B, H], at this place of a step's [B, H].
fn multiplier(t: u32, place: u32) -> f32 {
    if !MASKED { return arguments.factor; }
    let key = vec2<u32>(arguments.seed, arguments.site);
    let index = t * arguments.mask_stride + arguments.mask_first + place;
    let random = threefry(key, vec2<u32>(index, arguments.draw));
    return select(1.0, 0.0, random < arguments.threshold);
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
    var b = vec3<f32>();
    if HAS_BIAS {
        let first = arguments.bias_offset + unit;
        b = vec3<f32>(bias[first], bias[first + size], bias[first + 2u * size]);
    }
    var cell = cells[arguments.previous_offset + place];
    if arguments.first_step == 0u { cells[place] = cell; }
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let gate = (t * arguments.batch + stream) * 3u * size + unit;
        let before = select(cell, arguments.initial, is_reset(t, stream));
        let z = hyperbolic_tangent(gates[gate] + b.x);
        let f = multiplier(t, place) * sigmoid(gates[gate + size] + b.y);
        let o = sigmoid(gates[gate + 2u * size] + b.z);
        gates[gate] = z;
        gates[gate + size] = f;
        gates[gate + 2u * size] = o;
        cell = f * z + (1.0 - f) * before;
        cells[(t + 1u) * slot + place] = cell;
        output[t * slot + place] = o * cell;
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
    let sums = slot + stream * 3u * size + unit;
    // The gradients of c(t) from the next step, and of the biases.
    var to_cell = 0.0;
    var to_bias = vec3<f32>();
    if arguments.end_step < arguments.time_steps {
        to_cell = unit_gradients[place];
        to_bias.x = unit_gradients[sums];
        to_bias.y = unit_gradients[sums + size];
        to_bias.z = unit_gradients[sums + 2u * size];
    }
    var cell = cells[arguments.end_step * slot + place];
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        let t = end - 1u;
        let gate = (t * arguments.batch + stream) * 3u * size + unit;
        let reset = is_reset(t, stream);
        let stored = cells[t * slot + place];
        let before = select(stored, arguments.initial, reset);
        let z = gates[gate];
        let f = gates[gate + size];
        let o = gates[gate + 2u * size];
        let to_output = gradient[t * slot + place];
        to_cell += to_output * o;
        let to_gates = vec3<f32>(
            to_cell * f * (1.0 - z * z),
            to_cell * (z - before) * (f * (1.0 - f / arguments.factor)),
            to_output * cell * (o * (1.0 - o)),
        );
        gates[gate] = to_gates.x;
        gates[gate + size] = to_gates.y;
        gates[gate + 2u * size] = to_gates.z;
        to_bias += to_gates;
        to_cell = select(to_cell * (1.0 - f), 0.0, reset);
        cell = stored;
    }
    unit_gradients[place] = to_cell;
    unit_gradients[sums] = to_bias.x;
    unit_gradients[sums + size] = to_bias.y;
    unit_gradients[sums + 2u * size] = to_bias.z;
}
