//! stub
/// How far the first word is turned in each round; the list is walked over and over.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// Makes a key of zeros as good as any other.
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32 with 20 rounds.
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x[0] = x[0].wrapping_add(keys[injection % 3]);
            x[1] = x[1].wrapping_add(keys[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    x
}

/// 0 with probability `rate`, else the f32 number that is nearest to 1 / (1 - rate).
pub fn multiplier(seed: u32, site: u32, draw: u32, index: u32, rate: f64) -> f64 {
    let [x, _] = threefry([seed, site], [index, draw]);
    let threshold = (rate * 4_294_967_296.0).floor();
    if f64::from(x) < threshold { 0.0 } else { f64::from((1.0 / (1.0 - rate)) as f32) }
}
