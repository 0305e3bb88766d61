// The GRU over a window, and back through it. `forward` and `backward` walk all steps of one stream
// in one workgroup; for wide layers the host multiplies by the recurrent weight step by step, and
// `step_forward` and `step_backward` do the rest of a step for all streams.
//
// forward:  (ur, uz, un) = W h(t-1) + b;  r and z are the sigmoids of the inputs' part and theirs;
// n = tanh(inputs' part + r un);
//           h(t) = (1 - z) n + z h(t-1).
// backward: what came out of the gates becomes the gradient of the inputs' part, and `recurrent`
// that of W h(t-1) + b.
//
// RESET: where a stream's input is the boundary token 0, its previous state is `initial` in every
// unit and no gradient goes back.
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
// forward: whether there is a b.
override BIAS: bool = false;

// [T, B, 3H]: the inputs' part, then r, z and n; backward: those, then the gradient of the inputs'
// part.
@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// [T, B, 3H]: W h(t-1), with b in its last third; backward: that, then the gradient of W h(t-1) +
// b.
@group(0) @binding(1) var<storage, read_write> recurrent: array<f32>;
// [T+1, B, H]: slot 0 holds h(-1), slot t+1 h(t).
@group(0) @binding(2) var<storage, read_write> states: array<f32>;
// forward: W transposed, [H from, 3H to]; backward: W as it is, [3H to, H from]. Neighbouring
// invocations read neighbouring words of both.
@group(0) @binding(3) var<storage, read> weight: array<f32>;
// forward: b, [3H]; backward: [T, B, H], the gradient of h(t) from above.
@group(0) @binding(4) var<storage, read> given: array<f32>;
@group(0) @binding(5) var<storage, read> tokens: array<u32>;
// forward: [T, B, H], the previous states as used, written where RESET; backward: [B, H], what
// flows back into h, in the end the gradient of h(-1).
@group(0) @binding(6) var<storage, read_write> steps: array<f32>;

// The previous state, or the gradient of all recurrent sums. The host takes no H beyond a third of
// it.
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

fn bias(i: u32) -> f32 {
    if !BIAS { return 0.0; }
    return given[i];
}

// A unit's gates and state at step t from the product for its three gates.
fn new_state(t: u32, stream: u32, unit: u32, sums: vec3<f32>) {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let gate = row * 3u * size + unit;
    let un = sums.z + bias(2u * size + unit);
    let r = activate(0u, gates[gate] + (sums.x + bias(unit)));
    let z = activate(0u, gates[gate + size] + (sums.y + bias(size + unit)));
    let n = activate(1u, gates[gate + 2u * size] + r * un);
    gates[gate] = r;
    gates[gate + size] = z;
    gates[gate + 2u * size] = n;
    recurrent[gate] = sums.x;
    recurrent[gate + size] = sums.y;
    recurrent[gate + 2u * size] = un;
    states[(row + arguments.batch) * size + unit] = n + z * (used_state(t, stream, unit) - n);
}

// A unit's gradients at step t; what flows into its state at the step before it, beside the
// product, goes to `steps`.
fn new_gradient(t: u32, stream: u32, unit: u32) {
    let size = arguments.hidden_size;
    let row = t * arguments.batch + stream;
    let back = stream * size + unit;
    var passed = 0.0;
    if t + 1u < arguments.time_steps && !is_reset(min(t + 1u, arguments.time_steps - 1u), stream) {
        passed = steps[back];
    }
    let gate = row * 3u * size + unit;
    let r = gates[gate];
    let z = gates[gate + size];
    let n = gates[gate + 2u * size];
    let un = recurrent[gate + 2u * size];
    let state_gradient = given[row * size + unit] + passed;
    let dn = state_gradient * (1.0 - z) * (1.0 - n * n);
    let dz = state_gradient * (used_state(t, stream, unit) - n) * (z * (1.0 - z));
    let dr = dn * un * (r * (1.0 - r));
    gates[gate] = dr;
    gates[gate + size] = dz;
    gates[gate + 2u * size] = dn;
    recurrent[gate] = dr;
    recurrent[gate + size] = dz;
    recurrent[gate + 2u * size] = dn * r;
    steps[back] = state_gradient * z;
}

// The three gates of a unit.
fn forward_product(unit: u32) -> vec3<f32> {
    let size = arguments.hidden_size;
    var sums = vec3<f32>();
    for (var k = 0u; k < size; k++) {
        let at = k * 3u * size + unit;
        sums += vector[k] * vec3<f32>(weight[at], weight[at + size], weight[at + 2u * size]);
    }
    return sums;
}

fn backward_product(unit: u32) -> f32 {
    let size = arguments.hidden_size;
    var sum = 0.0;
    // Three at a time: a turn of a loop costs more than a multiplication.
    for (var k = 0u; k < 3u * size; k += 3u) {
        let at = k * size + unit;
        sum += vector[k] * weight[at];
        sum += vector[k + 1u] * weight[at + size];
        sum += vector[k + 2u] * weight[at + 2u * size];
    }
    return sum;
}

// Before the window no state is used where the first step begins afresh.
fn cut_first(stream: u32, unit: u32) {
    if is_reset(0u, stream) { steps[stream * arguments.hidden_size + unit] = 0.0; }
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
        let first_gate = (t * arguments.batch + stream) * 3u * size;
        for (var i = lane; i < 3u * size; i += 256u) { vector[i] = recurrent[first_gate + i]; }
        workgroupBarrier();
        // An invocation reads in the next step what it writes here.
        for (var unit = lane; unit < size; unit += 256u) {
            steps[stream * size + unit] += backward_product(unit);
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

// After the step's product, which is in `recurrent`.
@compute @workgroup_size(256)
fn step_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = place(workgroup, workgroups, lane);
    if !at.exists { return; }
    let size = arguments.hidden_size;
    let gate = (arguments.first * arguments.batch + at.stream) * 3u * size + at.unit;
    let sums = vec3<f32>(recurrent[gate], recurrent[gate + size], recurrent[gate + 2u * size]);
    new_state(arguments.first, at.stream, at.unit, sums);
}

// Before the step's product, which is added to what flows back into h.
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
