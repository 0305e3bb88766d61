// Adds runs of a table, read as a flat array, to runs of the output. A run is truncated at the end
// of the table. Each record of `runs` holds an offset in the output, a length, and the offsets in
// the table of the `order` runs that are added there; NONE means no run. One workgroup per record.
struct Arguments {
    count: u32,
    order: u32,
    // The range of the table's elements that the bound shard holds.
    first_element: u32,
    end_element: u32,
    runs_offset: u32,
    output_offset: u32,
}

@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> runs: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let record = flat_workgroup(workgroup, workgroups);
    if record >= arguments.count { return; }
    let fields = arguments.runs_offset + (2u + arguments.order) * record;
    let first_output = arguments.output_offset + runs[fields];
    let length = runs[fields + 1u];
    for (var i = lane; i < length; i += 64u) {
        var sum = 0.0;
        for (var run = 0u; run < arguments.order; run++) {
            let start = runs[fields + 2u + run];
            if start == NONE { continue; }
            let element = start + i;
            // The dispatches for the other shards add the elements of those shards.
            if element >= arguments.first_element && element < arguments.end_element {
                sum += table[element - arguments.first_element];
            }
        }
        output[first_output + i] += sum;
    }
}
