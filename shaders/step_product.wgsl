// One time step of a recurrent layer too wide for one workgroup per stream: the product with the
// recurrent weight, for a cell's entry points to finish. The end of recurrence_step.wgsl, gru.wgsl
// and lstm.wgsl. A workgroup computes 16 streams by COLUMNS columns: forward, the gates of
// FORWARD_UNITS units; backward, COLUMNS units.
//
// A step has little work for each unit, so what matters is that all invocations work at once and
// that many loads are under way: the next tiles are loaded while the current ones are multiplied.
// The terms of the sums are divided into 16 slices, one for each 16 invocations: slice s sums the
// terms s, s + 16, s + 32, ... for all of the workgroup's columns, 4 x 4 or 4 x 8 in each
// invocation. At the end the slices are added in order, for 256 of the sums in each round. The
// result of a unit does not depend on the number of streams.
//
// The cell declares `arguments` with `time_steps`, `batch` and `hidden_size`; `weight`, W, [GATES H
// to, H from]; GATES, the number of its gates; FORWARD_UNITS, COLUMNS divided by that number, or by
// 4 for 3 gates; is_reset; previous_state; RESET and `previous_states`, [T, B, H]; and
// gate_gradient, the gradient of an element of [T, B, GATES H], the pre-activations to which W
// contributes.

// 16 or 32. With 32, the workgroups together read three quarters as much memory, but there are half
// as many.
override COLUMNS: u32 = 16u;
// Terms of the sums that a tile holds.
override DEPTH: u32 = select(128u, 64u, COLUMNS == 32u);
const SLICES = 16u;
// Blocks of four columns in a row of the weight's tile, and of an invocation.
override COLUMN_BLOCKS: u32 = COLUMNS / 4u;
override BLOCKS: u32 = COLUMNS / 16u;
// How many blocks of each operand an invocation loads.
override LEFT_LOADS: u32 = DEPTH / 64u;
override WEIGHT_LOADS: u32 = DEPTH * COLUMN_BLOCKS / 256u;
// Where the weight's tile begins in `tile`.
override WEIGHT_TILE: u32 = DEPTH * 4u;
// Rounds of the addition, and the streams of each.
override ROUNDS: u32 = BLOCKS;
override ROUND_STREAMS: u32 = 16u / ROUNDS;

// Two tiles of blocks of four: [DEPTH, 16 streams] of the left operand, and [DEPTH, COLUMNS] of the
// weight. Then the sums of the slices, [SLICES, ROUND_STREAMS, COLUMNS].
var<workgroup> tile: array<vec4<f32>, 1024>;

// What an invocation loads of the tiles: LEFT_LOADS and WEIGHT_LOADS blocks.
struct Loads {
    left: array<vec4<f32>, 2>,
    weights: array<vec4<f32>, 2>,
}

// The sums of an invocation: four streams by four columns for each of its BLOCKS blocks. A column
// of a matrix is a stream.
struct StepSums { blocks: array<mat4x4<f32>, 2> }

// Where a tile has the block of four streams or columns at a depth. Blocks are permuted so that
// invocations that write neighbouring depths access different memory banks.
fn left_slot(depth: u32, block: u32) -> u32 {
    return depth * 4u + (block ^ (depth / 2u % 4u));
}

fn weight_slot(depth: u32, block: u32) -> u32 {
    let permuted = block ^ (depth * COLUMN_BLOCKS / 8u % COLUMN_BLOCKS);
    return WEIGHT_TILE + depth * COLUMN_BLOCKS + permuted;
}

// Adds the slice's terms of the product of the tiles.
fn multiply(lane: u32, sums: ptr<function, StepSums>) {
    for (var depth = lane / 16u; depth < DEPTH; depth += SLICES) {
        let left = tile[left_slot(depth, lane % 16u / 4u)];
        for (var i = 0u; i < BLOCKS; i++) {
            let weights = tile[weight_slot(depth, lane % 4u * BLOCKS + i)];
            (*sums).blocks[i][0] += left.x * weights;
            (*sums).blocks[i][1] += left.y * weights;
            (*sums).blocks[i][2] += left.z * weights;
            (*sums).blocks[i][3] += left.w * weights;
        }
    }
}

// Writes what an invocation loaded of the left operand, where neighbouring invocations load
// neighbouring terms.
fn write_left(lane: u32, loads: Loads) {
    for (var i = 0u; i < LEFT_LOADS; i++) {
        tile[left_slot(lane % DEPTH, left_block(lane, i))] = loads.left[i];
    }
}

// The block of four streams of an invocation's load.
fn left_block(lane: u32, load: u32) -> u32 {
    return lane / DEPTH + load * (256u / DEPTH);
}

// Replaces the tiles by the slices' sums for the streams of a round, once all invocations are done
// with what was there.
fn write_sums(round: u32, lane: u32, sums: ptr<function, StepSums>) {
    workgroupBarrier();
    let stream = lane % 16u / 4u * 4u;
    if stream / ROUND_STREAMS == round {
        let row = lane / 16u * ROUND_STREAMS + stream % ROUND_STREAMS;
        for (var i = 0u; i < BLOCKS; i++) {
            let first = row * COLUMN_BLOCKS + lane % 4u * BLOCKS + i;
            tile[first] = (*sums).blocks[i][0];
            tile[first + COLUMN_BLOCKS] = (*sums).blocks[i][1];
            tile[first + 2u * COLUMN_BLOCKS] = (*sums).blocks[i][2];
            tile[first + 3u * COLUMN_BLOCKS] = (*sums).blocks[i][3];
        }
    }
    workgroupBarrier();
}

// The sum over all slices of element `index` of [ROUND_STREAMS, COLUMNS].
fn total(index: u32) -> f32 {
    var sum = tile[index / 4u][index % 4u];
    for (var slice = 1u; slice < SLICES; slice++) {
        sum += tile[slice * 64u + index / 4u][index % 4u];
    }
    return sum;
}

// The stream and the unit whose step an invocation finishes in a round, where a workgroup has
// `units` units.
struct StepUnit { stream: u32, unit: u32, exists: bool }

fn step_unit(workgroup: vec3<u32>, lane: u32, units: u32, round: u32) -> StepUnit {
    let stream = workgroup.y * 16u + round * ROUND_STREAMS + lane / units;
    let unit = workgroup.x * units + lane % units;
    let is_inside = stream < arguments.batch && unit < arguments.hidden_size;
    return StepUnit(stream, unit, is_inside && lane < ROUND_STREAMS * units);
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
    var loads: Loads;
    let term = start + lane % DEPTH;
    for (var i = 0u; i < LEFT_LOADS; i++) {
        loads.left[i] = states_before(t, workgroup.y * 16u + left_block(lane, i) * 4u, term);
    }
    for (var i = 0u; i < WEIGHT_LOADS; i++) {
        loads.weights[i] = gate_weights(workgroup, left_block(lane, i), term);
    }
    return loads;
}

// The products of the states before step t with W. Column gate * FORWARD_UNITS + unit is a gate of
// a unit.
fn multiply_states(t: u32, workgroup: vec3<u32>, lane: u32) -> StepSums {
    var loads = load_forward(t, workgroup, lane, 0u);
    var sums = StepSums();
    for (var start = 0u; start < arguments.hidden_size; start += DEPTH) {
        workgroupBarrier();
        write_left(lane, loads);
        for (var i = 0u; i < WEIGHT_LOADS; i++) {
            tile[weight_slot(lane % DEPTH, left_block(lane, i))] = loads.weights[i];
        }
        workgroupBarrier();
        loads = load_forward(t, workgroup, lane, start + DEPTH);
        multiply(lane, &sums);
    }
    return sums;
}

// The depth of an invocation's load of a weight in backward.
fn weight_depth(lane: u32, load: u32) -> u32 {
    return lane / COLUMN_BLOCKS + load * (256u / COLUMN_BLOCKS);
}

// In the weight, neighbouring units are adjacent in memory.
fn load_backward(t: u32, workgroup: vec3<u32>, lane: u32, start: u32) -> Loads {
    var loads: Loads;
    let term = start + lane % DEPTH;
    for (var i = 0u; i < LEFT_LOADS; i++) {
        loads.left[i] = gradients_after(t, workgroup.y * 16u + left_block(lane, i) * 4u, term);
    }
    let unit = workgroup.x * COLUMNS + lane % COLUMN_BLOCKS * 4u;
    for (var i = 0u; i < WEIGHT_LOADS; i++) {
        loads.weights[i] = row_weights(start + weight_depth(lane, i), unit);
    }
    return loads;
}

// The products of the gates' gradients at step t with W. A column is a unit.
fn multiply_gradients(t: u32, workgroup: vec3<u32>, lane: u32) -> StepSums {
    let terms = select(GATES * arguments.hidden_size, 0u, t == arguments.time_steps);
    var loads = load_backward(t, workgroup, lane, 0u);
    var sums = StepSums();
    for (var start = 0u; start < terms; start += DEPTH) {
        workgroupBarrier();
        write_left(lane, loads);
        for (var i = 0u; i < WEIGHT_LOADS; i++) {
            tile[weight_slot(weight_depth(lane, i), lane % COLUMN_BLOCKS)] = loads.weights[i];
        }
        workgroupBarrier();
        loads = load_backward(t, workgroup, lane, start + DEPTH);
        multiply(lane, &sums);
    }
    return sums;
}
