// Softmax and cross-entropy of rows of any lengths. Record i of `rows`: where the row begins in
// `logits`, how long it is, its target, and the number of `losses` that its loss is added to. Where
// GRADIENT, logits become scale (softmax(logits) - onehot(target)). One workgroup a row.
struct Arguments {
    count: u32,
    logits_offset: u32,
    rows_offset: u32,
    losses_offset: u32,
    scale: f32,
}

override GRADIENT: bool = true;
// Whether rnnlm's exponential takes the place of e^x.
override RNNLM: bool = false;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

// Each lane's largest logit and the sum of exponentials below it.
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
    let goal = rows[first_field + 2u];

    // One reading of the row: when a larger logit comes, the sum so far shrinks to its measure.
    // rnnlm's exponential does not shrink so, and is summed in another reading.
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
            let joint = max(largest[lane], other);
            sums[lane] =
                sums[lane] * exp(largest[lane] - joint) + sums[lane + half] * exp(other - joint);
            largest[lane] = joint;
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
    let log_sum = highest + log(sums[0]);
    if lane == 0u && goal < length {
        losses[arguments.losses_offset
            + rows[first_field + 3u]] += softmax_loss(RNNLM, logits[first + goal], highest,
            log_sum);
    }
    if GRADIENT {
        // The target's logit was read above, before anything of the row is overwritten.
        storageBarrier();
        workgroupBarrier();
        for (var column = lane; column < length; column += 64u) {
            let probability = softmax_probability(RNNLM, logits[first + column], highest, log_sum);
            logits[first + column] =
                arguments.scale * (probability - select(0.0, 1.0, column == goal));
        }
    }
}
