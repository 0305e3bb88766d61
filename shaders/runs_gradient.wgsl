// The gradient of a table of which runs were added to rows: for each block of 32 numbers that a run
// touched, the sum of what reached it. Blocks p has the pieces begins[p] to begins[p + 1]; a piece
// says where in `gradient` its run begins, where the run begins behind the block's first number
// (or, as a negative number, before it), and its length. One lane a number.
struct Arguments { blocks: u32, begins_offset: u32, pieces_offset: u32, gradient_offset: u32 }

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> begins: array<u32>;
@group(0) @binding(2) var<storage, read> pieces: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = flat_workgroup(workgroup, workgroups) * 64u + lane;
    let block = number / 32u;
    if block >= arguments.blocks { return; }
    var sum = 0.0;
    for (var piece = begins[arguments.begins_offset + block]; piece < begins[arguments.begins_offset
        + block + 1u]; piece++) {
        let fields = arguments.pieces_offset + 3u * piece;
        // Wraps below 0 for numbers before the run's beginning, and is then longer than any run.
        let within = number % 32u - pieces[fields + 1u];
        if within < pieces[fields + 2u] {
            sum += gradient[arguments.gradient_offset + pieces[fields] + within];
        }
    }
    sums[number] = sum;
}
