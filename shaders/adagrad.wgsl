// Adagrad (Duchi 2011, as in PyTorch), with g = scale gradient:
//
//   squares += g^2
//   parameter -= rate g / (sqrt(squares) + 1e-10)
//
// The entry points are those of update.wgsl and update_two.wgsl.

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
// dense_2.
@group(0) @binding(4) var<storage, read_write> parameter_1: array<f32>;
@group(0) @binding(5) var<storage, read_write> squares_1: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_1: array<f32>;
// sparse.
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// What is subtracted from an element, given the squares with g^2 added.
fn change(square: f32, g: f32, rate: f32) -> f32 {
    return rate * g / (sqrt(square) + 1e-10);
}

fn update(i: u32, g: f32) {
    let square = squares[i] + g * g;
    squares[i] = square;
    parameter[i] -= change(square, g, arguments.rate);
}

fn update_1(i: u32, g: f32) {
    let square = squares_1[i] + g * g;
    squares_1[i] = square;
    parameter_1[i] -= change(square, g, arguments.rate_1);
}

fn update_row(i: u32, g: f32) {
    update(i, g);
}
