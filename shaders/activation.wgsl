// An activation function and its derivative, element by element.
//
// forward:  values = f(values).
// backward: gradient *= f'(z), computed from the outputs f(z) in values.
struct Arguments { count: u32, values_offset: u32, gradient_offset: u32 }

override ACTIVATION: u32 = 0u;

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let position = arguments.values_offset + i;
    values[position] = activate(ACTIVATION, values[position]);
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let output = values[arguments.values_offset + i];
    gradient[arguments.gradient_offset + i] *= activation_derivative(ACTIVATION, output);
}
