// Sums of exponentials relative to the largest value, computed in one pass: a part of shaders that
// declare LANES, the invocations of a workgroup. subgroup_reduction.wgsl or
// workgroup_reduction.wgsl follows.
struct Exponentials {
    // The largest value so far.
    top: f32,
    // The sum of e^(value - top).
    sum: f32,
}

// Each invocation's sums or, with subgroups, each subgroup's.
var<workgroup> largest: array<f32, LANES>;
var<workgroup> sums: array<f32, LANES>;

// A new maximum rescales the sum so far. NaN makes the sum NaN.
fn with_value(sum: Exponentials, value: f32) -> Exponentials {
    if value > sum.top {
        return Exponentials(value, sum.sum * exp(sum.top - value) + 1.0);
    }
    return Exponentials(sum.top, sum.sum + exp(value - sum.top));
}

fn joined(a: Exponentials, b: Exponentials) -> Exponentials {
    let top = max(a.top, b.top);
    return Exponentials(top, a.sum * exp(a.top - top) + b.sum * exp(b.top - top));
}
