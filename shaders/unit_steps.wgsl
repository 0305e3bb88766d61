// What cells whose units do not read one another share: the end of sru.wgsl and qrnn.wgsl, which
// declare RESET, `tokens` and `arguments`. An invocation processes the steps of one unit of one
// stream, in workgroups of 64.

// The index of this invocation's unit in [B, H], at least B * H if there is none.
fn unit_index(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32) -> u32 {
    return flat_workgroup(workgroup, workgroups) * 64u + lane;
}

fn is_reset(t: u32, stream: u32) -> bool {
    if !RESET { return false; }
    return tokens[arguments.tokens_offset + t * arguments.batch + stream] == 0u;
}
