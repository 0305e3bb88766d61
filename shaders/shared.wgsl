// The prelude of every shader, inserted after the declaration of `arguments`.

// The token for "no word": an unknown word in a vocabulary without <unk>, or padding. As an input
// its embedding is zero; as a target it is ignored.
const NONE: u32 = 0xffffffffu;

// The index of this workgroup in a list that the host spreads over x and y.
fn flat_workgroup(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

// Compares bits: a WGSL compiler may assume that NaN does not occur, and `min`, `max` and `clamp`
// may return either argument if one is NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// rnnlm's approximation of e^x: exact at integer powers of 2, linear in between. NaN stays NaN.
fn rnnlm_exp(x: f32) -> f32 {
    let power = max(x * 1.44269504, -126.0);
    let value = bitcast<f32>(u32(min((power + 126.942695) * 8388608.0, 2139094912.0)));
    return select(value, x, is_nan(x));
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

// 1 / (1 + e^-x) with rnnlm's exponential. NaN stays NaN.
fn rnnlm_sigmoid(x: f32) -> f32 {
    let value = 1.0 / (1.0 + rnnlm_exp(-clamp(x, -50.0, 50.0)));
    return select(value, x, is_nan(x));
}

// 1 / (1 + e^-x). NaN stays NaN. The absolute error is below 5e-7 and the relative error below 3e-5
// with the accuracy that WGSL guarantees: 3 + 2 |x| units in the last place for `exp`, 2.5 for a
// division whose divisor is below 2^126.
fn sigmoid(x: f32) -> f32 {
    let value = 1.0 / (1.0 + exp(-clamp(x, -87.0, 87.0)));
    return select(value, x, is_nan(x));
}

// The hyperbolic tangent with a relative error below 1e-6 under the same guarantees. NaN stays NaN.
// WGSL's own tanh has an error of up to 1e-5 and is NaN above 44 on some drivers
// (gpuweb/gpuweb#4458).
fn hyperbolic_tangent(x: f32) -> f32 {
    // In f32, tanh(x) is 1 from 9.02 on.
    let size = min(abs(x), 10.0);
    let square = size * size;
    // The polynomial of Cephes (Moshier 1989: `tanhf.c`) for small |x|, where the exponential form
    // suffers from cancellation.
    var p = -5.7049887e-3;
    p = p * square + 2.063909e-2;
    p = p * square - 5.373971e-2;
    p = p * square + 1.3331442e-1;
    p = p * square - 3.3333283e-1;
    let small = p * square * size + size;
    let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let value = select(large, small, size < 0.625);
    let signed = bitcast<f32>(bitcast<u32>(value) | (bitcast<u32>(x) & 0x80000000u));
    return select(signed, x, is_nan(x));
}

// f(z), where `kind` is 0 for sigmoid, 1 for tanh, 2 for relu, 3 for rnnlm's sigmoid. NaN stays
// NaN.
fn activate(kind: u32, z: f32) -> f32 {
    switch kind {
        case 0u: { return sigmoid(z); }
        case 1u: { return hyperbolic_tangent(z); }
        case 3u: { return rnnlm_sigmoid(z); }
        default: { return select(max(z, 0.0), z, is_nan(z)); }
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

// The nearest f16 value, ties to even; infinite beyond 65 504, and NaN for NaN. Not every adapter
// has f16, and those that have it may round differently.
fn round_to_half(value: f32) -> f32 {
    // Subnormal f16 values are multiples of 2^-24.
    if abs(value) < 6.103515625e-5 {
        return round(value * 16777216.0) * 5.9604644775390625e-8;
    }
    // Drops 13 bits of the fraction; the lowest remaining bit decides ties.
    let bits = bitcast<u32>(value);
    let size = bits & 0x7fffffffu;
    let rounded = (size + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
    // Above the bits of 65 504: infinity, or the bits of NaN, which are greater.
    let finite = select(max(size, 0x7f800000u), rounded, rounded <= 0x477fe000u);
    return bitcast<f32>(finite | (bits & 0x80000000u));
}
