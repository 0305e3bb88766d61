// The last words before every prediction of a feed-forward network.
//
// forward:  contexts[t, b, j] is the token of step t - j of stream b. Before step 0, it is one of
//           the carried tokens, the last one first.
// carry:    the carried tokens become those before step `advance`.
// backward: output[s, b] is the sum of the rows of `gradient`, [T*B, N, columns], whose context has
//           the token of step s.
//
// With RESET, all words before a boundary, token 0, are that boundary.
//
// Carried tokens are numbers, exact in f32 below 2^24. A number outside the vocabulary is no word.
struct Arguments {
    rows: u32,
    batch: u32,
    words: u32,
    columns: u32,
    vocabulary: u32,
    advance: u32,
    contexts_offset: u32,
    carried_offset: u32,
    tokens_offset: u32,
    gradient_offset: u32,
    output_offset: u32,
}

override RESET: bool = false;

// [T*B, N].
@group(0) @binding(0) var<storage, read_write> contexts: array<u32>;
// [B, N-1].
@group(0) @binding(1) var<storage, read_write> carried: array<f32>;
// [T, B].
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
// [T*B, columns].
@group(0) @binding(0) var<storage, read_write> output: array<f32>;
// [T*B, N*columns].
@group(0) @binding(1) var<storage, read> gradient: array<f32>;

fn token_at(row: u32) -> u32 {
    return tokens[arguments.tokens_offset + row];
}

fn carried_token(stream: u32, back: u32) -> u32 {
    let place = stream * (arguments.words - 1u) + back;
    let number = carried[arguments.carried_offset + place];
    if number >= 0.0 && number < f32(arguments.vocabulary) {
        return min(u32(number), arguments.vocabulary - 1u);
    }
    return NONE;
}

// One invocation per row.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if row >= arguments.rows { return; }
    let first = arguments.contexts_offset + row * arguments.words;
    var step = row;
    var back = 0u;
    var token = token_at(row);
    contexts[first] = token;
    for (var j = 1u; j < arguments.words; j++) {
        if !(RESET && token == 0u) {
            if step >= arguments.batch {
                step -= arguments.batch;
                token = token_at(step);
            } else {
                token = carried_token(step, back);
                back++;
            }
        }
        contexts[first + j] = token;
    }
}

// One invocation per carried token. `advance` is at least 1.
@compute @workgroup_size(256)
fn carry(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    let count = arguments.words - 1u;
    if i >= arguments.batch * count { return; }
    let row = (arguments.advance - 1u) * arguments.batch + i / count;
    let token = contexts[arguments.contexts_offset + row * arguments.words + i % count];
    carried[arguments.carried_offset + i] = select(f32(token), -1.0, token == NONE);
}

// One invocation per element of the output.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * 256u + lane;
    if i >= arguments.rows * arguments.columns { return; }
    let row = i / arguments.columns;
    let column = i % arguments.columns;
    let is_repeated = RESET && token_at(row) == 0u;
    var sum = 0.0;
    var reader = row;
    for (var j = 0u; j < arguments.words && reader < arguments.rows; j++) {
        if RESET && j > 0u && token_at(reader) == 0u { break; }
        let end = select(j + 1u, arguments.words, is_repeated);
        for (var slot = j; slot < end; slot++) {
            let place = (reader * arguments.words + slot) * arguments.columns + column;
            sum += gradient[arguments.gradient_offset + place];
        }
        reader += arguments.batch;
    }
    output[arguments.output_offset + i] = sum;
}
