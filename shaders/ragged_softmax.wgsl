// Softmax and cross-entropy of rows of different lengths. Each record of `rows` holds the offset of
// the row in `logits`, its length, its target, and the index in `losses` that its loss is added to.
// With GRADIENT, the logits are replaced by their gradient, scale (softmax(logits) -
// onehot(target)). One workgroup per row.
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

// Each lane's largest logit, and its sum of exponentials relative to that logit.
var<workgroup> largest: array<f32, 64>;
var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.count { return; }
    let first_field = arguments.rows_offset + 4u * row;
    let first = arguments.logits_offset + rows[first_field];
    let length = rows[first_field + 1u];
    let target_word = rows[first_field + 2u];

    // One pass over the row: a new maximum rescales the sum so far. rnnlm's exponential cannot be
    // rescaled and needs a second pass.
    var top = LOWEST;
    var sum = 0.0;
    for (var column = lane; column < length; column += 64u) {
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
    for (var half = 32u; half > 0u; half /= 2u) {
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
        for (var column = lane; column < length; column += 64u) {
            sum += rnnlm_exp(logits[first + column] - highest);
        }
        sums[lane] = sum;
        for (var half = 32u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if lane < half { sums[lane] += sums[lane + half]; }
        }
        workgroupBarrier();
    }
    let log_sum = log(sums[0]);
    if lane == 0u && target_word < length {
        let loss = softmax_loss(RNNLM, logits[first + target_word] - highest, log_sum);
        losses[arguments.losses_offset + rows[first_field + 3u]] += loss;
    }
    if GRADIENT {
        // Lane 0 has read the target's logit before the row is overwritten.
        storageBarrier();
        workgroupBarrier();
        for (var column = lane; column < length; column += 64u) {
            let relative = logits[first + column] - highest;
            let probability = softmax_probability(RNNLM, relative, log_sum);
            let expected = select(0.0, 1.0, column == target_word);
            logits[first + column] = arguments.scale * (probability - expected);
        }
    }
}
