// One time step of a recurrent layer too wide for one workgroup per stream: the product with the
// recurrent weight, for a cell's entry points to finish. The end of recurrence_step.wgsl, gru.wgsl
// and lstm.wgsl. A workgroup computes 16 streams by 16 columns: forward, the gates of FORWARD_UNITS
// units; backward, 16 units.
//
// A step has little work for each unit, so what matters is that all invocations work at once and
// that many loads are under way: the next tiles are loaded while the current ones are multiplied.
// The terms of the sums are divided into 16 slices, one for each 16 invocations: slice s sums the
// terms s, s + 16, s + 32, ... for all of the workgroup's columns, 4 x 4 in each invocation. At the
// end the slices are added in order. The result of a unit does not depend on the number of streams.
//
// The cell declares `arguments` with `time_steps`, `batch` and `hidden_size`; `weight`, W, [GATES H
// to, H from]; GATES, the number of its gates; FORWARD_UNITS, 16 divided by that number, or by 4
// for 3 gates; is_reset; previous_state; RESET and `previous_states`, [T, B, H]; and gate_gradient,
// the gradient of an element of [T, B, GATES H], the pre-activations to which W contributes.

// Terms of the sums that a tile holds.
const DEPTH = 128u;
const SLICES = 16u;
// Where the weight's tile begins in `tile`.
const WEIGHT_TILE = 512u;

// Two tiles of blocks of four: [DEPTH, 16 streams] of the left operand, and [DEPTH, 16 columns] of
// the weight. Then the sums of the slices, [SLICES, 16 streams, 16 columns].
var<workgroup> tile: array<vec4<f32>, 1024>;

// What an invocation loads of the tiles: two blocks of the left operand, and two of the weight.
struct Loads {
    left: vec4<f32>,
    later_left: vec4<f32>,
    weights: vec4<f32>,
    later_weights: vec4<f32>,
}

// Where a tile has the block of four streams or columns at a depth. Blocks are permuted so that
// invocations that write neighbouring depths access different memory banks.
fn slot(depth: u32, block: u32) -> u32 {
    return depth * 4u + (block ^ (depth / 2u % 4u));
}

// Adds the slice's terms of the product of the tiles. A column of `sums` is a stream.
fn multiply(lane: u32, sums: ptr<function, mat4x4<f32>>) {
    for (var depth = lane / 16u; depth < DEPTH; depth += SLICES) {
        let left = tile[slot(depth, lane % 16u / 4u)];
        let weights = tile[WEIGHT_TILE + slot(depth, lane % 4u)];
        (*sums)[0] += left.x * weights;
        (*sums)[1] += left.y * weights;
        (*sums)[2] += left.z * weights;
        (*sums)[3] += left.w * weights;
    }
}

// Writes what an invocation loaded of the left operand, where neighbouring invocations load
// neighbouring terms.
fn write_left(lane: u32, loads: Loads) {
    tile[slot(lane % 128u, lane / 128u)] = loads.left;
    tile[slot(lane % 128u, lane / 128u + 2u)] = loads.later_left;
}

// Replaces the tiles by the sums of the slices, once all are done.
fn write_sums(lane: u32, sums: ptr<function, mat4x4<f32>>) {
    workgroupBarrier();
    let first = lane / 16u * 64u + lane % 16u / 4u * 16u + lane % 4u;
    tile[first] = (*sums)[0];
    tile[first + 4u] = (*sums)[1];
    tile[first + 8u] = (*sums)[2];
    tile[first + 12u] = (*sums)[3];
    workgroupBarrier();
}

// The sum over all slices of element `index` of [16 streams, 16 columns].
fn total(index: u32) -> f32 {
    var sum = tile[index / 4u][index % 4u];
    for (var slice = 1u; slice < SLICES; slice++) {
        sum += tile[slice * 64u + index / 4u][index % 4u];
    }
    return sum;
}

// The stream and the unit whose step an invocation finishes, where a workgroup has `units` units.
struct StepUnit { stream: u32, unit: u32, exists: bool }

fn step_unit(workgroup: vec3<u32>, lane: u32, units: u32) -> StepUnit {
    let stream = workgroup.y * 16u + lane / units;
    let unit = workgroup.x * units + lane % units;
    let is_inside = stream < arguments.batch && unit < arguments.hidden_size;
    return StepUnit(stream, unit, is_inside && lane < 16u * units);
}

// With RESET, keeps the state that a unit had before step t.
fn keep_previous_state(t: u32, stream: u32, unit: u32) {
    if !RESET { return; }
    let position = (t * arguments.batch + stream) * arguments.hidden_size + unit;
    previous_states[position] = previous_state(t, stream, unit);
}

// Whether the gradient of a stream's step t does not flow to the state before it: the stream is
// reset there, or t is past the window.
fn is_cut(t: u32, stream: u32) -> bool {
    let step = min(t, arguments.time_steps - 1u);
    return t == arguments.time_steps || is_reset(step, min(stream, arguments.batch - 1u));
}

fn state_before(t: u32, stream: u32, unit: u32) -> f32 {
    if stream >= arguments.batch { return 0.0; }
    return previous_state(t, stream, unit);
}

// A unit's states before step t, after resets, of four streams.
fn states_before(t: u32, stream: u32, unit: u32) -> vec4<f32> {
    if unit >= arguments.hidden_size { return vec4<f32>(); }
    return vec4<f32>(
        state_before(t, stream, unit),
        state_before(t, stream + 1u, unit),
        state_before(t, stream + 2u, unit),
        state_before(t, stream + 3u, unit),
    );
}

fn gradient_after(t: u32, stream: u32, gate: u32) -> f32 {
    if stream >= arguments.batch || is_cut(t, stream) { return 0.0; }
    return gate_gradient((t * arguments.batch + stream) * GATES * arguments.hidden_size + gate);
}

// A gate's gradients at step t that flow to the states before it, of four streams.
fn gradients_after(t: u32, stream: u32, gate: u32) -> vec4<f32> {
    if gate >= GATES * arguments.hidden_size { return vec4<f32>(); }
    return vec4<f32>(
        gradient_after(t, stream, gate),
        gradient_after(t, stream + 1u, gate),
        gradient_after(t, stream + 2u, gate),
        gradient_after(t, stream + 3u, gate),
    );
}

fn weight_at(row: u32, column: u32, is_inside: bool) -> f32 {
    if !is_inside { return 0.0; }
    return weight[row * arguments.hidden_size + column];
}

// The weights of four neighbouring rows, of which only those below `end` exist.
fn column_weights(row: u32, end: u32, column: u32) -> vec4<f32> {
    if column >= arguments.hidden_size { return vec4<f32>(); }
    return vec4<f32>(
        weight_at(row, column, row < end),
        weight_at(row + 1u, column, row + 1u < end),
        weight_at(row + 2u, column, row + 2u < end),
        weight_at(row + 3u, column, row + 3u < end),
    );
}

// The weights of four neighbouring columns.
fn row_weights(row: u32, column: u32) -> vec4<f32> {
    let size = arguments.hidden_size;
    if row >= GATES * size { return vec4<f32>(); }
    return vec4<f32>(
        weight_at(row, column, column < size),
        weight_at(row, column + 1u, column + 1u < size),
        weight_at(row, column + 2u, column + 2u < size),
        weight_at(row, column + 3u, column + 3u < size),
    );
}

// The weights of a block of four columns of forward.
fn gate_weights(workgroup: vec3<u32>, block: u32, term: u32) -> vec4<f32> {
    let gate = block * 4u / FORWARD_UNITS;
    if gate >= GATES { return vec4<f32>(); }
    let first_row = gate * arguments.hidden_size;
    let unit = workgroup.x * FORWARD_UNITS + block * 4u % FORWARD_UNITS;
    return column_weights(first_row + unit, first_row + arguments.hidden_size, term);
}

// In both operands of forward, neighbouring terms are adjacent in memory.
fn load_forward(t: u32, workgroup: vec3<u32>, lane: u32, start: u32) -> Loads {
    let term = start + lane % 128u;
    let block = lane / 128u;
    let stream = workgroup.y * 16u + block * 4u;
    return Loads(
        states_before(t, stream, term),
        states_before(t, stream + 8u, term),
        gate_weights(workgroup, block, term),
        gate_weights(workgroup, block + 2u, term),
    );
}

// The products of the states before step t with W: the sums of the slices in `tile`. Column gate *
// FORWARD_UNITS + unit is a gate of a unit.
fn multiply_states(t: u32, workgroup: vec3<u32>, lane: u32) {
    var loads = load_forward(t, workgroup, lane, 0u);
    var sums = mat4x4<f32>();
    for (var start = 0u; start < arguments.hidden_size; start += DEPTH) {
        workgroupBarrier();
        write_left(lane, loads);
        tile[WEIGHT_TILE + slot(lane % 128u, lane / 128u)] = loads.weights;
        tile[WEIGHT_TILE + slot(lane % 128u, lane / 128u + 2u)] = loads.later_weights;
        workgroupBarrier();
        loads = load_forward(t, workgroup, lane, start + DEPTH);
        multiply(lane, &sums);
    }
    write_sums(lane, &sums);
}

// In the weight, neighbouring units are adjacent in memory.
fn load_backward(t: u32, workgroup: vec3<u32>, lane: u32, start: u32) -> Loads {
    let term = start + lane % 128u;
    let stream = workgroup.y * 16u + lane / 128u * 4u;
    let row = start + lane / 4u;
    let unit = workgroup.x * 16u + lane % 4u * 4u;
    return Loads(
        gradients_after(t, stream, term),
        gradients_after(t, stream + 8u, term),
        row_weights(row, unit),
        row_weights(row + 64u, unit),
    );
}

// The products of the gates' gradients at step t with W: the sums of the slices in `tile`. A column
// is a unit.
fn multiply_gradients(t: u32, workgroup: vec3<u32>, lane: u32) {
    let terms = select(GATES * arguments.hidden_size, 0u, t == arguments.time_steps);
    var loads = load_backward(t, workgroup, lane, 0u);
    var sums = mat4x4<f32>();
    for (var start = 0u; start < terms; start += DEPTH) {
        workgroupBarrier();
        write_left(lane, loads);
        tile[WEIGHT_TILE + slot(lane / 4u, lane % 4u)] = loads.weights;
        tile[WEIGHT_TILE + slot(lane / 4u + 64u, lane % 4u)] = loads.later_weights;
        workgroupBarrier();
        loads = load_backward(t, workgroup, lane, start + DEPTH);
        multiply(lane, &sums);
    }
    write_sums(lane, &sums);
}
