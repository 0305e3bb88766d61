//! Test cases of [`Dropout`].

use std::fmt;

use super::{Dropout, Mask, MaskPattern, StreamPart};
use crate::error::Result;
use crate::kernels::cases::{
    Cases, Harness, KernelCase, MANY, Place, TokenDraw, TokenPattern, list, option,
};

/// Sizes and options of [`Dropout`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutCase {
    /// Rows of the values.
    pub rows: usize,
    /// Columns of the values.
    pub columns: usize,
    /// Which elements are dropped together.
    pub pattern: DropoutPattern,
    /// Which streams the rows are; none for all.
    pub part: Option<StreamPart>,
    /// The probability of dropping an element.
    pub rate: f32,
    /// Whether the output is the input.
    pub in_place: bool,
}

/// [`MaskPattern`] without the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropoutPattern {
    /// Every element on its own.
    Elements,
    /// The same elements in every step of this many streams.
    Streams(usize),
    /// The rows of a word.
    Words,
}

/// The seed, the site and the draw of the masks.
pub const MASK: [u32; 3] = [0xdead_beef, 5, 12_345];

/// Every pattern, rates from 0 on, in place and not, all streams and a part of them; more elements
/// than one dimension of a dispatch has workgroups.
pub(in crate::kernels) fn all() -> Cases {
    let mut all = Vec::new();
    let part = |first, count, of| Some(StreamPart { first, count, of });
    for (rows, columns, pattern, part, rate) in [
        (1, 1, DropoutPattern::Elements, None, 0.5),
        (7, 3, DropoutPattern::Elements, None, 0.0),
        (67, 257, DropoutPattern::Elements, None, 0.1),
        (66, 37, DropoutPattern::Elements, part(5, 11, 16), 0.5),
        (12, 5, DropoutPattern::Streams(3), None, 0.5),
        (70, 331, DropoutPattern::Streams(35), None, 0.9),
        (70, 31, DropoutPattern::Streams(35), part(3, 35, 41), 0.5),
        (5, 1, DropoutPattern::Words, None, 0.5),
        (67, 65, DropoutPattern::Words, None, 0.25),
        (MANY, 1, DropoutPattern::Elements, None, 0.75),
    ] {
        all.extend([false, true].map(|in_place| DropoutCase {
            rows,
            columns,
            pattern,
            part,
            rate,
            in_place,
        }));
    }
    list(all)
}

impl KernelCase for DropoutCase {
    fn run(&self, harness: &mut Harness<'_>) -> Result<()> {
        let pattern = match self.pattern {
            DropoutPattern::Elements => MaskPattern::Elements,
            DropoutPattern::Streams(streams) => MaskPattern::Streams(streams),
            DropoutPattern::Words => {
                let draw = TokenDraw {
                    pattern: TokenPattern::Mixed,
                    count: self.rows,
                };
                let drawn = harness.draw(draw, 300);
                MaskPattern::Words(harness.tokens("tokens", drawn)?)
            }
        };
        let [seed, site, draw] = MASK;
        let mask = Mask {
            rate: self.rate,
            seed,
            site,
            draw,
            pattern,
            part: self.part,
        };
        let shape = [self.rows, self.columns];
        let (input, output) = if self.in_place {
            let values = harness.random_in_place("output", Place::Part, shape)?;
            (values, values)
        } else {
            let input = harness.random_input("input", Place::Part, shape)?;
            (input, harness.output("output", Place::Part, shape)?)
        };
        harness.run(&Dropout {
            input,
            output,
            mask,
        });
        Ok(())
    }
}

impl fmt::Display for DropoutCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern {
            DropoutPattern::Elements => f.write_str("elements")?,
            DropoutPattern::Streams(streams) => write!(f, "{streams} streams")?,
            DropoutPattern::Words => f.write_str("words")?,
        }
        let Self {
            rows,
            columns,
            rate,
            ..
        } = self;
        if let Some(part) = self.part {
            write!(f, " from {} of {}", part.first, part.of)?;
        }
        let in_place = option(self.in_place, "in place");
        write!(f, " of [{rows}, {columns}] at {rate}{in_place}")
    }
}
