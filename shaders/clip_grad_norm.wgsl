// scale = min(1, maximum / (norm + 1e-6)), where norm is the square root of the sum of the squared
// norms of all parameters' gradients (PyTorch's clip_grad_norm_). For a norm of NaN it is NaN.
struct Arguments { count: u32, squares_offset: u32, maximum: f32 }

@group(0) @binding(0) var<storage, read> squares: array<f32>;
@group(0) @binding(1) var<storage, read_write> scale: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var sum = 0.0;
    for (var i = 0u; i < arguments.count; i++) {
        sum += squares[arguments.squares_offset + i];
    }
    let ratio = arguments.maximum / (sqrt(sum) + 1e-6);
    scale[0] = select(min(1.0, ratio), sum, is_nan(sum));
}
