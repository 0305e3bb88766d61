// Put in front of every shader, after the line that says where `arguments` lie.

// The token that stands for "no word": an unknown word without <unk>, or padding. Its input is a
// row of zeros; it is never predicted.
const NONE: u32 = 0xffffffffu;

// The number of this workgroup when the host spread a list of workgroups over x and y.
fn flat_workgroup(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

// e^x as rnnlm computes it: 2 to a whole power exactly, and a straight line between two of these.
fn rnnlm_exp(x: f32) -> f32 {
    let power = max(x * 1.44269504, -126.0);
    return bitcast<f32>(u32(min((power + 126.942695) * 8388608.0, 2139094912.0)));
}

// Below every logit.
const LOWEST: f32 = -3.4e38;

// -ln of a logit's probability, and the probability, under a softmax with rnnlm's exponential or
// the exact one; log_sum is ln of the sum of exponentials, with the highest logit added back.
fn softmax_loss(rnnlm: bool, logit: f32, highest: f32, log_sum: f32) -> f32 {
    if rnnlm { return log_sum - highest - log(rnnlm_exp(logit - highest)); }
    return log_sum - logit;
}

fn softmax_probability(rnnlm: bool, logit: f32, highest: f32, log_sum: f32) -> f32 {
    if rnnlm { return rnnlm_exp(logit - highest) * exp(highest - log_sum); }
    return exp(logit - log_sum);
}

// f(z) and, from y = f(z), f'(z). ACTIVATION: 0 sigmoid, 1 tanh, 2 relu, 3 rnnlm's sigmoid.
fn activate(kind: u32, z: f32) -> f32 {
    switch kind {
        case 0u: { return 1.0 / (1.0 + exp(-clamp(z, -80.0, 80.0))); }
        // Some drivers compute tanh from exponentials that overflow to NaN beyond |z| of 44
        // (gpuweb/gpuweb#4458); f32's tanh is 1 from 10 on.
        case 1u: { return tanh(clamp(z, -15.0, 15.0)); }
        case 3u: { return 1.0 / (1.0 + rnnlm_exp(-clamp(z, -50.0, 50.0))); }
        default: { return max(z, 0.0); }
    }
}

fn activation_derivative(kind: u32, y: f32) -> f32 {
    switch kind {
        case 0u, 3u: { return y * (1.0 - y); }
        case 1u: { return 1.0 - y * y; }
        default: { return select(0.0, 1.0, y > 0.0); }
    }
}

// The nearest number of f16, ties to even; infinite beyond 65 504. Not every adapter has f16
// itself, and those that have it may round otherwise.
fn round_to_half(value: f32) -> f32 {
    // Below f16's normal numbers all are multiples of 2^-24.
    if abs(value) < 6.103515625e-5 { return round(value * 16777216.0) * 5.9604644775390625e-8; }
    // Thirteen of the fraction's digits go, the last that stays decides a tie.
    let bits = bitcast<u32>(value);
    let rounded = bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
    let infinite = bitcast<f32>((bits & 0x80000000u) | 0x7f800000u);
    return select(rounded, infinite, abs(rounded) > 65504.0);
}
