// The gradient of the table of add_runs: for each block of 32 table elements that a run overlaps,
// the sum of the output gradients that the elements receive. The segments of block p are
// segment_starts[p]..segment_starts[p + 1]. A segment describes a run that overlaps the block: the
// offset of the run in `gradient`, the position of the run's first element relative to the block's
// (negative if the run starts before the block), and the run's length. One lane per element.
struct Arguments {
    blocks: u32,
    segment_starts_offset: u32,
    segments_offset: u32,
    gradient_offset: u32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> segment_starts: array<u32>;
@group(0) @binding(2) var<storage, read> segments: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 64u + lane;
    let block = i / 32u;
    if block >= arguments.blocks { return; }
    let start = segment_starts[arguments.segment_starts_offset + block];
    let end = segment_starts[arguments.segment_starts_offset + block + 1u];
    var sum = 0.0;
    for (var segment = start; segment < end; segment++) {
        let fields = arguments.segments_offset + 3u * segment;
        // For elements before the run this wraps around and exceeds the length of every run.
        let position = i % 32u - segments[fields + 1u];
        if position < segments[fields + 2u] {
            sum += gradient[arguments.gradient_offset + segments[fields] + position];
        }
    }
    sums[i] = sum;
}
