// Layer normalization of rows, forward and backward. With x̂ = (x - mean(x)) / √(var(x) + ε):
//
// forward:  output = gain x̂, or with ACCUMULATE output += gain x̂
// backward: with d = gain dy, dx = (d - mean(d) - x̂ mean(d x̂)) / √(var(x) + ε). The input is
//           replaced by x̂ dy, whose sums over the rows are the gain's gradient.
//
// One workgroup per row; online_softmax.wgsl and workgroup_reduction.wgsl follow.
struct Arguments {
    rows: u32,
    columns: u32,
    input_offset: u32,
    gain_offset: u32,
    output_offset: u32,
    gradient_offset: u32,
}

override ACCUMULATE: bool = false;

const LANES = 256u;
const VARIANCE_OFFSET = 1e-5;

@group(0) @binding(0) var<storage, read_write> input: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
// forward.
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
// backward: dy.
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
// backward: dx.
@group(0) @binding(3) var<storage, read_write> input_gradient: array<f32>;

// The mean of a row, and the inverse of its standard deviation.
struct Statistics { mean: f32, scale: f32 }

fn statistics(lane: u32, first: u32) -> Statistics {
    let count = f32(arguments.columns);
    var sum = 0.0;
    for (var i = lane; i < arguments.columns; i += LANES) {
        sum += input[first + i];
    }
    let mean = all_values(lane, sum) / count;
    var squares = 0.0;
    for (var i = lane; i < arguments.columns; i += LANES) {
        let difference = input[first + i] - mean;
        squares += difference * difference;
    }
    let variance = all_values(lane, squares) / count;
    return Statistics(mean, 1.0 / sqrt(variance + VARIANCE_OFFSET));
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let first = arguments.input_offset + row * arguments.columns;
    let of_row = statistics(lane, first);
    for (var i = lane; i < arguments.columns; i += LANES) {
        let normalized = (input[first + i] - of_row.mean) * of_row.scale;
        let position = arguments.output_offset + row * arguments.columns + i;
        var value = gain[arguments.gain_offset + i] * normalized;
        if ACCUMULATE { value += output[position]; }
        output[position] = value;
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups);
    if row >= arguments.rows { return; }
    let first = arguments.input_offset + row * arguments.columns;
    let base = arguments.output_offset + row * arguments.columns;
    let to = arguments.gradient_offset + row * arguments.columns;
    let of_row = statistics(lane, first);
    var sum = 0.0;
    var products = 0.0;
    for (var i = lane; i < arguments.columns; i += LANES) {
        let normalized = (input[first + i] - of_row.mean) * of_row.scale;
        let scaled = gain[arguments.gain_offset + i] * output_gradient[base + i];
        sum += scaled;
        products += scaled * normalized;
    }
    let count = f32(arguments.columns);
    let mean = all_values(lane, sum) / count;
    let mean_product = all_values(lane, products) / count;
    for (var i = lane; i < arguments.columns; i += LANES) {
        let normalized = (input[first + i] - of_row.mean) * of_row.scale;
        let received = output_gradient[base + i];
        let scaled = gain[arguments.gain_offset + i] * received;
        input_gradient[to + i] = (scaled - mean - normalized * mean_product) * of_row.scale;
        input[first + i] = normalized * received;
    }
}
