// The GRU over a window, forward and backward. `forward` and `backward` process all steps of one
// stream in one workgroup, with the product of fused_product.wgsl. For wide layers, `step_forward`
// and `step_backward` process one step of all streams, with the product of step_product.wgsl.
//
// forward:  (ur, uz, un) = W h(t-1) + b
//           r = sigmoid(zr + ur), z = sigmoid(zz + uz), n = tanh(zn + r un), where (zr, zz, zn) is
//           the input projection
//           h(t) = (1 - z) n + z h(t-1)
// backward: replaces the gate activations by the gradient of the input projection, and `recurrent`
//           by the gradient of W h(t-1) + b.
//
// The arguments and what happens to states are in gated_states.wgsl.

// forward: whether there is a bias b.
override BIAS: bool = false;

const GATES = 3u;

// [T, B, 3H]. forward: the input projection, replaced by r, z and n. backward: r, z and n, replaced
// by the gradient of the input projection.
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T, B, 3H]. forward: W h(t-1), with b added in the last third. backward: that, replaced by the
// gradient of W h(t-1) + b.
@group(0) @binding(1) var<storage, read_write> recurrent: array<f32>;
// [T+1, B, H]: slot 0 holds h(-1), slot t+1 holds h(t). forward: [B, H] at `carried_offset`, the
// carried states.
@group(0) @binding(2) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, 3H to]. The others: W, [3H to, H from].
@group(0) @binding(3) var<storage, read> weight: array<f32>;
// forward: b, [3H].
@group(0) @binding(4) var<storage, read> bias: array<f32>;
// backward: [T, B, H], the gradient of h(t) from the layer above.
@group(0) @binding(4) var<storage, read> gradient: array<f32>;
@group(0) @binding(5) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states after resets. Written with RESET.
@group(0) @binding(6) var<storage, read_write> previous_states: array<f32>;
// backward: [B, H], the gradient that flows to the state before the current step; finally the
// gradient of h(-1).
@group(0) @binding(6) var<storage, read_write> initial_gradient: array<f32>;

// forward: copies a unit's carried state to slot 0.
fn load_carried(stream: u32, unit: u32) {
    let first = stream * arguments.hidden_size + unit;
    states[first] = states[arguments.carried_offset + first];
}

fn bias_at(i: u32) -> f32 {
    if !BIAS { return 0.0; }
    return bias[i];
}

fn gate_gradient(position: u32) -> f32 {
    return recurrent[position];
}

// A unit's input projections at step t.
fn input_projections(t: u32, stream: u32, unit: u32) -> vec3<f32> {
    let size = arguments.hidden_size;
    let gate = (t * arguments.batch + stream) * 3u * size + unit;
    return vec3<f32>(gates[gate], gates[gate + size], gates[gate + 2u * size]);
}

// Computes a unit's gates and state at step t from its input projections, the recurrent products of
// its three gates, and its previous state. Returns the state.
fn update_state(
    t: u32,
    stream: u32,
    unit: u32,
    inputs: vec3<f32>,
    products: vec3<f32>,
    previous: f32,
) -> f32 {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let gate = row * 3u * size + unit;
    let un = products.z + bias_at(2u * size + unit);
    let r = activate(0u, inputs.x + (products.x + bias_at(unit)));
    let z = activate(0u, inputs.y + (products.y + bias_at(size + unit)));
    let n = activate(1u, inputs.z + r * un);
    gates[gate] = r;
    gates[gate + size] = z;
    gates[gate + 2u * size] = n;
    recurrent[gate] = products.x;
    recurrent[gate + size] = products.y;
    recurrent[gate + 2u * size] = un;
    let state = n + z * (previous - n);
    states[(row + arguments.batch) * size + unit] = state;
    if t + 1u == arguments.advance {
        states[arguments.carried_offset + stream * size + unit] = state;
    }
    return state;
}

// What the gradients of a unit at a step depend on, beside that of the next step: r, z and n; the
// recurrent product of n; the previous state; and the gradient from the layer above.
struct Step { gates: vec3<f32>, recurrent: f32, previous: f32, gradient: f32 }

// The gradients of the recurrent products, and the one that flows to the previous state directly,
// without the recurrent weight.
struct Gradients { products: vec3<f32>, direct: f32 }

fn load_step(t: u32, stream: u32, unit: u32) -> Step {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    // The gates after their activations, in the place of the projections.
    let activations = input_projections(t, stream, unit);
    let un = recurrent[row * 3u * size + unit + 2u * size];
    let above = gradient[row * size + unit];
    return Step(activations, un, state_in_slot(t, stream, unit), above);
}

// Computes a unit's gradients at step t, to whose state `from_next` flows from the next step unless
// it is cut. Writes the direct part of the previous state's gradient to `initial_gradient`.
fn update_gradient(t: u32, stream: u32, unit: u32, step: Step, from_next: f32) -> Gradients {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let r = step.gates.x;
    let z = step.gates.y;
    let n = step.gates.z;
    let dh = step.gradient + select(from_next, 0.0, is_cut(t + 1u, stream));
    let dn = dh * (1.0 - z) * (1.0 - n * n);
    let dz = dh * (step.previous - n) * (z * (1.0 - z));
    let dr = dn * step.recurrent * (r * (1.0 - r));
    let gate = row * 3u * size + unit;
    gates[gate] = dr;
    gates[gate + size] = dz;
    gates[gate + 2u * size] = dn;
    recurrent[gate] = dr;
    recurrent[gate + size] = dz;
    recurrent[gate + 2u * size] = dn * r;
    initial_gradient[stream * size + unit] = dh * z;
    return Gradients(vec3<f32>(dr, dz, dn * r), dh * z);
}

// Clears the gradient of h(-1) if the window's first step does not use h(-1).
fn clear_if_reset(stream: u32, unit: u32) {
    if is_reset(0u, stream) {
        initial_gradient[stream * arguments.hidden_size + unit] = 0.0;
    }
}

// What a step needs from memory for an invocation's first unit is loaded before the product, and
// what the next step needs of this one stays in registers.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = flat_workgroup(workgroup, workgroups);
    if stream >= arguments.batch { return; }
    let size = arguments.hidden_size;
    if arguments.first_step == 0u {
        for (var unit = lane; unit < size; unit += 256u) {
            load_carried(stream, unit);
        }
    }
    let sums = sums_of(lane, size, 3u * size);
    let banks = kept_weights(sums, 3u * size);
    let first_unit = min(lane, size - 1u);
    var state = previous_state(arguments.first_step, stream, first_unit);
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let first_inputs = input_projections(t, stream, first_unit);
        if is_reset(t, stream) { state = arguments.initial; }
        // The states need no barrier: an invocation reads only those that it wrote.
        for (var unit = lane; unit < size; unit += 256u) {
            var value = state;
            if unit >= 256u { value = state_in_slot(t, stream, unit); }
            vector[unit] = value;
            if RESET {
                previous_states[(t * arguments.batch + stream) * size + unit] = value;
            }
        }
        workgroupBarrier();
        multiply_vector(lane, sums, size, 3u * size, banks);
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            let gate_products = vec3<f32>(
                product_of(unit, 3u * size, sums),
                product_of(unit + size, 3u * size, sums),
                product_of(unit + 2u * size, 3u * size, sums),
            );
            if unit < 256u {
                state = update_state(t, stream, unit, first_inputs, gate_products, state);
            } else {
                let inputs = input_projections(t, stream, unit);
                let previous = state_in_slot(t, stream, unit);
                _ = update_state(t, stream, unit, inputs, gate_products, previous);
            }
        }
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = flat_workgroup(workgroup, workgroups);
    if stream >= arguments.batch { return; }
    let size = arguments.hidden_size;
    let sums = sums_of(lane, 3u * size, size);
    let banks = kept_weights(sums, size);
    let first_unit = min(lane, size - 1u);
    var next = load_step(arguments.end_step - 1u, stream, first_unit);
    var carried = initial_gradient[stream * size + first_unit];
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        for (var unit = lane; unit < size; unit += 256u) {
            var step = next;
            if unit >= 256u { step = load_step(end - 1u, stream, unit); }
            var from_next = carried;
            if unit >= 256u { from_next = initial_gradient[stream * size + unit]; }
            let gradients = update_gradient(end - 1u, stream, unit, step, from_next);
            if unit < 256u { carried = gradients.direct; }
            vector[unit] = gradients.products.x;
            vector[unit + size] = gradients.products.y;
            vector[unit + 2u * size] = gradients.products.z;
        }
        workgroupBarrier();
        next = load_step(max(end, 2u) - 2u, stream, first_unit);
        multiply_vector(lane, sums, 3u * size, size, banks);
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            var value = carried;
            if unit >= 256u { value = initial_gradient[stream * size + unit]; }
            value += product_of(unit, size, sums);
            initial_gradient[stream * size + unit] = value;
            if unit < 256u { carried = value; }
        }
    }
    if arguments.first_step == 0u {
        for (var unit = lane; unit < size; unit += 256u) {
            clear_if_reset(stream, unit);
        }
    }
}

// A step's forward product and what follows it. A workgroup computes 16 streams by 4 units.
@compute @workgroup_size(256)
fn step_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = arguments.first_step;
    let at = step_unit(workgroup, lane, FORWARD_UNITS, 0u);
    if STORE {
        if at.exists {
            let first = at.stream * arguments.hidden_size + at.unit;
            let carried = arguments.carried_offset + first;
            let slot = arguments.batch * arguments.hidden_size;
            states[carried] = states[first + slot];
        }
        return;
    }
    var sums = multiply_states(t, workgroup, lane);
    write_sums(0u, lane, &sums);
    if !at.exists { return; }
    keep_previous_state(t, at.stream, at.unit);
    if t == 0u { load_carried(at.stream, at.unit); }
    let first = lane / 4u * 16u + lane % 4u;
    let products = vec3<f32>(total(first), total(first + 4u), total(first + 8u));
    let inputs = input_projections(t, at.stream, at.unit);
    let previous = previous_state(t, at.stream, at.unit);
    _ = update_state(t, at.stream, at.unit, inputs, products, previous);
}

// The product with the gradient of the next step's gates, and a step's gradients. With INITIAL, the
// gradient of h(-1). A workgroup computes 16 streams by 16 units.
@compute @workgroup_size(256)
fn step_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sums = multiply_gradients(select(arguments.first_step + 1u, 0u, INITIAL), workgroup, lane);
    write_sums(0u, lane, &sums);
    let at = step_unit(workgroup, lane, COLUMNS, 0u);
    if !at.exists { return; }
    let carried = at.stream * arguments.hidden_size + at.unit;
    // The next step wrote what flows to this one directly; the window's last step reads neither.
    initial_gradient[carried] += total(lane);
    if INITIAL {
        clear_if_reset(at.stream, at.unit);
    } else {
        let t = arguments.first_step;
        let step = load_step(t, at.stream, at.unit);
        _ = update_gradient(t, at.stream, at.unit, step, initial_gradient[carried]);
    }
}
