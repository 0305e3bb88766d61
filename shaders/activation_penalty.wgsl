// Activation regularization. With the states h(t) of a layer and its output d(t) after dropout,
//     gradient(t) += activation d(t) + temporal (e(t) - e(t+1)),    e(t) = h(t) - h(t-1)
// d(t) counts as 0 in rows that predict nothing: the rows before `first` and those whose target is
// NONE. So does e(t), and also at the window's first step and, with RESETS, where the input is the
// boundary.
struct Arguments {
    count: u32,
    columns: u32,
    batch: u32,
    first: u32,
    gradient_offset: u32,
    states_offset: u32,
    output_offset: u32,
    targets_offset: u32,
    inputs_offset: u32,
    activation: f32,
    temporal: f32,
}

override RESETS: bool = false;

@group(0) @binding(0) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> output: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read> inputs: array<u32>;

fn predicts(row: u32) -> bool {
    return row >= arguments.first && targets[arguments.targets_offset + row] != NONE;
}

// e of element i: the change of a state since the step before.
fn change(i: u32, row: u32) -> f32 {
    if row < arguments.batch || !predicts(row) { return 0.0; }
    if RESETS && inputs[arguments.inputs_offset + row] == 0u { return 0.0; }
    let after = arguments.states_offset + i;
    return states[after] - states[after - arguments.batch * arguments.columns];
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let row = i / arguments.columns;
    let next = i + arguments.batch * arguments.columns;
    var difference = change(i, row);
    if next < arguments.count { difference -= change(next, row + arguments.batch); }
    var sum = arguments.temporal * difference;
    if predicts(row) { sum += arguments.activation * output[arguments.output_offset + i]; }
    gradient[arguments.gradient_offset + i] += sum;
}
