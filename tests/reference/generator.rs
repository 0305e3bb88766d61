//! A small deterministic generator: every failure can be reproduced from its seed on every machine.

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// The generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number of [-bound, bound), equally likely everywhere, that an f32 holds exactly where
    /// `bound` is a power of two.
    ///
    /// 23 random bits: what is computed from it in f32 and in f64 then starts from the same
    /// numbers.
    pub fn uniform(&mut self, bound: f64) -> f64 {
        let unit = (self.next() >> 41) as f64 / (1_u64 << 23) as f64;
        bound * (2.0 * unit - 1.0)
    }

    /// `count` values of [`uniform`](Self::uniform), each rounded to f32.
    pub fn vector(&mut self, count: usize, bound: f64) -> Vec<f64> {
        (0..count)
            .map(|_| f64::from(self.uniform(bound) as f32))
            .collect()
    }

    /// An integer below `bound`; the bias of the remainder does not matter for tests.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
