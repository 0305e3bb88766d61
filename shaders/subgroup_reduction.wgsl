// Sums over a workgroup, first over each subgroup: a part of shaders with online_softmax.wgsl, for
// adapters with subgroups. All invocations must call these functions together.

// Whether an invocation is the first of its subgroup, which stores the subgroup's result, and
// where: the index of the subgroup, whose invocations are neighbours.
struct Slot { is_first: bool, index: u32, count: u32 }

fn slot_of(lane: u32) -> Slot {
    let size = subgroupAdd(1u);
    return Slot(subgroupBroadcastFirst(lane) == lane, lane / size, LANES / size);
}

// The sum of all invocations' exponentials.
fn all_exponentials(lane: u32, own: Exponentials) -> Exponentials {
    let top = subgroupMax(own.top);
    let sum = subgroupAdd(own.sum * exp(own.top - top));
    let slot = slot_of(lane);
    if slot.is_first {
        largest[slot.index] = top;
        sums[slot.index] = sum;
    }
    workgroupBarrier();
    var highest = largest[0];
    for (var i = 1u; i < slot.count; i++) {
        highest = max(highest, largest[i]);
    }
    var total = 0.0;
    for (var i = 0u; i < slot.count; i++) {
        total += sums[i] * exp(largest[i] - highest);
    }
    // The sums may be overwritten once every invocation has read them.
    workgroupBarrier();
    return Exponentials(highest, total);
}

// The sum of all invocations' values.
fn all_values(lane: u32, own: f32) -> f32 {
    let sum = subgroupAdd(own);
    let slot = slot_of(lane);
    if slot.is_first { sums[slot.index] = sum; }
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < slot.count; i++) {
        total += sums[i];
    }
    workgroupBarrier();
    return total;
}
