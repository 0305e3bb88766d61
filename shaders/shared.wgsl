// The prelude of every shader, inserted after the declaration of `arguments`.

// The token for "no word": an unknown word in a vocabulary without <unk>, or padding. As an input
// its embedding is zero; as a target it is ignored.
const NONE: u32 = 0xffffffffu;

// The index of this workgroup in a list that the host spreads over x and y.
fn flat_workgroup(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

// rnnlm's approximation of e^x: exact at integer powers of 2, linear in between.
fn rnnlm_exp(x: f32) -> f32 {
    let power = max(x * 1.44269504, -126.0);
    return bitcast<f32>(u32(min((power + 126.942695) * 8388608.0, 2139094912.0)));
}

// Less than every logit.
const LOWEST: f32 = -3.4e38;

// The loss -ln p of a logit under a softmax with the exact exponential or rnnlm's. `relative` is
// the logit minus the highest one, `log_sum` the ln of the sum of the exponentials of such
// differences. Large logits cancel in the difference, which is exact where they are close.
fn softmax_loss(rnnlm: bool, relative: f32, log_sum: f32) -> f32 {
    if rnnlm { return log_sum - log(rnnlm_exp(relative)); }
    return log_sum - relative;
}

// The probability of a logit under the same softmax.
fn softmax_probability(rnnlm: bool, relative: f32, log_sum: f32) -> f32 {
    if rnnlm { return rnnlm_exp(relative) * exp(-log_sum); }
    return exp(relative - log_sum);
}

// f(z), where `kind` is 0 for sigmoid, 1 for tanh, 2 for relu, 3 for rnnlm's sigmoid.
fn activate(kind: u32, z: f32) -> f32 {
    switch kind {
        case 0u: { return 1.0 / (1.0 + exp(-clamp(z, -80.0, 80.0))); }
        // Some drivers compute tanh from exponentials that overflow to NaN for |z| above 44
        // (gpuweb/gpuweb#4458). In f32, tanh(z) is 1 for z of 10 or more.
        case 1u: { return tanh(clamp(z, -15.0, 15.0)); }
        case 3u: { return 1.0 / (1.0 + rnnlm_exp(-clamp(z, -50.0, 50.0))); }
        default: { return max(z, 0.0); }
    }
}

// f'(z) from y = f(z).
fn activation_derivative(kind: u32, y: f32) -> f32 {
    switch kind {
        case 0u, 3u: { return y * (1.0 - y); }
        case 1u: { return 1.0 - y * y; }
        default: { return select(0.0, 1.0, y > 0.0); }
    }
}

// The nearest f16 value, ties to even; infinite beyond 65 504. Not every adapter has f16, and those
// that have it may round differently.
fn round_to_half(value: f32) -> f32 {
    // Subnormal f16 values are multiples of 2^-24.
    if abs(value) < 6.103515625e-5 {
        return round(value * 16777216.0) * 5.9604644775390625e-8;
    }
    // Drops 13 bits of the fraction; the lowest remaining bit decides ties.
    let bits = bitcast<u32>(value);
    let rounded = bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
    let infinite = bitcast<f32>((bits & 0x80000000u) | 0x7f800000u);
    return select(rounded, infinite, abs(rounded) > 65504.0);
}
