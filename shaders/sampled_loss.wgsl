// Losses of targets against a sample of words that all rows share, and their gradients in the place
// of the logits. `words` and `corrections` are those of the rows' targets and, behind them, those
// of the sample. a = logit - correction; NCE false: -ln softmax over target and sample, without the
// words that are the target; true: softplus(-a) of the target and softplus(a) of the sample. One
// workgroup a row.
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

// Each lane's largest corrected logit and its sum: of exponentials below it, or of losses.
var<workgroup> largest: array<f32, 256>;
var<workgroup> sums: array<f32, 256>;

// ln(1 + e^x) and its derivative.
fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}

fn sigmoid(x: f32) -> f32 {
    let power = exp(-abs(x));
    return select(1.0, power, x < 0.0) / (1.0 + power);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let first = arguments.sample_offset + row * arguments.columns;
    let of_sample = arguments.corrections_offset + arguments.rows;
    let target_word = words[arguments.words_offset + row];
    let scale = select(arguments.scale, 0.0, target_word == NONE);
    let own = targets[arguments.targets_offset + row]
        - corrections[arguments.corrections_offset + row];

    // The target is lane 0's first.
    var top = LOWEST;
    var sum = 0.0;
    if lane == 0u {
        if NCE { sum = softplus(-own); } else { top = own; sum = 1.0; }
    }
    for (var column = lane; column < arguments.columns; column += 256u) {
        let a = sample[first + column] - corrections[of_sample + column];
        if NCE {
            sum += softplus(a);
        } else if words[arguments.words_offset + arguments.rows + column] != target_word {
            // When a larger logit comes, the sum so far shrinks to its measure.
            if a > top {
                sum = sum * exp(top - a) + 1.0;
                top = a;
            } else {
                sum += exp(a - top);
            }
        }
    }
    largest[lane] = top;
    sums[lane] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            if NCE {
                sums[lane] += sums[lane + half];
            } else {
                let other = largest[lane + half];
                let joint = max(largest[lane], other);
                sums[lane] = sums[lane] * exp(largest[lane] - joint)
                    + sums[lane + half] * exp(other - joint);
                largest[lane] = joint;
            }
        }
    }
    workgroupBarrier();
    let log_sum = largest[0] + log(sums[0]);
    if lane == 0u {
        var loss = log_sum - own;
        var gradient = exp(own - log_sum) - 1.0;
        if NCE {
            loss = sums[0];
            gradient = -sigmoid(-own);
        }
        losses[arguments.losses_offset + row] = select(loss, 0.0, target_word == NONE);
        targets[arguments.targets_offset + row] = scale * gradient;
    }
    for (var column = lane; column < arguments.columns; column += 256u) {
        let a = sample[first + column] - corrections[of_sample + column];
        var gradient = 0.0;
        if NCE {
            gradient = sigmoid(a);
        } else if words[arguments.words_offset + arguments.rows + column] != target_word {
            gradient = exp(a - log_sum);
        }
        sample[first + column] = scale * gradient;
    }
}
