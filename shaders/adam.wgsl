// Adam (Kingma and Ba 2015, as in PyTorch), with g = scale gradient:
//
//   first_moment = 0.9 first_moment + 0.1 g
//   second_moment = 0.999 second_moment + 0.001 g^2
//   parameter -= rate first_moment / (sqrt(second_moment) / sqrt_correction + 1e-8)
//
// `rate` is the learning rate divided by the first moment's bias correction, 1 - 0.9^step;
// `sqrt_correction` is the square root of the second moment's, sqrt(1 - 0.999^step).
//
// The gradient of a table is zero in most rows, but the moments of every row decay. `sparse` adds g
// to the moments, prescaled so that `dense`, which runs next without a gradient, completes the
// update above.
//
// The entry points are those of update.wgsl.

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> first_moment: array<f32>;
@group(0) @binding(2) var<storage, read_write> second_moment: array<f32>;
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read> tokens: array<u32>;
@group(0) @binding(6) var<storage, read> order: array<u32>;

// The gradient's weights are constants because 1 - 0.999 in f32 has a relative error of 1e-5.
const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const ONE_MINUS_BETA_1: f32 = 0.1;
const ONE_MINUS_BETA_2: f32 = 0.001;

fn update(i: u32, g: f32) {
    let first = BETA_1 * first_moment[i] + ONE_MINUS_BETA_1 * g;
    let second = BETA_2 * second_moment[i] + ONE_MINUS_BETA_2 * (g * g);
    first_moment[i] = first;
    second_moment[i] = second;
    parameter[i] -= arguments.rate * first / (sqrt(second) / arguments.sqrt_correction + 1e-8);
}

fn update_row(i: u32, g: f32) {
    first_moment[i] += ONE_MINUS_BETA_1 / BETA_1 * g;
    second_moment[i] += ONE_MINUS_BETA_2 / BETA_2 * (g * g);
}
