// dense_2, an entry point of optimizers for the dense gradients of two parameters: the end of the
// files of optimizers that bind at most three buffers for a parameter, behind update.wgsl. They
// declare `gradient_1` and `update_1` for the second parameter.

// An element of one of up to three parameters.
struct Element { parameter: u32, i: u32 }

// The element of an invocation: the workgroups of a parameter follow those of the one before.
fn element(group: u32, lane: u32) -> Element {
    let first = (arguments.count + 255u) / 256u;
    if group < first { return Element(0u, group * 256u + lane); }
    let second = first + (arguments.count_1 + 255u) / 256u;
    if group < second { return Element(1u, (group - first) * 256u + lane); }
    return Element(2u, (group - second) * 256u + lane);
}

@compute @workgroup_size(256)
fn dense_2(
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
}
