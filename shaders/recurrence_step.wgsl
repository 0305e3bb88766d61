// One step of the Elman recurrence, for hidden layers too wide for one workgroup to walk the window
// alone: the product with the recurrent weight and the cell in one dispatch. A workgroup makes 32
// streams by 32 units, an invocation 4 x 4 of them.
//
// forward:  s(t) = f(z(t) + W s(t-1));  z(t) lies where s(t) is going to be, in slot t+1 of states;
// slot 0 holds s(-1).
// backward: gradient(t) becomes (gradient(t) + W^T gradient(t+1)) f'(s(t)), the gradient of z(t).
// At t = -1, in initial_gradient, that is
//           the gradient of s(-1), for which there is no z and no f.
//
// RESET: where a stream's input is the boundary token 0, its previous state is `initial` in every
// unit and no gradient goes back. The sums have the order that the kernel of a whole window has.
struct Arguments {
    step: u32,
    time_steps: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;
// backward: whether the step is the one before the window's first.
override BEFORE: bool = false;

// forward: [T+1, B, H] read and written; backward: read.
@group(0) @binding(0) var<storage, read_write> states: array<f32>;
// [H to, H from].
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// [T, B, H]: forward, the previous states as used, written where RESET; backward, the gradient.
@group(0) @binding(3) var<storage, read_write> steps: array<f32>;
// backward: [B, H].
@group(0) @binding(4) var<storage, read_write> initial_gradient: array<f32>;

const DEPTH = 16u;
// Numbers in a line of a tile; four more than it holds, so that lanes that write down a column meet
// different banks.
const LINE = 36u;

// A line holds one depth: streams of the left factor, units of the weight.
var<workgroup> left_tile: array<f32, 576>;
var<workgroup> weight_tile: array<f32, 576>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// A stream's previous state at this step, as it is used.
fn previous_state(stream: u32, unit: u32) -> f32 {
    if is_reset(arguments.step, stream) { return arguments.initial; }
    return states[(arguments.step * arguments.batch + stream) * arguments.hidden_size + unit];
}

// What flows back out of the step after this one; with BEFORE that is step 0.
fn next_gradient(stream: u32, unit: u32) -> f32 {
    var next = arguments.step + 1u;
    if BEFORE { next = 0u; }
    if is_reset(next, stream) { return 0.0; }
    return steps[(next * arguments.batch + stream) * arguments.hidden_size + unit];
}

// Multiplies what the tiles hold; `place` is the invocation's column and row of fours.
fn multiply(place: vec2<u32>, sums: ptr<function, mat4x4<f32>>) {
    for (var depth = 0u; depth < DEPTH; depth++) {
        let row = depth * LINE + place.y * 4u;
        let column = depth * LINE + place.x * 4u;
        let right = vec4<f32>(weight_tile[column], weight_tile[column + 1u],
            weight_tile[column + 2u], weight_tile[column + 3u]);
        (*sums)[0] += left_tile[row] * right;
        (*sums)[1] += left_tile[row + 1u] * right;
        (*sums)[2] += left_tile[row + 2u] * right;
        (*sums)[3] += left_tile[row + 3u] * right;
    }
}

@compute @workgroup_size(8, 8)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
) {
    let size = arguments.hidden_size;
    let first_stream = workgroup.y * 32u;
    let first_unit = workgroup.x * 32u;
    let lane = place.y * 8u + place.x;
    var sums = mat4x4<f32>();
    for (var start = 0u; start < size; start += DEPTH) {
        // Both factors lie with the depth side by side.
        for (var i = lane; i < 512u; i += 64u) {
            let depth = i % DEPTH;
            let line = i / DEPTH;
            var left = 0.0;
            if start + depth < size && first_stream + line < arguments.batch {
                left = previous_state(first_stream + line, start + depth);
            }
            left_tile[depth * LINE + line] = left;
            var right = 0.0;
            if start + depth < size && first_unit + line < size {
                right = weight[(first_unit + line) * size + start + depth];
            }
            weight_tile[depth * LINE + line] = right;
        }
        workgroupBarrier();
        multiply(place.xy, &sums);
        workgroupBarrier();
    }
    let stream = first_stream + place.y * 4u;
    let unit = first_unit + place.x * 4u;
    new_states(stream, unit, sums[0]);
    new_states(stream + 1u, unit, sums[1]);
    new_states(stream + 2u, unit, sums[2]);
    new_states(stream + 3u, unit, sums[3]);
}

fn new_states(stream: u32, unit: u32, sums: vec4<f32>) {
    new_state(stream, unit, sums.x);
    new_state(stream, unit + 1u, sums.y);
    new_state(stream, unit + 2u, sums.z);
    new_state(stream, unit + 3u, sums.w);
}

fn new_state(stream: u32, unit: u32, sum: f32) {
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    let previous = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
    let current = previous + arguments.batch * arguments.hidden_size;
    if RESET { steps[previous] = previous_state(stream, unit); }
    states[current] = activate(ACTIVATION, states[current] + sum);
}

@compute @workgroup_size(8, 8)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
) {
    let size = arguments.hidden_size;
    let first_stream = workgroup.y * 32u;
    let first_unit = workgroup.x * 32u;
    let lane = place.y * 8u + place.x;
    var sums = mat4x4<f32>();
    // After the window's last step nothing flows back.
    let terms = select(size, 0u, !BEFORE && arguments.step + 1u == arguments.time_steps);
    for (var start = 0u; start < terms; start += DEPTH) {
        for (var i = lane; i < 512u; i += 64u) {
            let stream = first_stream + i / DEPTH;
            let along = start + i % DEPTH;
            var left = 0.0;
            if along < size && stream < arguments.batch { left = next_gradient(stream, along); }
            left_tile[i % DEPTH * LINE + i / DEPTH] = left;
            // The weight lies with the units side by side.
            let unit = first_unit + i % 32u;
            let depth = start + i / 32u;
            var right = 0.0;
            if depth < size && unit < size { right = weight[depth * size + unit]; }
            weight_tile[i / 32u * LINE + i % 32u] = right;
        }
        workgroupBarrier();
        multiply(place.xy, &sums);
        workgroupBarrier();
    }
    let stream = first_stream + place.y * 4u;
    let unit = first_unit + place.x * 4u;
    new_gradients(stream, unit, sums[0]);
    new_gradients(stream + 1u, unit, sums[1]);
    new_gradients(stream + 2u, unit, sums[2]);
    new_gradients(stream + 3u, unit, sums[3]);
}

fn new_gradients(stream: u32, unit: u32, sums: vec4<f32>) {
    new_gradient(stream, unit, sums.x);
    new_gradient(stream, unit + 1u, sums.y);
    new_gradient(stream, unit + 2u, sums.z);
    new_gradient(stream, unit + 3u, sums.w);
}

fn new_gradient(stream: u32, unit: u32, sum: f32) {
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    if BEFORE {
        initial_gradient[stream * arguments.hidden_size + unit] = sum;
    } else {
        let current = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
        let state = states[current + arguments.batch * arguments.hidden_size];
        steps[current] = (steps[current] + sum) * activation_derivative(ACTIVATION, state);
    }
}
