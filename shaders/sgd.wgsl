// Stochastic gradient descent: parameter -= rate scale gradient. The entry points are those of
// update.wgsl and update_two.wgsl, and dense_3, for the dense gradients of three parameters.

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
// dense_2 and dense_3.
@group(0) @binding(3) var<storage, read_write> parameter_1: array<f32>;
@group(0) @binding(4) var<storage, read> gradient_1: array<f32>;
@group(0) @binding(5) var<storage, read_write> parameter_2: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_2: array<f32>;
// sparse.
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read> order: array<u32>;

// What is subtracted from an element.
fn change(g: f32, rate: f32) -> f32 {
    return rate * g;
}

fn update(i: u32, g: f32) {
    parameter[i] -= change(g, arguments.rate);
}

fn update_1(i: u32, g: f32) {
    parameter_1[i] -= change(g, arguments.rate_1);
}

fn update_row(i: u32, g: f32) {
    update(i, g);
}

@compute @workgroup_size(256)
fn dense_3(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = element(flat_workgroup(workgroup, workgroups), lane);
    if at.parameter == 0u && at.i < arguments.count {
        update(at.i, scale[0] * gradient[at.i]);
    }
    if at.parameter == 1u && at.i < arguments.count_1 {
        update_1(at.i, scale[0] * gradient_1[at.i]);
    }
    if at.parameter == 2u && at.i < arguments.count_2 {
        parameter_2[at.i] -= change(scale[0] * gradient_2[at.i], arguments.rate_2);
    }
}
