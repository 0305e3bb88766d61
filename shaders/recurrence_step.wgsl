// One step of the Elman recurrence, for hidden layers too wide for one workgroup per stream: the
// product with the recurrent weight, which is that of step_product.wgsl, and the activation in one
// dispatch.
//
// forward:  s(t) = f(z(t) + W s(t-1)). Slot t+1 of `states` holds z(t) and receives s(t); slot 0
//           receives s(-1), the carried state, which the state after `advance` steps replaces.
// backward: gradient(t) = (gradient(t) + W^T gradient(t+1)) f'(s(t)), the gradient of z(t). With
//           INITIAL, initial_gradient = W^T gradient(0), the gradient of s(-1).
//
// With RESET, a stream whose input is the boundary token 0 uses `initial` in every unit instead of
// its previous state, and no gradient flows to that state.
struct Arguments {
    step: u32,
    time_steps: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    // forward: where the states before the step begin. In step 0, these are the carried ones.
    previous_offset: u32,
    // At least 2, or 0 where the carried states are not replaced: step 0 reads all of them. With
    // STORE, 1.
    advance: u32,
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;
// forward: whether to replace the carried states and do nothing else.
override STORE: bool = false;
// backward: whether to compute the gradient of the state before the window's first step.
override INITIAL: bool = false;

// [T+1, B, H], and [B, H] at `carried_offset`: the carried states. backward only reads it.
@group(0) @binding(0) var<storage, read_write> states: array<f32>;
// W, [H to, H from].
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states after resets. Written with RESET.
@group(0) @binding(3) var<storage, read_write> previous_states: array<f32>;
// backward: [T, B, H], the gradient of s(t) from the layer above, replaced by the gradient of z(t).
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
// backward: [B, H], the gradient of s(-1).
@group(0) @binding(4) var<storage, read_write> initial_gradient: array<f32>;

const GATES = 1u;
// Units of a workgroup of step_product.wgsl in forward.
override FORWARD_UNITS: u32 = COLUMNS;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// A unit's state before the dispatch's step t, after resets.
fn previous_state(t: u32, stream: u32, unit: u32) -> f32 {
    let state = states[arguments.previous_offset + stream * arguments.hidden_size + unit];
    return select(state, arguments.initial, is_reset(t, stream));
}

fn gate_gradient(position: u32) -> f32 {
    return gradient[position];
}

// Replaces a unit's carried state by that after the window's first step.
fn store_carried(at: StepUnit) {
    if !at.exists { return; }
    let first = at.stream * arguments.hidden_size + at.unit;
    let state = states[first + arguments.batch * arguments.hidden_size];
    states[arguments.carried_offset + first] = state;
}

// Computes a unit's state from the product of the previous states.
fn finish_forward(at: StepUnit, product: f32) {
    let first = at.stream * arguments.hidden_size + at.unit;
    let carried = arguments.carried_offset + first;
    keep_previous_state(arguments.step, at.stream, at.unit);
    if arguments.step == 0u { states[first] = states[carried]; }
    let row = (arguments.step + 1u) * arguments.batch + at.stream;
    let current = row * arguments.hidden_size + at.unit;
    let state = activate(ACTIVATION, states[current] + product);
    states[current] = state;
    if arguments.step + 1u == arguments.advance { states[carried] = state; }
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if STORE {
        for (var round = 0u; round < ROUNDS; round++) {
            store_carried(step_unit(workgroup, lane, COLUMNS, round));
        }
        return;
    }
    var sums = multiply_states(arguments.step, workgroup, lane);
    for (var round = 0u; round < ROUNDS; round++) {
        write_sums(round, lane, &sums);
        let at = step_unit(workgroup, lane, COLUMNS, round);
        if at.exists { finish_forward(at, total(lane)); }
    }
}

// Computes the gradient of a unit's z from the product of the next step's gradients.
fn finish_backward(at: StepUnit, product: f32) {
    if INITIAL {
        initial_gradient[at.stream * arguments.hidden_size + at.unit] = product;
        return;
    }
    let row = arguments.step * arguments.batch + at.stream;
    let current = row * arguments.hidden_size + at.unit;
    let state = states[current + arguments.batch * arguments.hidden_size];
    gradient[current] =
        (gradient[current] + product) * activation_derivative(ACTIVATION, state);
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // The step whose gradient flows to this one. With INITIAL, that is step 0.
    var sums =
        multiply_gradients(select(arguments.step + 1u, 0u, INITIAL), workgroup, lane);
    for (var round = 0u; round < ROUNDS; round++) {
        write_sums(round, lane, &sums);
        let at = step_unit(workgroup, lane, COLUMNS, round);
        if at.exists { finish_backward(at, total(lane)); }
    }
}
