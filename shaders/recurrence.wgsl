// The Elman recurrence over a window, forward and backward. One workgroup processes all time steps
// of one stream, so that only workgroup barriers separate the steps.
//
// forward:  s(t) = f(z(t) + W s(t-1)). Slot t+1 of `states` holds z(t) and receives s(t); slot 0
//           receives s(-1), the carried state, which the state after `advance` steps replaces.
// backward: gradient(t) = (gradient(t) + W^T gradient(t+1)) f'(s(t)), the gradient of z(t);
//           initial_gradient = W^T gradient(0).
//
// With RESET, a stream whose input is the boundary token 0 uses `initial` in every unit instead of
// its previous state, and no gradient flows to that state.
//
// A long window is split into several dispatches, each for the steps first_step..end_step. Forward
// dispatches run in order, backward dispatches in reverse.
struct Arguments {
    time_steps: u32,
    first_step: u32,
    end_step: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    // forward: where the states before the first step begin. In step 0, these are the carried ones.
    previous_offset: u32,
    advance: u32,
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;

// [T+1, B, H], and [B, H] at `carried_offset`: the carried states. backward only reads it.
@group(0) @binding(0) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, H to]. backward: W, [H to, H from]. In both, neighbouring
// invocations read neighbouring words.
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states after resets. Written with RESET.
@group(0) @binding(3) var<storage, read_write> previous_states: array<f32>;
// backward: [T, B, H], the gradient of s(t) from the layer above, replaced by the gradient of z(t).
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
// backward: [B, H], the gradient that flows to the state before the current step; finally the
// gradient of s(-1).
@group(0) @binding(4) var<storage, read_write> initial_gradient: array<f32>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// The gradient of a unit's state from the layer above at step t, and the state.
fn gradient_and_state(t: u32, stream: u32, unit: u32) -> vec2<f32> {
    let size = arguments.hidden_size;
    let current = (t * arguments.batch + stream) * size + unit;
    return vec2<f32>(gradient[current], states[current + arguments.batch * size]);
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = flat_workgroup(workgroup, workgroups);
    if stream >= arguments.batch { return; }
    let size = arguments.hidden_size;
    let carried = arguments.carried_offset + stream * size;
    if arguments.first_step == 0u {
        for (var i = lane; i < size; i += 256u) {
            states[stream * size + i] = states[carried + i];
        }
    }
    let sums = sums_of(lane, size, size);
    let banks = kept_weights(sums, size);
    let first_unit = min(lane, size - 1u);
    var state = states[arguments.previous_offset + stream * size + first_unit];
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let previous = (t * arguments.batch + stream) * size;
        let current = previous + arguments.batch * size;
        let reset = is_reset(t, stream);
        let first_input = states[current + first_unit];
        // The states need no barrier: an invocation reads only those that it wrote.
        for (var i = lane; i < size; i += 256u) {
            var value = state;
            if i >= 256u { value = states[previous + i]; }
            value = select(value, arguments.initial, reset);
            vector[i] = value;
            if RESET { previous_states[previous + i] = value; }
        }
        workgroupBarrier();
        multiply_vector(lane, sums, size, size, banks);
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            var z = first_input;
            if i >= 256u { z = states[current + i]; }
            let value = activate(ACTIVATION, z + product_of(i, size, sums));
            states[current + i] = value;
            if t + 1u == arguments.advance { states[carried + i] = value; }
            if i < 256u { state = value; }
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
    let sums = sums_of(lane, size, size);
    let banks = kept_weights(sums, size);
    let first_unit = min(lane, size - 1u);
    // What an invocation's first unit needs of the next step is loaded before the product: the
    // gradient from the layer above and the state.
    var next = gradient_and_state(arguments.end_step - 1u, stream, first_unit);
    var carried = initial_gradient[stream * size + first_unit];
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        let t = end - 1u;
        let current = (t * arguments.batch + stream) * size;
        // Whether no gradient flows from the next step: it is reset, or it is past the window.
        let is_cut = end >= arguments.time_steps
            || is_reset(min(end, arguments.time_steps - 1u), stream);
        for (var i = lane; i < size; i += 256u) {
            var step = next;
            if i >= 256u { step = gradient_and_state(t, stream, i); }
            var from_next = carried;
            // Written by the same invocation, in the previous iteration or dispatch.
            if i >= 256u { from_next = initial_gradient[stream * size + i]; }
            from_next = select(from_next, 0.0, is_cut);
            let value = (step.x + from_next) * activation_derivative(ACTIVATION, step.y);
            gradient[current + i] = value;
            vector[i] = value;
        }
        workgroupBarrier();
        next = gradient_and_state(max(end, 2u) - 2u, stream, first_unit);
        multiply_vector(lane, sums, size, size, banks);
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            let value = product_of(i, size, sums);
            initial_gradient[stream * size + i] = value;
            if i < 256u { carried = value; }
        }
    }
    if arguments.first_step == 0u && is_reset(0u, stream) {
        for (var i = lane; i < size; i += 256u) {
            initial_gradient[stream * size + i] = 0.0;
        }
    }
}
