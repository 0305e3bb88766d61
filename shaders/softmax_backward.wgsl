// Back through a softmax, of which `probabilities` has the values p and `gradient` the gradient d
// of p. Replaces p by the gradient of the logits, with that of a cross-entropy of the target k:
//     scale (p - onehot(k)) + p (d - sum of p d)
// Without a target the first term is 0. One workgroup per row; online_softmax.wgsl follows.
struct Arguments {
    rows: u32,
    columns: u32,
    probabilities_offset: u32,
    gradient_offset: u32,
    targets_offset: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;

const LANES = 256u;

// Invocation i reads and writes the columns i, i + LANES, ... and no others, so that storage needs
// no barrier.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let p_first = arguments.probabilities_offset + row * arguments.columns;
    let d_first = arguments.gradient_offset + row * arguments.columns;
    let target_word = targets[arguments.targets_offset + row];
    let scale = select(arguments.scale, 0.0, target_word == NONE);
    var own = 0.0;
    for (var column = lane; column < arguments.columns; column += LANES) {
        own += probabilities[p_first + column] * gradient[d_first + column];
    }
    let mean = all_values(lane, own);
    for (var column = lane; column < arguments.columns; column += LANES) {
        let p = probabilities[p_first + column];
        let expected = select(0.0, 1.0, column == target_word);
        let d = gradient[d_first + column];
        probabilities[p_first + column] = scale * (p - expected) + p * (d - mean);
    }
}
