// For every row of logits and its target k: losses = -ln softmax(logits)_k and, where GRADIENT,
// logits become the gradient scale (softmax(logits) - onehot(k)). A target of NONE has no loss and
// no gradient. One workgroup a row.
struct Arguments { rows: u32, columns: u32, targets_offset: u32, losses_offset: u32, scale: f32 }

override GRADIENT: bool = true;
// Whether rnnlm's exponential takes the place of e^x.
override RNNLM: bool = false;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

// Each lane's largest logit and the sum of exponentials below it.
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

    // One reading of the row: when a larger logit comes, the sum so far shrinks to its measure.
    // rnnlm's exponential does not shrink so, and is summed in another reading.
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
    let log_sum = highest + log(sums[0]);
    if lane == 0u {
        var loss = 0.0;
        if target_word < arguments.columns {
            loss = softmax_loss(RNNLM, logits[first + target_word], highest, log_sum);
        }
        losses[arguments.losses_offset + row] = loss;
    }
    if GRADIENT {
        // The target's logit was read above, before anything of the row is overwritten.
        storageBarrier();
        workgroupBarrier();
        for (var column = lane; column < arguments.columns; column += 256u) {
            let probability = softmax_probability(RNNLM, logits[first + column], highest, log_sum);
            logits[first + column] =
                scale * (probability - select(0.0, 1.0, column == target_word));
        }
    }
}
