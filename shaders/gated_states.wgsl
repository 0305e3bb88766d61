// The arguments and the states of the cells with several gates, gru.wgsl and lstm.wgsl.
//
// With RESET, a stream whose input is the boundary token 0 uses `initial` in every unit instead of
// its previous state and cell, and no gradient flows to them.
//
// forward also copies the carried states to slot 0, where the window starts, and replaces them by
// those after `advance` steps. A dispatch of the first step alone reads the carried states of units
// that other invocations own, so it may not replace any: `advance` is then 0, and with STORE
// another dispatch does so.
//
// A long window is split into several dispatches, each for the steps first_step..end_step. Forward
// dispatches run in order, backward dispatches in reverse. The single-step entry points process
// first_step.
struct Arguments {
    time_steps: u32,
    first_step: u32,
    end_step: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
    carried_offset: u32,
    // forward: where the states before the first step begin. In step 0, these are the carried ones.
    previous_offset: u32,
    advance: u32,
}

override RESET: bool = false;
// step_forward: whether to replace the carried states and do nothing else.
override STORE: bool = false;
// step_backward: whether to compute the gradients before the window's first step.
override INITIAL: bool = false;

// Units of a workgroup of step_product.wgsl in forward.
const FORWARD_UNITS = 4u;

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}

// forward: a unit's state before the dispatch's first step t, after resets.
fn previous_state(t: u32, stream: u32, unit: u32) -> f32 {
    let state = states[arguments.previous_offset + stream * arguments.hidden_size + unit];
    return select(state, arguments.initial, is_reset(t, stream));
}

// A unit's state before step t, after resets.
fn state_in_slot(t: u32, stream: u32, unit: u32) -> f32 {
    let position = (t * arguments.batch + stream) * arguments.hidden_size + unit;
    return select(states[position], arguments.initial, is_reset(t, stream));
}
