// Sums over a workgroup, in workgroup memory: a part of shaders with online_softmax.wgsl, for
// adapters without subgroups. All invocations must call these functions together.

// The sum of all invocations' exponentials.
fn all_exponentials(lane: u32, own: Exponentials) -> Exponentials {
    largest[lane] = own.top;
    sums[lane] = own.sum;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let sum = joined(
                Exponentials(largest[lane], sums[lane]),
                Exponentials(largest[lane + half], sums[lane + half]),
            );
            largest[lane] = sum.top;
            sums[lane] = sum.sum;
        }
    }
    workgroupBarrier();
    let total = Exponentials(largest[0], sums[0]);
    // The sums may be overwritten once every invocation has read the first.
    workgroupBarrier();
    return total;
}

// The sum of all invocations' values.
fn all_values(lane: u32, own: f32) -> f32 {
    sums[lane] = own;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half { sums[lane] += sums[lane + half]; }
    }
    workgroupBarrier();
    let total = sums[0];
    workgroupBarrier();
    return total;
}
