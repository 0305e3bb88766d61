// Losses of targets against a sample of words shared by all rows. The logits are replaced by their
// gradients. `words` and `corrections` hold the entries of the rows' targets, followed by those of
// the sample. One workgroup per row.
//
// With a = logit - correction, the loss of a row is
// NCE false: -ln of the target's softmax probability among target and sample, where sampled words
//            equal to the target are skipped;
// NCE true:  softplus(-a) for the target plus the sum of softplus(a) over the sample.
struct Arguments {
    rows: u32,
    columns: u32,
    sample_offset: u32,
    targets_offset: u32,
    words_offset: u32,
    corrections_offset: u32,
    losses_offset: u32,
    scale: f32,
}

override NCE: bool = false;

@group(0) @binding(0) var<storage, read_write> sample: array<f32>;
@group(0) @binding(1) var<storage, read_write> targets: array<f32>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read> corrections: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;

const LANES = 256u;

// ln(1 + e^x). Its derivative is the sigmoid.
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let first = arguments.sample_offset + row * arguments.columns;
    let sample_words = arguments.words_offset + arguments.rows;
    let sample_corrections = arguments.corrections_offset + arguments.rows;
    let target_word = words[arguments.words_offset + row];
    let scale = select(arguments.scale, 0.0, target_word == NONE);
    // The target's corrected logit.
    let target_logit = targets[arguments.targets_offset + row]
        - corrections[arguments.corrections_offset + row];

    // Lane 0 starts with the target. For NCE, the sum is that of losses.
    var own = Exponentials(LOWEST, 0.0);
    if lane == 0u {
        if NCE {
            own.sum = softplus(-target_logit);
        } else {
            own = Exponentials(target_logit, 1.0);
        }
    }
    for (var column = lane; column < arguments.columns; column += LANES) {
        let a = sample[first + column] - corrections[sample_corrections + column];
        if NCE {
            own.sum += softplus(a);
        } else if words[sample_words + column] != target_word {
            own = with_value(own, a);
        }
    }
    var total = own;
    if NCE {
        total.sum = all_values(lane, own.sum);
    } else {
        total = all_exponentials(lane, own);
    }
    // Of the exponentials relative to the highest logit: large logits cancel.
    let highest = total.top;
    let log_sum = log(total.sum);
    if lane == 0u {
        let relative = target_logit - highest;
        var loss = log_sum - relative;
        var gradient = exp(relative - log_sum) - 1.0;
        if NCE {
            loss = total.sum;
            gradient = -sigmoid(-target_logit);
        }
        losses[arguments.losses_offset + row] = select(loss, 0.0, target_word == NONE);
        targets[arguments.targets_offset + row] = scale * gradient;
    }
    for (var column = lane; column < arguments.columns; column += LANES) {
        let a = sample[first + column] - corrections[sample_corrections + column];
        var gradient = 0.0;
        if NCE {
            gradient = sigmoid(a);
        } else if words[sample_words + column] != target_word {
            gradient = exp((a - highest) - log_sum);
        }
        sample[first + column] = scale * gradient;
    }
}
