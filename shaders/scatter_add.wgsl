// The gradient of gather: for every token of the window, the sum of its rows of `gradient`, always
// in the order given by `order`.
//
// `order` lists the window's positions sorted by token. The sum of a token's rows is written to row
// p of `sums`, where p is the token's first position in `order`; all other rows of `sums` are set
// to zero. One workgroup per p and 64 columns: 16 parts of the rows by 16 invocations of four
// columns each. A frequent token has hundreds of rows, so several must be under way at once.
struct Arguments { columns: u32, rows: u32, tokens_offset: u32, order_offset: u32 }

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

// The sums of each part, in columns that are 16 apart.
var<workgroup> partial: array<vec4<f32>, 256>;

fn token_at(p: u32) -> u32 {
    return tokens[arguments.tokens_offset + order[arguments.order_offset + p]];
}

// The gradient at a position in `order`, in four columns that are 16 apart. Columns that do not
// exist repeat the last one.
fn row_at(p: u32, column: u32) -> vec4<f32> {
    let first = order[arguments.order_offset + p] * arguments.columns + column;
    let after = arguments.columns - 1u - column;
    return vec4<f32>(
        gradient[first],
        gradient[first + min(16u, after)],
        gradient[first + min(32u, after)],
        gradient[first + min(48u, after)],
    );
}

// The sum of every 16th row of a token from position p on.
fn sum_of_part(start: u32, token: u32, column: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    var p = start;
    while p + 48u < arguments.rows && token_at(p + 48u) == token {
        // All four are loaded before the first is added.
        let first = row_at(p, column);
        let second = row_at(p + 16u, column);
        let third = row_at(p + 32u, column);
        let fourth = row_at(p + 48u, column);
        sum = sum + first + second + third + fourth;
        p += 64u;
    }
    while p < arguments.rows && token_at(p) == token {
        sum += row_at(p, column);
        p += 16u;
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_groups = (arguments.columns + 63u) / 64u;
    let group = flat_workgroup(workgroup, workgroups);
    let p = group / column_groups;
    // p is uniform across the workgroup, so either all invocations return before the barrier or
    // none.
    if p >= arguments.rows { return; }
    let first_column = group % column_groups * 64u;
    let column = first_column + lane % 16u;
    let token = token_at(p);
    let is_first = token != NONE && (p == 0u || token_at(max(p, 1u) - 1u) != token);
    var sum = vec4<f32>();
    if is_first && column < arguments.columns {
        sum = sum_of_part(p + lane / 16u, token, column);
    }
    partial[lane] = sum;
    workgroupBarrier();
    if lane < 64u && first_column + lane < arguments.columns {
        var total = 0.0;
        for (var part = 0u; part < 16u; part++) {
            total += partial[part * 16u + lane % 16u][lane / 16u];
        }
        sums[p * arguments.columns + first_column + lane] = total;
    }
}
