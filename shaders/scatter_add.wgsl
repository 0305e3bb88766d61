// The gradient of gather: for every token of the window, the sum of its rows of `gradient`, always
// in the order given by `order`.
//
// `order` lists the window's positions sorted by token. The sum of a token's rows is written to row
// p of `sums`, where p is the token's first position in `order`; all other rows of `sums` are set
// to zero. One workgroup per p and 16 columns: 16 lanes per column share the sum.
struct Arguments { columns: u32, rows: u32, tokens_offset: u32, order_offset: u32 }

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

var<workgroup> partial: array<f32, 256>;

fn token_at(p: u32) -> u32 {
    return tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_groups = (arguments.columns + 15u) / 16u;
    let group = flat_workgroup(workgroup, workgroups);
    let p = group / column_groups;
    // p is uniform across the workgroup, so either all invocations return before the barrier or
    // none.
    if p >= arguments.rows { return; }
    let column = (group % column_groups) * 16u + lane % 16u;
    let token = token_at(p);
    let is_first = token != NONE && (p == 0u || token_at(max(p, 1u) - 1u) != token);
    var sum = 0.0;
    if is_first && column < arguments.columns {
        for (var q = p + lane / 16u; q < arguments.rows && token_at(q) == token; q += 16u) {
            sum += gradient[order[arguments.order_offset + q] * arguments.columns + column];
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    if lane < 16u && column < arguments.columns {
        var total = 0.0;
        for (var i = 0u; i < 16u; i++) {
            total += partial[i * 16u + lane];
        }
        sums[p * arguments.columns + column] = total;
    }
}
