// The LSTM over a window, forward and backward. `forward` and `backward` process all steps of one
// stream in one workgroup, with the product of fused_product.wgsl. For wide layers, `step_forward`
// and `step_backward` process one step of all streams, with the product of step_product.wgsl.
// lstm_cell.wgsl has entry points without products.
//
// forward:  (i, f, g, o) = activations of z(t) + W h(t-1): tanh for g, sigmoid for the others
//           c(t) = f c(t-1) + i g; with CAPPED, min(1 - f, i) in the place of i
//           h(t) = o tanh(c(t))
// backward: replaces the gate activations by the gradients of their pre-activations.
//
// With CAPPED, the gradient of min(1 - f, i) flows to f where 1 - f < i, otherwise to i.
//
// The arguments and what happens to states are in gated_states.wgsl.

// Whether at most 1 - f of g is written to the cell.
override CAPPED: bool = false;

const GATES = 4u;

// [T, B, 4H]. forward: z(t), replaced by the gate activations. backward: the gate activations,
// replaced by the gradient of z(t).
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T+1, B, H]: slot 0 holds c(-1), slot t+1 holds c(t). [B, H] at `carried_offset`: the carried
// cells.
@group(0) @binding(1) var<storage, read_write> cells: array<f32>;
// forward: [T+1, B, H], slot 0 holds h(-1), slot t+1 holds h(t). [B, H] at `carried_offset`: the
// carried states.
@group(0) @binding(2) var<storage, read_write> states: array<f32>;
// backward: [T, B, H], the gradient of h(t) from the layer above.
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
// forward: W transposed, [H from, 4H to]. The others: W, [4H to, H from].
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states after resets. Written with RESET.
@group(0) @binding(5) var<storage, read_write> previous_states: array<f32>;
// backward: [2, B, H], the gradients that flow to the state and the cell before the current step;
// finally the gradients of h(-1) and c(-1).
@group(0) @binding(5) var<storage, read_write> initial_gradient: array<f32>;

// forward: copies a unit's carried state and cell to slot 0.
fn load_carried(stream: u32, unit: u32) {
    let first = stream * arguments.hidden_size + unit;
    states[first] = states[arguments.carried_offset + first];
    cells[first] = cells[arguments.carried_offset + first];
}

fn previous_cell(t: u32, stream: u32, unit: u32) -> f32 {
    let position = (t * arguments.batch + stream) * arguments.hidden_size + unit;
    return select(cells[position], arguments.initial, is_reset(t, stream));
}

fn gate_gradient(position: u32) -> f32 {
    return gates[position];
}

// A unit's input projections at step t.
fn input_projections(t: u32, stream: u32, unit: u32) -> vec4<f32> {
    let size = arguments.hidden_size;
    let gate = (t * arguments.batch + stream) * 4u * size + unit;
    return vec4<f32>(
        gates[gate],
        gates[gate + size],
        gates[gate + 2u * size],
        gates[gate + 3u * size],
    );
}

// Whether 1 - f takes the place of i, which stays if it is NaN.
fn is_capped(i: f32, f: f32) -> bool {
    return CAPPED && 1.0 - f < i && !is_nan(i);
}

// The factor of g in the cell.
fn write_gate(i: f32, f: f32) -> f32 {
    return select(i, 1.0 - f, is_capped(i, f));
}

// Computes a unit's gates, cell and state at step t from its pre-activations and its previous cell.
// Returns the state and the cell.
fn update_state(t: u32, stream: u32, unit: u32, z: vec4<f32>, previous: f32) -> vec2<f32> {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let gate = row * 4u * size + unit;
    let i = activate(0u, z.x);
    let f = activate(0u, z.y);
    let g = activate(1u, z.z);
    let o = activate(0u, z.w);
    gates[gate] = i;
    gates[gate + size] = f;
    gates[gate + 2u * size] = g;
    gates[gate + 3u * size] = o;
    let cell = f * previous + write_gate(i, f) * g;
    let state = o * activate(1u, cell);
    let current = (row + arguments.batch) * size + unit;
    cells[current] = cell;
    states[current] = state;
    if t + 1u == arguments.advance {
        let carried = arguments.carried_offset + stream * size + unit;
        states[carried] = state;
        cells[carried] = cell;
    }
    return vec2<f32>(state, cell);
}

// What the gradients of a unit at a step depend on, beside those of the next step.
struct Step { gates: vec4<f32>, cell: f32, previous_cell: f32, gradient: f32 }

// The gradients of the gates' pre-activations, and of the previous cell.
struct Gradients { gates: vec4<f32>, previous_cell: f32 }

fn load_step(t: u32, stream: u32, unit: u32) -> Step {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let cell = cells[(row + arguments.batch) * size + unit];
    let above = gradient[row * size + unit];
    // The gates after their activations, in the place of the projections.
    let activations = input_projections(t, stream, unit);
    return Step(activations, cell, previous_cell(t, stream, unit), above);
}

// Computes a unit's gradients at step t, to whose state and cell `from_next` flows from the next
// step unless it is cut. Writes the gradient of the previous cell to `initial_gradient`.
fn update_gradient(t: u32, stream: u32, unit: u32, step: Step, from_next: vec2<f32>) -> Gradients {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let next = select(from_next, vec2<f32>(), is_cut(t + 1u, stream));
    let i = step.gates.x;
    let f = step.gates.y;
    let g = step.gates.z;
    let o = step.gates.w;
    let tanh_cell = activate(1u, step.cell);
    let dh = step.gradient + next.x;
    let dc = next.y + dh * o * (1.0 - tanh_cell * tanh_cell);
    let capped = is_capped(i, f);
    let through_f = select(step.previous_cell, step.previous_cell - g, capped);
    let gradients = vec4<f32>(
        select(dc * g * (i * (1.0 - i)), 0.0, capped),
        dc * through_f * (f * (1.0 - f)),
        dc * write_gate(i, f) * (1.0 - g * g),
        dh * tanh_cell * (o * (1.0 - o)),
    );
    let gate = row * 4u * size + unit;
    gates[gate] = gradients.x;
    gates[gate + size] = gradients.y;
    gates[gate + 2u * size] = gradients.z;
    gates[gate + 3u * size] = gradients.w;
    initial_gradient[(arguments.batch + stream) * size + unit] = dc * f;
    return Gradients(gradients, dc * f);
}

// The gradients that flow to a unit's state and cell from the next step.
fn gradient_from_next(stream: u32, unit: u32) -> vec2<f32> {
    let carried = stream * arguments.hidden_size + unit;
    let carried_cell = arguments.batch * arguments.hidden_size + carried;
    return vec2<f32>(initial_gradient[carried], initial_gradient[carried_cell]);
}

// Clears the gradients of h(-1) and c(-1) if the window's first step does not use them.
fn clear_if_reset(stream: u32, unit: u32) {
    if !is_reset(0u, stream) { return; }
    let carried = stream * arguments.hidden_size + unit;
    initial_gradient[carried] = 0.0;
    initial_gradient[arguments.batch * arguments.hidden_size + carried] = 0.0;
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
    let sums = sums_of(lane, size, 4u * size);
    let banks = kept_weights(sums, 4u * size);
    let first_unit = min(lane, size - 1u);
    var state = previous_state(arguments.first_step, stream, first_unit);
    var cell = previous_cell(arguments.first_step, stream, first_unit);
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let first_inputs = input_projections(t, stream, first_unit);
        if is_reset(t, stream) {
            state = arguments.initial;
            cell = arguments.initial;
        }
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
        multiply_vector(lane, sums, size, 4u * size, banks);
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            let gate_products = vec4<f32>(
                product_of(unit, 4u * size, sums),
                product_of(unit + size, 4u * size, sums),
                product_of(unit + 2u * size, 4u * size, sums),
                product_of(unit + 3u * size, 4u * size, sums),
            );
            if unit < 256u {
                let next = update_state(t, stream, unit, first_inputs + gate_products, cell);
                state = next.x;
                cell = next.y;
            } else {
                let z = input_projections(t, stream, unit) + gate_products;
                _ = update_state(t, stream, unit, z, previous_cell(t, stream, unit));
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
    let sums = sums_of(lane, 4u * size, size);
    let banks = kept_weights(sums, size);
    let first_unit = min(lane, size - 1u);
    var next = load_step(arguments.end_step - 1u, stream, first_unit);
    var carried = gradient_from_next(stream, first_unit);
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        for (var unit = lane; unit < size; unit += 256u) {
            var step = next;
            if unit >= 256u { step = load_step(end - 1u, stream, unit); }
            var from_next = carried;
            if unit >= 256u { from_next = gradient_from_next(stream, unit); }
            let gradients = update_gradient(end - 1u, stream, unit, step, from_next);
            if unit < 256u { carried.y = gradients.previous_cell; }
            vector[unit] = gradients.gates.x;
            vector[unit + size] = gradients.gates.y;
            vector[unit + 2u * size] = gradients.gates.z;
            vector[unit + 3u * size] = gradients.gates.w;
        }
        workgroupBarrier();
        next = load_step(max(end, 2u) - 2u, stream, first_unit);
        multiply_vector(lane, sums, 4u * size, size, banks);
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            let value = product_of(unit, size, sums);
            initial_gradient[stream * size + unit] = value;
            if unit < 256u { carried.x = value; }
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
            cells[carried] = cells[first + slot];
        }
        return;
    }
    var sums = multiply_states(t, workgroup, lane);
    write_sums(0u, lane, &sums);
    if !at.exists { return; }
    keep_previous_state(t, at.stream, at.unit);
    if t == 0u { load_carried(at.stream, at.unit); }
    let first = lane / 4u * 16u + lane % 4u;
    let products =
        vec4<f32>(total(first), total(first + 4u), total(first + 8u), total(first + 12u));
    let z = input_projections(t, at.stream, at.unit) + products;
    _ = update_state(t, at.stream, at.unit, z, previous_cell(t, at.stream, at.unit));
}

// The product with the gradient of the next step's gates, and a step's gradients. With INITIAL, the
// gradients of h(-1) and c(-1). A workgroup computes 16 streams by 16 units.
@compute @workgroup_size(256)
fn step_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sums = multiply_gradients(select(arguments.first_step + 1u, 0u, INITIAL), workgroup, lane);
    write_sums(0u, lane, &sums);
    let at = step_unit(workgroup, lane, COLUMNS, 0u);
    if !at.exists { return; }
    initial_gradient[at.stream * arguments.hidden_size + at.unit] = total(lane);
    if INITIAL {
        clear_if_reset(at.stream, at.unit);
    } else {
        let t = arguments.first_step;
        let step = load_step(t, at.stream, at.unit);
        _ = update_gradient(t, at.stream, at.unit, step, gradient_from_next(at.stream, at.unit));
    }
}
