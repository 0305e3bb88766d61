// One step of the Elman recurrence, for hidden layers too wide for one workgroup per stream: the
// product with the recurrent weight and the activation in one dispatch. A workgroup computes 32
// streams by 32 units, an invocation 4 x 4 of them. The order of summation is that of
// recurrence.wgsl.
//
// forward:  s(t) = f(z(t) + W s(t-1)). Slot t+1 of `states` holds z(t) and receives s(t); slot 0
//           holds s(-1).
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
}

override ACTIVATION: u32 = 0u;
override RESET: bool = false;
// backward: whether to compute the gradient of the state before the window's first step.
override INITIAL: bool = false;

// [T+1, B, H]. backward only reads it.
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

// Terms of the sums that a tile holds.
const DEPTH = 16u;
// Stride of a tile's rows: 32 elements, padded by 4 so that lanes that write a column access
// different memory banks.
const STRIDE = 36u;

// [DEPTH, 32] each: streams of the left operand, and units of the weight.
var<workgroup> left_tile: array<f32, 576>;
var<workgroup> weight_tile: array<f32, 576>;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// A unit's previous state at this step, after resets.
fn previous_state(stream: u32, unit: u32) -> f32 {
    if is_reset(arguments.step, stream) { return arguments.initial; }
    return states[(arguments.step * arguments.batch + stream) * arguments.hidden_size + unit];
}

// The gradient that flows from the next step. With INITIAL, the next step is step 0.
fn next_gradient(stream: u32, unit: u32) -> f32 {
    var next = arguments.step + 1u;
    if INITIAL { next = 0u; }
    if is_reset(next, stream) { return 0.0; }
    return gradient[(next * arguments.batch + stream) * arguments.hidden_size + unit];
}

// Adds the product of the tiles. `lane` is the column and row of the invocation's 4 x 4 block.
fn multiply(lane: vec2<u32>, sums: ptr<function, mat4x4<f32>>) {
    for (var depth = 0u; depth < DEPTH; depth++) {
        let row = depth * STRIDE + lane.y * 4u;
        let column = depth * STRIDE + lane.x * 4u;
        let right = vec4<f32>(
            weight_tile[column],
            weight_tile[column + 1u],
            weight_tile[column + 2u],
            weight_tile[column + 3u],
        );
        (*sums)[0] += left_tile[row] * right;
        (*sums)[1] += left_tile[row + 1u] * right;
        (*sums)[2] += left_tile[row + 2u] * right;
        (*sums)[3] += left_tile[row + 3u] * right;
    }
}

@compute @workgroup_size(8, 8)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) lane: vec3<u32>,
) {
    let size = arguments.hidden_size;
    let first_stream = workgroup.y * 32u;
    let first_unit = workgroup.x * 32u;
    let first = lane.y * 8u + lane.x;
    var sums = mat4x4<f32>();
    for (var start = 0u; start < size; start += DEPTH) {
        // In both operands, elements of neighbouring depth are adjacent in memory.
        for (var i = first; i < 512u; i += 64u) {
            let depth = i % DEPTH;
            let column = i / DEPTH;
            var left = 0.0;
            if start + depth < size && first_stream + column < arguments.batch {
                left = previous_state(first_stream + column, start + depth);
            }
            left_tile[depth * STRIDE + column] = left;
            var right = 0.0;
            if start + depth < size && first_unit + column < size {
                right = weight[(first_unit + column) * size + start + depth];
            }
            weight_tile[depth * STRIDE + column] = right;
        }
        workgroupBarrier();
        multiply(lane.xy, &sums);
        workgroupBarrier();
    }
    let stream = first_stream + lane.y * 4u;
    let unit = first_unit + lane.x * 4u;
    update_states(stream, unit, sums[0]);
    update_states(stream + 1u, unit, sums[1]);
    update_states(stream + 2u, unit, sums[2]);
    update_states(stream + 3u, unit, sums[3]);
}

// Updates four adjacent units.
fn update_states(stream: u32, unit: u32, sums: vec4<f32>) {
    update_state(stream, unit, sums.x);
    update_state(stream, unit + 1u, sums.y);
    update_state(stream, unit + 2u, sums.z);
    update_state(stream, unit + 3u, sums.w);
}

fn update_state(stream: u32, unit: u32, sum: f32) {
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    let previous = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
    let current = previous + arguments.batch * arguments.hidden_size;
    if RESET { previous_states[previous] = previous_state(stream, unit); }
    states[current] = activate(ACTIVATION, states[current] + sum);
}

@compute @workgroup_size(8, 8)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) lane: vec3<u32>,
) {
    let size = arguments.hidden_size;
    let first_stream = workgroup.y * 32u;
    let first_unit = workgroup.x * 32u;
    let first = lane.y * 8u + lane.x;
    var sums = mat4x4<f32>();
    // No gradient flows from past the window.
    let terms = select(size, 0u, !INITIAL && arguments.step + 1u == arguments.time_steps);
    for (var start = 0u; start < terms; start += DEPTH) {
        for (var i = first; i < 512u; i += 64u) {
            let stream = first_stream + i / DEPTH;
            let next_unit = start + i % DEPTH;
            var left = 0.0;
            if next_unit < size && stream < arguments.batch {
                left = next_gradient(stream, next_unit);
            }
            left_tile[i % DEPTH * STRIDE + i / DEPTH] = left;
            // In the weight, neighbouring units are adjacent in memory.
            let unit = first_unit + i % 32u;
            let depth = start + i / 32u;
            var right = 0.0;
            if depth < size && unit < size { right = weight[depth * size + unit]; }
            weight_tile[i / 32u * STRIDE + i % 32u] = right;
        }
        workgroupBarrier();
        multiply(lane.xy, &sums);
        workgroupBarrier();
    }
    let stream = first_stream + lane.y * 4u;
    let unit = first_unit + lane.x * 4u;
    update_gradients(stream, unit, sums[0]);
    update_gradients(stream + 1u, unit, sums[1]);
    update_gradients(stream + 2u, unit, sums[2]);
    update_gradients(stream + 3u, unit, sums[3]);
}

// Updates four adjacent units.
fn update_gradients(stream: u32, unit: u32, sums: vec4<f32>) {
    update_gradient(stream, unit, sums.x);
    update_gradient(stream, unit + 1u, sums.y);
    update_gradient(stream, unit + 2u, sums.z);
    update_gradient(stream, unit + 3u, sums.w);
}

fn update_gradient(stream: u32, unit: u32, sum: f32) {
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    if INITIAL {
        initial_gradient[stream * arguments.hidden_size + unit] = sum;
    } else {
        let current = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
        let state = states[current + arguments.batch * arguments.hidden_size];
        gradient[current] = (gradient[current] + sum) * activation_derivative(ACTIVATION, state);
    }
}
