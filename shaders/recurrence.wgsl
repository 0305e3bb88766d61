// The Elman recurrence over a whole window, and back through it. One workgroup walks all time steps
// of one stream: no launch and no barrier wider than the workgroup between steps.
//
// forward:  s(t) = f(z(t) + W s(t-1));  z(t) lies where s(t) is going to be, in slot t+1 of states;
// slot 0 holds s(-1).
// backward: gradient(t) becomes (gradient(t) + W^T gradient(t+1)) f'(s(t)), the gradient of z(t);
// initial_gradient = W^T gradient(0).
//
// RESET: where a stream's input is the boundary token 0, its previous state is `initial` in every
// unit and no gradient goes back.
//
// A long window comes in several dispatches, each from step `first` to before `end`: forward from
// the first on, backward from the last on.
struct Arguments {
    time_steps: u32,
    first: u32,
    end: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;

// forward: [T+1, B, H] read and written; backward: read.
@group(0) @binding(0) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, H to]; backward: W as it is, [H to, H from]. Neighbouring
// invocations read neighbouring words of both.
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states as used, written where RESET; backward: the gradient [T,
// B, H].
@group(0) @binding(3) var<storage, read_write> steps: array<f32>;
// backward: [B, H].
@group(0) @binding(4) var<storage, read_write> initial_gradient: array<f32>;

// The previous state, or the next step's gradient. The host takes no H beyond it.
var<workgroup> vector: array<f32, 4096>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

fn product(column: u32) -> f32 {
    let size = arguments.hidden_size;
    var sum = 0.0;
    var i = 0u;
    // Four at a time: a turn of a loop costs more than a multiplication.
    for (; i + 3u < size; i += 4u) {
        let at = i * size + column;
        sum += vector[i] * weight[at];
        sum += vector[i + 1u] * weight[at + size];
        sum += vector[i + 2u] * weight[at + 2u * size];
        sum += vector[i + 3u] * weight[at + 3u * size];
    }
    for (; i < size; i++) { sum += vector[i] * weight[i * size + column]; }
    return sum;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = workgroup.x;
    let size = arguments.hidden_size;
    for (var t = arguments.first; t < arguments.end; t++) {
        let previous = (t * arguments.batch + stream) * size;
        let current = previous + arguments.batch * size;
        let fresh = is_reset(t, stream);
        storageBarrier();
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) {
            let value = select(states[previous + i], arguments.initial, fresh);
            vector[i] = value;
            if RESET { steps[previous + i] = value; }
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
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = workgroup.x;
    let size = arguments.hidden_size;
    // Whether the step after this one begins afresh; after the last there is none.
    var cut = true;
    if arguments.end < arguments.time_steps {
        // The dispatch before this one ended with that step.
        let next = (arguments.end * arguments.batch + stream) * size;
        for (var i = lane; i < size; i += 256u) { vector[i] = steps[next + i]; }
        workgroupBarrier();
        cut = is_reset(arguments.end, stream);
    }
    for (var left = arguments.end; left > arguments.first; left--) {
        let t = left - 1u;
        let current = (t * arguments.batch + stream) * size;
        let state = current + arguments.batch * size;
        for (var i = lane; i < size; i += 256u) {
            var sum = steps[current + i];
            if !cut { sum += product(i); }
            steps[current + i] = sum * activation_derivative(ACTIVATION, states[state + i]);
        }
        storageBarrier();
        workgroupBarrier();
        for (var i = lane; i < size; i += 256u) { vector[i] = steps[current + i]; }
        workgroupBarrier();
        cut = is_reset(t, stream);
    }
    // Of the initial state where the window's first step was the last of these; else overwritten by
    // the next dispatch.
    for (var i = lane; i < size; i += 256u) {
        var sum = 0.0;
        if !cut { sum = product(i); }
        initial_gradient[stream * size + i] = sum;
    }
}
