//! Direct connections from the last words to the output: maximum-entropy features of n-grams,
//! hashed into one table (Mikolov 2011, "Strategies for training large scale neural network
//! language models").
//!
//! A feature is a history of up to order - 1 words, together with the predicted class or word. The
//! values that a history adds to the logits of all classes, or of all words of a class, are
//! consecutive in the table: a run. The hash is rnnlm's, so that its tables can be imported.

use crate::kernels::{BLOCK, SEGMENT_FIELDS};
use crate::model::plan::{PlanBuilder, WindowWords};
use crate::tensor::NONE;

/// The multipliers of rnnlm's hash (rnnlmlib.h of 0.3e).
const PRIMES: [u32; 36] = [
    108_641_969,
    116_049_371,
    125_925_907,
    133_333_309,
    145_678_979,
    175_308_587,
    197_530_793,
    234_567_803,
    251_851_741,
    264_197_411,
    330_864_029,
    399_999_781,
    407_407_183,
    459_258_997,
    479_012_069,
    545_678_687,
    560_493_491,
    607_407_037,
    629_629_243,
    656_789_717,
    716_048_933,
    718_518_067,
    725_925_469,
    733_332_871,
    753_085_943,
    755_555_077,
    782_715_551,
    790_122_953,
    812_345_159,
    814_814_293,
    893_826_581,
    923_456_189,
    940_740_127,
    953_085_797,
    985_184_539,
    990_122_807,
];

/// The size of the table and the longest features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    /// Number of values in the table.
    pub(super) size: usize,
    /// The length of the longest features in words, including the predicted word.
    pub(super) order: usize,
    /// Whether histories end at a sentence boundary.
    pub(super) independent: bool,
}

impl Direct {
    /// The length of the records that [`AddRuns`](crate::kernels::AddRuns) reads: where a run is
    /// added, its length, and the starts of its runs in the table.
    pub(super) fn record_len(&self) -> usize {
        2 + self.order
    }

    /// A row's history, the last word first: order - 1 words, or those after the last unknown word.
    pub(super) fn history(&self, words: &WindowWords<'_>, row: usize) -> Vec<u64> {
        let mut history = Vec::with_capacity(self.order - 1);
        let mut ended = false;
        for back in 0..self.order - 1 {
            let word = if ended { 0 } else { (words.before)(row, back) };
            if word == NONE {
                break;
            }
            ended |= self.independent && word == 0;
            history.push(u64::from(word));
        }
        history
    }

    /// The starts in the table of the runs that a history adds to the logits of the classes, or of
    /// the words of one class: one per length up to the order, [`NONE`] where there is none.
    pub(super) fn run_starts(&self, history: &[u64], class: Option<usize>) -> Vec<u32> {
        let half = self.size as u64 / 2;
        // rnnlm multiplies in 32 bits up to here, and in 64 bits below.
        let unit = u64::from(PRIMES[0].wrapping_mul(PRIMES[1]));
        let seed = class.map_or(unit, |class| unit.wrapping_mul(class as u64 + 1));
        let offset = if class.is_some() { half } else { 0 };
        let mut starts = vec![NONE; self.order];
        for (length, run_start) in starts.iter_mut().enumerate().take(history.len() + 1) {
            let hash = (1..=length).fold(seed, |hash, back| {
                let prime = (length as u32)
                    .wrapping_mul(PRIMES[back])
                    .wrapping_add(back as u32) as usize
                    % PRIMES.len();
                hash.wrapping_add(u64::from(PRIMES[prime]).wrapping_mul(history[back - 1] + 1))
            });
            let start = hash % half + offset;
            // In rnnlm 0 means "no feature", which also drops all longer features.
            if start == 0 {
                break;
            }
            *run_start = start as u32;
        }
        starts
    }

    /// Adds three lists to a plan, from which the gradient of the table is computed: the blocks
    /// that the records' runs touch, the index of each block's first segment, and the segments. A
    /// record is a position in the gradient of the logits, a length, and the starts of its runs.
    pub(super) fn push_blocks(&self, plan: &mut PlanBuilder, records: &[u32]) {
        let mut keys: Vec<u64> = Vec::new();
        let mut segments: Vec<[u32; SEGMENT_FIELDS]> = Vec::new();
        for record in records.chunks_exact(self.record_len()) {
            for &start in record[2..].iter().filter(|&&start| start != NONE) {
                let first = start as usize;
                let end = (first + record[1] as usize).min(self.size);
                for block in first / BLOCK..end.div_ceil(BLOCK) {
                    keys.push((block as u64) << 32 | segments.len() as u64);
                    // Negative where the run starts before the block.
                    let offset = start.wrapping_sub((block * BLOCK) as u32);
                    segments.push([record[0], offset, (end - first) as u32]);
                }
            }
        }
        keys.sort_unstable();
        let mut blocks = Vec::new();
        let mut first_segments = Vec::new();
        for (index, key) in (0..).zip(&keys) {
            let block = (key >> 32) as u32;
            if blocks.last() != Some(&block) {
                blocks.push(block);
                first_segments.push(index);
            }
        }
        first_segments.push(keys.len() as u32);
        plan.push(blocks);
        plan.push(first_segments);
        plan.push(keys.iter().flat_map(|&key| segments[key as u32 as usize]));
    }

    /// The largest numbers of blocks and of segments for `records` records of runs of up to
    /// `length` values.
    pub(super) fn max_blocks_and_segments(&self, records: usize, length: usize) -> [usize; 2] {
        let segments = records * self.order * (length / BLOCK + 2);
        [segments.min(self.size / BLOCK), segments]
    }
}
