// The end of lstm.wgsl: steps without products, for layers that multiply between the steps. A
// window is `cell_start`, then `cell_forward` for one step after another; backwards,
// `cell_backward` for one step after another, then `cell_end`. They use `first_step`, and `weight`
// is any buffer.

// The stream and the unit of an invocation of the entry points without products.
struct CellUnit { stream: u32, unit: u32, exists: bool }

fn cell_unit(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32) -> CellUnit {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    let size = arguments.hidden_size;
    return CellUnit(i / size, i % size, i < arguments.batch * size);
}

// Keeps a unit's state before step t, after resets.
fn keep_state_in_slot(t: u32, at: CellUnit) {
    if !RESET || t == arguments.time_steps { return; }
    let position = (t * arguments.batch + at.stream) * arguments.hidden_size + at.unit;
    previous_states[position] = state_in_slot(t, at.stream, at.unit);
}

// The states before the window.
@compute @workgroup_size(256)
fn cell_start(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = cell_unit(workgroup, workgroups, lane);
    if !at.exists { return; }
    load_carried(at.stream, at.unit);
    keep_state_in_slot(0u, at);
}

// A step whose products are in `gates`.
@compute @workgroup_size(256)
fn cell_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = arguments.first_step;
    let at = cell_unit(workgroup, workgroups, lane);
    if !at.exists { return; }
    let z = input_projections(t, at.stream, at.unit);
    _ = update_state(t, at.stream, at.unit, z, previous_cell(t, at.stream, at.unit));
    keep_state_in_slot(t + 1u, at);
}

// A step's gradients, from those of the state and the cell in `initial_gradient`.
@compute @workgroup_size(256)
fn cell_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = arguments.first_step;
    let at = cell_unit(workgroup, workgroups, lane);
    if !at.exists { return; }
    let step = load_step(t, at.stream, at.unit);
    _ = update_gradient(t, at.stream, at.unit, step, gradient_from_next(at.stream, at.unit));
}

// The gradients of h(-1) and c(-1).
@compute @workgroup_size(256)
fn cell_end(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = cell_unit(workgroup, workgroups, lane);
    if at.exists { clear_if_reset(at.stream, at.unit); }
}
