// Softmax cross-entropy. For every row of logits with target k, losses = -ln softmax(logits)_k.
// With GRADIENT, the logits are replaced by their gradient, scale (softmax(logits) - onehot(k));
// with PROBABILITIES too, by scale softmax(logits). A target of NONE has loss 0 and gradient 0.
// With BIAS, the logits are the values of `logits` plus those of `bias`. One workgroup per row;
// softmax_row.wgsl follows.
struct Arguments {
    rows: u32,
    columns: u32,
    targets_offset: u32,
    losses_offset: u32,
    rows_per_target: u32,
    bias_offset: u32,
    scale: f32,
}

override GRADIENT: bool = true;
// Whether to use rnnlm's approximate exponential instead of e^x.
override RNNLM: bool = false;
override BIAS: bool = false;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

const LANES = 256u;

fn logit(row: Row, column: u32) -> f32 {
    let value = logits[row.first + column];
    if BIAS { return value + bias[arguments.bias_offset + column]; }
    return value;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups);
    if i >= arguments.rows { return; }
    let target_word = targets[arguments.targets_offset + i / arguments.rows_per_target];
    let scale = select(arguments.scale, 0.0, target_word == NONE);
    let row = Row(i * arguments.columns, arguments.columns, target_word, scale);
    let loss = process_row(lane, row);
    // Without a target the first invocation writes 0.
    if has_target(row, lane) || (target_word >= arguments.columns && lane == 0u) {
        losses[arguments.losses_offset + i] = loss;
    }
}
