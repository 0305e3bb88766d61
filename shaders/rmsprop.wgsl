// RMSprop (Tieleman and Hinton 2012, as in PyTorch), with g = scale gradient:
//
//   squares = 0.99 squares + 0.01 g^2
//   parameter -= rate g / (sqrt(squares) + 1e-8)
//
// The gradient of a table is zero in most rows, but the squares of every row decay. `sparse` adds
// g^2 to the squares, prescaled so that the decay in `dense`, which runs next without a gradient,
// yields the squares above. `sparse` updates the parameter with these final squares.
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

// The gradient's weight is a constant because 1 - 0.99 in f32 has a relative error of 1e-6.
const ALPHA: f32 = 0.99;
const ONE_MINUS_ALPHA: f32 = 0.01;

fn decayed(square: f32, g: f32) -> f32 {
    return ALPHA * square + ONE_MINUS_ALPHA * (g * g);
}

// What is subtracted from an element, given the final squares.
fn change(square: f32, g: f32, rate: f32) -> f32 {
    return rate * g / (sqrt(square) + 1e-8);
}

fn update(i: u32, g: f32) {
    if GRADIENT {
        let square = decayed(squares[i], g);
        squares[i] = square;
        parameter[i] -= change(square, g, arguments.rate);
    } else {
        squares[i] *= ALPHA;
    }
}

fn update_1(i: u32, g: f32) {
    let square = decayed(squares_1[i], g);
    squares_1[i] = square;
    parameter_1[i] -= change(square, g, arguments.rate_1);
}

fn update_row(i: u32, g: f32) {
    let square = squares[i] + ONE_MINUS_ALPHA / ALPHA * (g * g);
    squares[i] = square;
    parameter[i] -= change(ALPHA * square, g, arguments.rate);
}
