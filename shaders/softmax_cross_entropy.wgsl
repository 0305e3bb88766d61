// Softmax cross-entropy. For every row of logits with target k, losses = -ln softmax(logits)_k.
// With GRADIENT, the logits are replaced by their gradient, scale (softmax(logits) - onehot(k)). A
// target of NONE has loss 0 and gradient 0. One workgroup per row.
struct Arguments { rows: u32, columns: u32, targets_offset: u32, losses_offset: u32, scale: f32 }

override GRADIENT: bool = true;
// Whether to use rnnlm's approximate exponential instead of e^x.
override RNNLM: bool = false;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

// Each lane's largest logit, and its sum of exponentials relative to that logit.
var<workgroup> largest: array<f32, 256>;
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let first = row * arguments.columns;
    let target_word = targets[arguments.targets_offset + row];
    let scale = select(arguments.scale, 0.0, target_word == NONE);

    // One pass over the row: a new maximum rescales the sum so far. rnnlm's exponential cannot be
    // rescaled and needs a second pass.
    var top = LOWEST;
    var sum = 0.0;
    for (var column = lane; column < arguments.columns; column += 256u) {
        let logit = logits[first + column];
        if logit > top {
            sum = sum * exp(top - logit) + 1.0;
            top = logit;
        } else {
            sum += exp(logit - top);
        }
    }
    largest[lane] = top;
    sums[lane] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let other = largest[lane + half];
            let larger = max(largest[lane], other);
            sums[lane] = sums[lane] * exp(largest[lane] - larger)
                + sums[lane + half] * exp(other - larger);
            largest[lane] = larger;
        }
    }
    workgroupBarrier();
    let highest = largest[0];
    if RNNLM {
        workgroupBarrier();
        sum = 0.0;
        for (var column = lane; column < arguments.columns; column += 256u) {
            sum += rnnlm_exp(logits[first + column] - highest);
        }
        sums[lane] = sum;
        for (var half = 128u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if lane < half { sums[lane] += sums[lane + half]; }
        }
        workgroupBarrier();
    }
    let log_sum = log(sums[0]);
    if lane == 0u {
        var loss = 0.0;
        if target_word < arguments.columns {
            loss = softmax_loss(RNNLM, logits[first + target_word] - highest, log_sum);
        }
        losses[arguments.losses_offset + row] = loss;
    }
    if GRADIENT {
        // Lane 0 has read the target's logit before the row is overwritten.
        storageBarrier();
        workgroupBarrier();
        for (var column = lane; column < arguments.columns; column += 256u) {
            let relative = logits[first + column] - highest;
            let probability = softmax_probability(RNNLM, relative, log_sum);
            let expected = select(0.0, 1.0, column == target_word);
            logits[first + column] = scale * (probability - expected);
        }
    }
}
