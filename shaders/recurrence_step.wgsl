// One step of the Elman recurrence, for hidden layers too wide for one workgroup per stream: the
// product with the recurrent weight and the activation in one dispatch. A workgroup computes 32
// streams by 16 units.
//
// A step has little work for each unit, so what matters is that all invocations work at once and
// that many loads are under way. The terms of the sums are divided into eight slices, one for each
// 32 invocations: slice s sums the terms s, s + 8, s + 16, ... for all of the workgroup's units, 4
// x 4 in each invocation. At the end the slices are added in order. The result of a unit does not
// depend on the number of streams.
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
const DEPTH = 64u;
const SLICES = 8u;
// Strides of the tiles' rows, padded so that lanes that write a column access different memory
// banks.
const LEFT_STRIDE = 36u;
const WEIGHT_STRIDE = 20u;
// Where the weight's tile begins in `tile`, after DEPTH rows of the left one.
const WEIGHT_TILE = 2304u;

// Two tiles: [DEPTH, 32 streams] of the left operand, and [DEPTH, 16 units] of the weight. Then the
// sums of the slices, [SLICES, 32 streams, 16 units].
var<workgroup> tile: array<f32, 4096>;

// What an invocation loads of the tiles: of the left operand, four terms of two streams.
struct Loads { stream: vec4<f32>, later_stream: vec4<f32>, weights: vec4<f32> }

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET || stream >= arguments.batch { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

fn write_left(lane: u32, loads: Loads) {
    let first = lane % 16u * LEFT_STRIDE + lane / 16u;
    let later = first + 16u;
    tile[first] = loads.stream.x;
    tile[first + 16u * LEFT_STRIDE] = loads.stream.y;
    tile[first + 32u * LEFT_STRIDE] = loads.stream.z;
    tile[first + 48u * LEFT_STRIDE] = loads.stream.w;
    tile[later] = loads.later_stream.x;
    tile[later + 16u * LEFT_STRIDE] = loads.later_stream.y;
    tile[later + 32u * LEFT_STRIDE] = loads.later_stream.z;
    tile[later + 48u * LEFT_STRIDE] = loads.later_stream.w;
}

// Writes the weights of one unit at the depths `depth`, `depth` + 16, ...
fn write_weights(depth: u32, unit: u32, loads: Loads) {
    let first = WEIGHT_TILE + depth * WEIGHT_STRIDE + unit;
    tile[first] = loads.weights.x;
    tile[first + 16u * WEIGHT_STRIDE] = loads.weights.y;
    tile[first + 32u * WEIGHT_STRIDE] = loads.weights.z;
    tile[first + 48u * WEIGHT_STRIDE] = loads.weights.w;
}

// The first of the four streams and of the four units that an invocation computes.
fn position(lane: u32) -> vec2<u32> {
    return vec2<u32>(lane % 32u / 4u * 4u, lane % 4u * 4u);
}

// Adds the slice's terms of the product of the tiles. A column of `sums` is a stream.
fn multiply(lane: u32, sums: ptr<function, mat4x4<f32>>) {
    let at = position(lane);
    for (var depth = lane / 32u; depth < DEPTH; depth += SLICES) {
        let left = depth * LEFT_STRIDE + at.x;
        let right = WEIGHT_TILE + depth * WEIGHT_STRIDE + at.y;
        let weights = vec4<f32>(tile[right], tile[right + 1u], tile[right + 2u], tile[right + 3u]);
        (*sums)[0] += tile[left] * weights;
        (*sums)[1] += tile[left + 1u] * weights;
        (*sums)[2] += tile[left + 2u] * weights;
        (*sums)[3] += tile[left + 3u] * weights;
    }
}

fn write_sums(lane: u32, sums: ptr<function, mat4x4<f32>>) {
    let at = position(lane);
    let first = lane / 32u * 512u + at.x * 16u + at.y;
    for (var stream = 0u; stream < 4u; stream++) {
        for (var unit = 0u; unit < 4u; unit++) {
            tile[first + stream * 16u + unit] = (*sums)[stream][unit];
        }
    }
}

// The sum over all slices of element `index` of [32 streams, 16 units].
fn total(index: u32) -> f32 {
    var sum = tile[index];
    for (var slice = 1u; slice < SLICES; slice++) {
        sum += tile[slice * 512u + index];
    }
    return sum;
}

// A stream's previous state at this step, after resets.
fn previous_state(stream: u32, unit: u32, reset: bool) -> f32 {
    if reset { return arguments.initial; }
    return states[(arguments.step * arguments.batch + stream) * arguments.hidden_size + unit];
}

// Four terms of a stream, 16 apart: its previous states from unit `first` on.
fn previous_states_from(stream: u32, first: u32, reset: bool) -> vec4<f32> {
    var values = vec4<f32>();
    if stream >= arguments.batch { return values; }
    let size = arguments.hidden_size;
    if first < size { values.x = previous_state(stream, first, reset); }
    if first + 16u < size { values.y = previous_state(stream, first + 16u, reset); }
    if first + 32u < size { values.z = previous_state(stream, first + 32u, reset); }
    if first + 48u < size { values.w = previous_state(stream, first + 48u, reset); }
    return values;
}

// Four elements of `weight`, `distance` apart. `depth` is the first one's, and they are 16 depths
// apart. 0 outside the matrix.
fn weights_from(first: u32, distance: u32, depth: u32, inside: bool) -> vec4<f32> {
    var values = vec4<f32>();
    if !inside { return values; }
    let size = arguments.hidden_size;
    if depth < size { values.x = weight[first]; }
    if depth + 16u < size { values.y = weight[first + distance]; }
    if depth + 32u < size { values.z = weight[first + 2u * distance]; }
    if depth + 48u < size { values.w = weight[first + 3u * distance]; }
    return values;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = arguments.hidden_size;
    let stream = workgroup.y * 32u + lane / 16u;
    let reset = is_reset(arguments.step, stream);
    let later_reset = is_reset(arguments.step, stream + 16u);
    // In both operands, neighbouring terms are adjacent in memory.
    let unit = workgroup.x * 16u + lane / 16u;
    var sums = mat4x4<f32>();
    for (var start = 0u; start < size; start += DEPTH) {
        let term = start + lane % 16u;
        let loads = Loads(
            previous_states_from(stream, term, reset),
            previous_states_from(stream + 16u, term, later_reset),
            weights_from(unit * size + term, 16u, term, unit < size),
        );
        workgroupBarrier();
        write_left(lane, loads);
        write_weights(lane % 16u, lane / 16u, loads);
        workgroupBarrier();
        multiply(lane, &sums);
    }
    workgroupBarrier();
    write_sums(lane, &sums);
    workgroupBarrier();
    update_state(workgroup, lane);
    update_state(workgroup, lane + 256u);
}

fn update_state(workgroup: vec3<u32>, index: u32) {
    let stream = workgroup.y * 32u + index / 16u;
    let unit = workgroup.x * 16u + index % 16u;
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    let previous = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
    let current = previous + arguments.batch * arguments.hidden_size;
    if RESET {
        previous_states[previous] =
            previous_state(stream, unit, is_reset(arguments.step, stream));
    }
    states[current] = activate(ACTIVATION, states[current] + total(index));
}

// Four terms of a stream, 16 apart: the gradients of the step `next` from unit `first` on.
fn gradients_from(next: u32, stream: u32, first: u32, reset: bool) -> vec4<f32> {
    var values = vec4<f32>();
    if stream >= arguments.batch || reset { return values; }
    let size = arguments.hidden_size;
    let row = (next * arguments.batch + stream) * size;
    if first < size { values.x = gradient[row + first]; }
    if first + 16u < size { values.y = gradient[row + first + 16u]; }
    if first + 32u < size { values.z = gradient[row + first + 32u]; }
    if first + 48u < size { values.w = gradient[row + first + 48u]; }
    return values;
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let size = arguments.hidden_size;
    // The step whose gradient flows to this one. With INITIAL, that is step 0. No gradient flows
    // from past the window.
    let next = select(arguments.step + 1u, 0u, INITIAL);
    let terms = select(size, 0u, next == arguments.time_steps);
    let stream = workgroup.y * 32u + lane / 16u;
    let reset_step = min(next, arguments.time_steps - 1u);
    let reset = is_reset(reset_step, stream);
    let later_reset = is_reset(reset_step, stream + 16u);
    // In the weight, neighbouring units are adjacent in memory.
    let unit = workgroup.x * 16u + lane % 16u;
    var sums = mat4x4<f32>();
    for (var start = 0u; start < terms; start += DEPTH) {
        let term = start + lane % 16u;
        let depth = start + lane / 16u;
        let loads = Loads(
            gradients_from(next, stream, term, reset),
            gradients_from(next, stream + 16u, term, later_reset),
            weights_from(depth * size + unit, 16u * size, depth, unit < size),
        );
        workgroupBarrier();
        write_left(lane, loads);
        write_weights(lane / 16u, lane % 16u, loads);
        workgroupBarrier();
        multiply(lane, &sums);
    }
    workgroupBarrier();
    write_sums(lane, &sums);
    workgroupBarrier();
    update_gradient(workgroup, lane);
    update_gradient(workgroup, lane + 256u);
}

fn update_gradient(workgroup: vec3<u32>, index: u32) {
    let stream = workgroup.y * 32u + index / 16u;
    let unit = workgroup.x * 16u + index % 16u;
    if stream >= arguments.batch || unit >= arguments.hidden_size { return; }
    let sum = total(index);
    if INITIAL {
        initial_gradient[stream * arguments.hidden_size + unit] = sum;
    } else {
        let current = (arguments.step * arguments.batch + stream) * arguments.hidden_size + unit;
        let state = states[current + arguments.batch * arguments.hidden_size];
        gradient[current] = (gradient[current] + sum) * activation_derivative(ACTIVATION, state);
    }
}
