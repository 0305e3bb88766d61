// The entry points of the optimizers, and their arguments: the end of the optimizers' files. These
// declare `parameter`, `gradient`, `scale`, `tokens` and `order`, and the functions `update`, which
// updates element i of the parameter from its gradient, and `update_row`, which does so for an
// element of a row with a gradient.
//
// dense:  a gradient of the parameter's shape.
// sparse: gradients of some of its rows.
struct Arguments {
    // Elements of the parameter. sparse: rows of the gradient.
    count: u32,
    rate: f32,
    // The same of the second and the third parameter of dense_2 and dense_3.
    count_1: u32,
    rate_1: f32,
    count_2: u32,
    rate_2: f32,
    // sparse: the gradient's columns, where the tokens and their order begin, and the bound rows.
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    // Adam's.
    sqrt_correction: f32,
}

// Whether `dense` has a gradient. Otherwise it is 0: a state that decays does so in every row.
override GRADIENT: bool = true;

@compute @workgroup_size(256)
fn dense(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.count { return; }
    var g = 0.0;
    if GRADIENT { g = scale[0] * gradient[i]; }
    update(i, g);
}

fn token_at(p: u32) -> u32 {
    return tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
}

// One workgroup for each position p of `order`. Only the first position of each token does work.
@compute @workgroup_size(64)
fn sparse(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = flat_workgroup(workgroup, workgroups);
    if p >= arguments.count { return; }
    let token = token_at(p);
    // Skips NONE and rows in other shards of the table.
    if token < arguments.first_row || token >= arguments.end_row { return; }
    if p > 0u && token_at(max(p, 1u) - 1u) == token { return; }
    for (var column = lane; column < arguments.columns; column += 64u) {
        let i = (token - arguments.first_row) * arguments.columns + column;
        update_row(i, scale[0] * gradient[p * arguments.columns + column]);
    }
}
