// Losses of targets under mixtures of softmaxes. `components` has -ln of the target's probability
// under each of the `columns` softmaxes of a row, and `prior` the logits of their weights:
//     joint_k = ln softmax(prior)_k - components_k        losses = -ln of the sum of e^joint
// With GRADIENT, `components` is replaced by the responsibilities r = softmax(joint), and `prior`
// by its gradient, scale (softmax(prior) - r). Without a target all of them are 0. One invocation
// per row.
struct Arguments {
    rows: u32,
    columns: u32,
    prior_offset: u32,
    components_offset: u32,
    targets_offset: u32,
    losses_offset: u32,
    scale: f32,
}

override GRADIENT: bool = true;

@group(0) @binding(0) var<storage, read_write> prior: array<f32>;
@group(0) @binding(1) var<storage, read_write> components: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;

// The largest of some values and the ln of the sum of the exponentials relative to it.
struct LogSum { top: f32, log_sum: f32 }

fn prior_logit(row: u32, k: u32) -> f32 {
    return prior[arguments.prior_offset + row * arguments.columns + k];
}

fn prior_sum(row: u32) -> LogSum {
    // NaN is skipped here: its exponential makes the sum NaN.
    var top = LOWEST;
    for (var k = 0u; k < arguments.columns; k++) {
        let value = prior_logit(row, k);
        top = select(top, value, value > top);
    }
    var sum = 0.0;
    for (var k = 0u; k < arguments.columns; k++) { sum += exp(prior_logit(row, k) - top); }
    return LogSum(top, log(sum));
}

// ln of the probability of softmax k and the target. Large logits cancel first.
fn joint(row: u32, k: u32, total: LogSum) -> f32 {
    let component = components[arguments.components_offset + row * arguments.columns + k];
    return ((prior_logit(row, k) - total.top) - total.log_sum) - component;
}

fn joint_sum(row: u32, of_prior: LogSum) -> LogSum {
    var top = LOWEST;
    for (var k = 0u; k < arguments.columns; k++) {
        let value = joint(row, k, of_prior);
        top = select(top, value, value > top);
    }
    var sum = 0.0;
    for (var k = 0u; k < arguments.columns; k++) { sum += exp(joint(row, k, of_prior) - top); }
    return LogSum(top, log(sum));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups) * 64u + lane;
    if row >= arguments.rows { return; }
    let is_predicted = targets[arguments.targets_offset + row] != NONE;
    let of_prior = prior_sum(row);
    let total = joint_sum(row, of_prior);
    let loss = -(total.top + total.log_sum);
    losses[arguments.losses_offset + row] = select(0.0, loss, is_predicted);
    if !GRADIENT { return; }
    for (var k = 0u; k < arguments.columns; k++) {
        let weight = exp((prior_logit(row, k) - of_prior.top) - of_prior.log_sum);
        let responsibility = exp((joint(row, k, of_prior) - total.top) - total.log_sum);
        let gradient = arguments.scale * (weight - responsibility);
        let place = row * arguments.columns + k;
        components[arguments.components_offset + place] = select(0.0, responsibility, is_predicted);
        prior[arguments.prior_offset + place] = select(0.0, gradient, is_predicted);
    }
}
