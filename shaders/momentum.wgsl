// SGD with momentum (as PyTorch's SGD), with g = scale gradient:
//
//   velocity = 0.9 velocity + g
//   parameter -= rate velocity, or rate (g + 0.9 velocity) if NESTEROV
//
// The gradient of a table is zero in most rows, but the velocity of every row decays. `sparse` adds
// g to the velocity, prescaled so that `dense`, which runs next without a gradient, completes the
// update above.
//
// The entry points are those of update.wgsl and update_two.wgsl.

override NESTEROV: bool = false;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
// dense_2.
@group(0) @binding(4) var<storage, read_write> parameter_1: array<f32>;
@group(0) @binding(5) var<storage, read_write> velocity_1: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_1: array<f32>;
// sparse.
@group(0) @binding(4) var<storage, read> tokens: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;

// The momentum coefficient.
const MOMENTUM: f32 = 0.9;

// What is subtracted from an element, given its new velocity.
fn change(updated: f32, g: f32, rate: f32) -> f32 {
    return rate * select(updated, g + MOMENTUM * updated, NESTEROV);
}

fn update(i: u32, g: f32) {
    let updated = MOMENTUM * velocity[i] + g;
    velocity[i] = updated;
    parameter[i] -= change(updated, g, arguments.rate);
}

fn update_1(i: u32, g: f32) {
    let updated = MOMENTUM * velocity_1[i] + g;
    velocity_1[i] = updated;
    parameter_1[i] -= change(updated, g, arguments.rate_1);
}

fn update_row(i: u32, g: f32) {
    velocity[i] += 1.0 / MOMENTUM * g;
    // `dense` applies g only through the velocity; Nesterov's term g is applied here.
    if NESTEROV { parameter[i] -= arguments.rate * g; }
}
