// Adds runs of a table, read as one long row, to runs of the output; where the table ends, so do
// they. Record i of `runs`: where in the output, how many numbers, and where in the table the
// `order` runs begin that are added there; NONE stands for no run. One workgroup a record.
struct Arguments {
    count: u32,
    order: u32,
    first: u32,
    end: u32,
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
    let place = arguments.output_offset + runs[fields];
    let length = runs[fields + 1u];
    for (var i = lane; i < length; i += 64u) {
        var sum = 0.0;
        for (var number = 0u; number < arguments.order; number++) {
            let begin = runs[fields + 2u + number];
            if begin == NONE { continue; }
            let entry = begin + i;
            // Numbers of another piece of the table are added by another dispatch; none come after
            // the last.
            if entry >= arguments.first && entry < arguments.end {
                sum += table[entry - arguments.first];
            }
        }
        output[place + i] += sum;
    }
}
