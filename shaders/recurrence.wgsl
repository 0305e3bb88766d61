// The Elman recurrence over a window, forward and backward. One workgroup processes all time steps
// of one stream, so that only workgroup barriers separate the steps.
//
// forward:  s(t) = f(z(t) + W s(t-1)). Slot t+1 of `states` holds z(t) and receives s(t); slot 0
//           holds s(-1).
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
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;

// [T+1, B, H]. backward only reads it.
@group(0) @binding(0) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, H to]. backward: W, [H to, H from]. In both, neighbouring
// invocations read neighbouring words.
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states after resets. Written with RESET.
@group(0) @binding(3) var<storage, read_write> previous_states: array<f32>;
// backward: [T, B, H], the gradient of s(t) from the layer above, replaced by the gradient of z(t).
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
// backward: [B, H], the gradient of s(-1).
@group(0) @binding(4) var<storage, read_write> initial_gradient: array<f32>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// Element `column` of the product of `vector` with `weight`.
fn product(column: u32) -> f32 {
    return column_product(column, arguments.hidden_size, 0u, arguments.hidden_size);
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
    for (var t = arguments.first_step; t < arguments.end_step; t++) {
        let previous = (t * arguments.batch + stream) * size;
        let current = previous + arguments.batch * size;
        let reset = is_reset(t, stream);
        // `vector` may be overwritten once every invocation has used it. The states need no
        // barrier: an invocation reads only those that it wrote.
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            let value = select(states[previous + i], arguments.initial, reset);
            vector[i] = value;
            if RESET { previous_states[previous + i] = value; }
        }
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            states[current + i] = activate(ACTIVATION, states[current + i] + product(i));
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
    // Whether no gradient flows from the next step: it is reset, or it is past the window.
    var is_cut = true;
    if arguments.end_step < arguments.time_steps {
        // The previous dispatch has computed that step's gradient.
        let next = (arguments.end_step * arguments.batch + stream) * size;
        for (var i = lane; i < size; i += 256u) {
            vector[i] = gradient[next + i];
        }
        workgroupBarrier();
        is_cut = is_reset(arguments.end_step, stream);
    }
    for (var end = arguments.end_step; end > arguments.first_step; end--) {
        let t = end - 1u;
        let current = (t * arguments.batch + stream) * size;
        let state = current + arguments.batch * size;
        for (var i = lane; i < size; i += 256u) {
            var sum = gradient[current + i];
            if !is_cut { sum += product(i); }
            gradient[current + i] = sum * activation_derivative(ACTIVATION, states[state + i]);
        }
        // As in `forward`.
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            vector[i] = gradient[current + i];
        }
        workgroupBarrier();
        is_cut = is_reset(t, stream);
    }
    // The dispatch that contains the window's first step, which runs last, leaves the final value.
    for (var i = lane; i < size; i += 256u) {
        var sum = 0.0;
        if !is_cut { sum = product(i); }
        initial_gradient[stream * size + i] = sum;
    }
}
