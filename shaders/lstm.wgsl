// The LSTM over a window, and back through it. `forward` and `backward` walk all steps of one
// stream in one workgroup; for wide layers the host multiplies by the recurrent weight step by
// step, and `step_forward` and `step_backward` do the rest of a step for all streams.
//
// forward:  (i, f, g, o) = z(t) + W h(t-1), g through tanh, the others through the sigmoid;  c(t) =
// f c(t-1) + i g;  h(t) = o tanh(c(t)).
// backward: what came out of the gates becomes the gradient of their sums.
//
// RESET: where a stream's input is the boundary token 0, its previous state and cell are `initial`
// in every unit and no gradient goes back.
//
// A long window comes in several dispatches, each from step `first` to before `end`: forward from
// the first on, backward from the last on. A step alone is `first`.
struct Arguments {
    time_steps: u32,
    first: u32,
    end: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

override RESET: bool = false;

// [T, B, 4H]: z(t), then the gates; backward: the gates, then the gradient of z(t).
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T+1, B, H]: slot 0 holds c(-1), slot t+1 c(t).
@group(0) @binding(1) var<storage, read_write> cells: array<f32>;
// forward: [T+1, B, H], slot 0 holds h(-1), slot t+1 h(t); backward: [T, B, H], the gradient of
// h(t) from above.
@group(0) @binding(2) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, 4H to]; backward: W as it is, [4H to, H from]. Neighbouring
// invocations read neighbouring words of both.
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states as used, written where RESET; backward: [2, B, H], what
// flows back into h and c, in the end the gradients of h(-1) and c(-1).
@group(0) @binding(5) var<storage, read_write> steps: array<f32>;

// The previous state, or the gradient of all gates. The host takes no H beyond a quarter of it.
var<workgroup> vector: array<f32, 4096>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// A stream's previous state as it is used at step t.
fn used_state(t: u32, stream: u32, unit: u32) -> f32 {
    return select(states[(t * arguments.batch + stream) * arguments.hidden_size + unit],
        arguments.initial, is_reset(t, stream));
}

fn used_cell(t: u32, stream: u32, unit: u32) -> f32 {
    return select(cells[(t * arguments.batch + stream) * arguments.hidden_size + unit],
        arguments.initial, is_reset(t, stream));
}

// A unit's gates, cell and state at step t from what its gates' sums still lack.
fn new_state(t: u32, stream: u32, unit: u32, sums: vec4<f32>) {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let gate = row * 4u * size + unit;
    let i = activate(0u, gates[gate] + sums.x);
    let f = activate(0u, gates[gate + size] + sums.y);
    let g = activate(1u, gates[gate + 2u * size] + sums.z);
    let o = activate(0u, gates[gate + 3u * size] + sums.w);
    gates[gate] = i;
    gates[gate + size] = f;
    gates[gate + 2u * size] = g;
    gates[gate + 3u * size] = o;
    let cell = f * used_cell(t, stream, unit) + i * g;
    let current = (row + arguments.batch) * size + unit;
    cells[current] = cell;
    states[current] = o * activate(1u, cell);
}

// A unit's gradients at step t; what flows into its cell at the step before it goes to `steps`.
fn new_gradient(t: u32, stream: u32, unit: u32) {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let back = stream * size + unit;
    let back_cell = arguments.batch * size + back;
    var passed = 0.0;
    var passed_cell = 0.0;
    if t + 1u < arguments.time_steps && !is_reset(min(t + 1u, arguments.time_steps - 1u), stream) {
        passed = steps[back];
        passed_cell = steps[back_cell];
    }
    let gate = row * 4u * size + unit;
    let i = gates[gate];
    let f = gates[gate + size];
    let g = gates[gate + 2u * size];
    let o = gates[gate + 3u * size];
    let tanh_cell = activate(1u, cells[(row + arguments.batch) * size + unit]);
    let state_gradient = states[row * size + unit] + passed;
    let cell_gradient = passed_cell + state_gradient * o * (1.0 - tanh_cell * tanh_cell);
    gates[gate] = cell_gradient * g * (i * (1.0 - i));
    gates[gate + size] = cell_gradient * used_cell(t, stream, unit) * (f * (1.0 - f));
    gates[gate + 2u * size] = cell_gradient * i * (1.0 - g * g);
    gates[gate + 3u * size] = state_gradient * tanh_cell * (o * (1.0 - o));
    steps[back_cell] = cell_gradient * f;
}

// The four gates of a unit.
fn forward_product(unit: u32) -> vec4<f32> {
    let size = arguments.hidden_size;
    var sums = vec4<f32>();
    for (var k = 0u; k < size; k++) {
        let at = k * 4u * size + unit;
        sums += vector[k]
            * vec4<f32>(weight[at], weight[at + size], weight[at + 2u * size],
            weight[at + 3u * size]);
    }
    return sums;
}

fn backward_product(unit: u32) -> f32 {
    let size = arguments.hidden_size;
    var sum = 0.0;
    // Four at a time: a turn of a loop costs more than a multiplication.
    for (var k = 0u; k < 4u * size; k += 4u) {
        let at = k * size + unit;
        sum += vector[k] * weight[at];
        sum += vector[k + 1u] * weight[at + size];
        sum += vector[k + 2u] * weight[at + 2u * size];
        sum += vector[k + 3u] * weight[at + 3u * size];
    }
    return sum;
}

// Before the window no state is used where the first step begins afresh.
fn cut_first(stream: u32, unit: u32) {
    if !is_reset(0u, stream) { return; }
    let back = stream * arguments.hidden_size + unit;
    steps[back] = 0.0;
    steps[arguments.batch * arguments.hidden_size + back] = 0.0;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stream = workgroup.x;
    let size = arguments.hidden_size;
    for (var t = arguments.first; t < arguments.end; t++) {
        storageBarrier();
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            let value = used_state(t, stream, unit);
            vector[unit] = value;
            if RESET { steps[(t * arguments.batch + stream) * size + unit] = value; }
        }
        workgroupBarrier();
        for (var unit = lane; unit < size; unit += 256u) {
            new_state(t, stream, unit, forward_product(unit));
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
    for (var left = arguments.end; left > arguments.first; left--) {
        let t = left - 1u;
        for (var unit = lane; unit < size; unit += 256u) { new_gradient(t, stream, unit); }
        storageBarrier();
        workgroupBarrier();
        let first_gate = (t * arguments.batch + stream) * 4u * size;
        for (var i = lane; i < 4u * size; i += 256u) { vector[i] = gates[first_gate + i]; }
        workgroupBarrier();
        // An invocation reads in the next step what it writes here.
        for (var unit = lane; unit < size; unit += 256u) {
            steps[stream * size + unit] = backward_product(unit);
        }
    }
    if arguments.first == 0u {
        for (var unit = lane; unit < size; unit += 256u) { cut_first(stream, unit); }
    }
}

// The stream and the unit that an invocation of the entry points below works on, and whether there
// are such.
struct Place { stream: u32, unit: u32, exists: bool }

fn place(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32) -> Place {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    return Place(i / arguments.hidden_size, i % arguments.hidden_size,
        i < arguments.batch * arguments.hidden_size);
}

// Before the step's product: the previous states as it is to use them.
@compute @workgroup_size(256)
fn use_states(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(workgroup, workgroups, lane);
    if !at.exists { return; }
    let row = arguments.first * arguments.batch + at.stream;
    steps[row * arguments.hidden_size + at.unit] = used_state(arguments.first, at.stream, at.unit);
}

// After the step's product, which was added to the gates.
@compute @workgroup_size(256)
fn step_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(workgroup, workgroups, lane);
    if at.exists { new_state(arguments.first, at.stream, at.unit, vec4<f32>()); }
}

// Before the step's product, which overwrites what flows back into h.
@compute @workgroup_size(256)
fn step_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(workgroup, workgroups, lane);
    if at.exists { new_gradient(arguments.first, at.stream, at.unit); }
}

// After the product of the window's first step.
@compute @workgroup_size(256)
fn finish(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(workgroup, workgroups, lane);
    if at.exists { cut_first(at.stream, at.unit); }
}
