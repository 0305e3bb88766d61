//! Direct connections from the last words to the output: maximum-entropy features of n-grams,
//! hashed into one table (Mikolov 2011, "Strategies for training large scale neural network
//! language models").
//!
//! A feature is a history of up to order - 1 words with what is predicted; what it adds to the
//! logits of neighbouring classes, or of the words of a class, are neighbouring numbers of the
//! table. The hash is rnnlm's, so that its tables can be read.

use super::plan::{Lists, WindowWords};
use crate::kernels::{BLOCK, PIECE_FIELDS};
use crate::tensor::NONE;

/// The largest order.
pub(super) const MOST_ORDER: usize = 20;
/// The most words before the predicted one that any model looks at beside its state.
pub const LONGEST_HISTORY: usize = MOST_ORDER - 1;

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

/// The table's size and the longest features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    /// Numbers of the table.
    pub(super) size: usize,
    /// The length of the longest features, with the predicted word.
    pub(super) order: usize,
    /// Whether no history goes past the boundary.
    pub(super) independent: bool,
}

impl Direct {
    /// A row's history, the last word first: order - 1 words, or as many as there are before an
    /// unknown one.
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

    /// Where in the table the runs begin that a history adds to the logits of the classes, or of
    /// one class's words: as many as the order, with [`NONE`] for those that there are not.
    pub(super) fn begins(
        &self,
        history: &[u64],
        class: Option<usize>,
    ) -> impl Iterator<Item = u32> {
        let half = self.size as u64 / 2;
        // rnnlm multiplies in 32 bits up to here, and in 64 from here on.
        let unit = u64::from(PRIMES[0].wrapping_mul(PRIMES[1]));
        let mut is_cut = false;
        let begins: Vec<u32> = (0..self.order)
            .map(|length| {
                if length > history.len() || is_cut {
                    return NONE;
                }
                let own = class.map_or(unit, |class| unit.wrapping_mul(class as u64 + 1));
                let hash = (1..=length).fold(own, |hash, back| {
                    let number = (length as u32)
                        .wrapping_mul(PRIMES[back])
                        .wrapping_add(back as u32) as usize
                        % PRIMES.len();
                    hash.wrapping_add(u64::from(PRIMES[number]).wrapping_mul(history[back - 1] + 1))
                });
                let begin = hash % half + if class.is_some() { half } else { 0 };
                // rnnlm takes 0 for "no feature", and then leaves longer ones out too.
                is_cut = begin == 0;
                if is_cut { NONE } else { begin as u32 }
            })
            .collect();
        begins.into_iter()
    }

    /// Adds to a plan how the gradient of the table is put together: the blocks that the records'
    /// runs touch, where each block's pieces begin, and the pieces. A record is a place in the
    /// gradient of the logits, a length and where its runs begin.
    pub(super) fn push_blocks(&self, lists: &mut Lists, records: &[u32]) {
        let mut keys: Vec<u64> = Vec::new();
        let mut pieces: Vec<[u32; PIECE_FIELDS]> = Vec::new();
        for record in records.chunks_exact(2 + self.order) {
            for &begin in record[2..].iter().filter(|&&begin| begin != NONE) {
                let first = begin as usize;
                let end = (first + record[1] as usize).min(self.size);
                for block in first / BLOCK..end.div_ceil(BLOCK) {
                    keys.push((block as u64) << 32 | pieces.len() as u64);
                    // A run that begins before the block begins a negative number of numbers behind
                    // its first.
                    pieces.push([
                        record[0],
                        begin.wrapping_sub((block * BLOCK) as u32),
                        (end - first) as u32,
                    ]);
                }
            }
        }
        keys.sort_unstable();
        let (mut blocks, mut begins) = (Vec::new(), Vec::new());
        for (number, key) in (0..).zip(&keys) {
            let block = (key >> 32) as u32;
            if blocks.last() != Some(&block) {
                blocks.push(block);
                begins.push(number);
            }
        }
        begins.push(keys.len() as u32);
        lists.push(blocks);
        lists.push(begins);
        lists.push(keys.iter().flat_map(|&key| pieces[key as u32 as usize]));
    }

    /// The most blocks that records of up to `length` numbers touch, and the most pieces.
    pub(super) fn most_blocks(&self, records: usize, length: usize) -> [usize; 2] {
        let pieces = records * self.order * (length / BLOCK + 2);
        [pieces.min(self.size / BLOCK), pieces]
    }
}
