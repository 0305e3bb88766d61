// values = min(max(values, -maximum), maximum). NaN stays NaN.
struct Arguments { count: u32, maximum: f32 }

@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    let value = values[i];
    if is_nan(value) { return; }
    if value > arguments.maximum { values[i] = arguments.maximum; }
    if value < -arguments.maximum { values[i] = -arguments.maximum; }
}
