// Softmax and cross-entropy of rows of different lengths. Each record of `rows` holds the offset of
// the row in `logits`, its length, its target, and the index in `losses` that its loss is added to.
// With GRADIENT, the logits are replaced by their gradient, scale (softmax(logits) -
// onehot(target)). One workgroup per row; softmax_row.wgsl follows.
struct Arguments {
    count: u32,
    logits_offset: u32,
    rows_offset: u32,
    losses_offset: u32,
    scale: f32,
}

override GRADIENT: bool = true;
// Whether to use rnnlm's approximate exponential instead of e^x.
override RNNLM: bool = false;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

const LANES = 64u;

fn logit(row: Row, column: u32) -> f32 {
    return logits[row.first + column];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups);
    if i >= arguments.count { return; }
    let field = arguments.rows_offset + 4u * i;
    let first = arguments.logits_offset + rows[field];
    let row = Row(first, rows[field + 1u], rows[field + 2u], arguments.scale);
    let loss = process_row(lane, row);
    if has_target(row, lane) { losses[arguments.losses_offset + rows[field + 3u]] += loss; }
}
