// The gate of a round of a mogrifier: y = 2 sigmoid(a + bias) b, and its gradients.
//
// forward:  gates = 2 sigmoid(gates + bias), output = gates * input
// backward: with g the gates from forward, gates = gradient * input * g (1 - g / 2),
//           gradient = gradient * g
struct Arguments {
    count: u32,
    columns: u32,
    gates_offset: u32,
    input_offset: u32,
    output_offset: u32,
    bias_offset: u32,
}

// forward: whether there is a bias.
override HAS_BIAS: bool = false;

@group(0) @binding(0) var<storage, read_write> gates: array<f32>;
// forward
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
// backward: at `output_offset`.
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    var z = gates[arguments.gates_offset + i];
    if HAS_BIAS { z += bias[arguments.bias_offset + i % arguments.columns]; }
    let gate = 2.0 * sigmoid(z);
    gates[arguments.gates_offset + i] = gate;
    output[arguments.output_offset + i] = gate * input[arguments.input_offset + i];
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let gate = gates[arguments.gates_offset + i];
    let above = gradient[arguments.output_offset + i];
    let value = input[arguments.input_offset + i];
    gates[arguments.gates_offset + i] = above * value * (gate * (1.0 - 0.5 * gate));
    gradient[arguments.output_offset + i] = above * gate;
}
