//! Words in classes: runs of the vocabulary, which is sorted by frequency, so that the words of a
//! class are about as frequent.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field::choices;

choices! {
    /// What of a class is about the same in all of them.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Binning {
        /// The sum of the square roots of its words' frequencies, as in rnnlm from 0.3 on: the
        /// frequent classes have few words, and no class has very many.
        #[default]
        Sqrt = "sqrt",
        /// The sum of its words' frequencies, as in rnnlm with -old-classes (Mikolov 2011).
        Frequency = "frequency",
    }
}

/// The classes of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// How many were asked for. Where few words are most of a text, there may be fewer.
    pub asked: usize,
    /// How words were put together.
    pub binning: Binning,
    /// Words of each class: the first so many of the vocabulary are the first class, and so on.
    /// rnnlm's models may have classes without words.
    pub sizes: Vec<usize>,
}

impl Classes {
    /// Puts words with these numbers of occurrences, in the vocabulary's order, into up to `asked`
    /// classes.
    ///
    /// # Errors
    /// If there are more classes than words, or none.
    pub fn new(asked: usize, binning: Binning, counts: &[u64]) -> Result<Self> {
        if asked == 0 || asked > counts.len() {
            return Err(Error::usage(
                format!("--classes {asked}"),
                format!(
                    "there must be at least 1 and at most as many as the vocabulary's {} words",
                    counts.len()
                ),
                format!(
                    "{} is near the fastest for this vocabulary",
                    Self::usual(counts.len())
                ),
            ));
        }
        let whole: f64 = counts.iter().map(|&count| count as f64).sum();
        // Words that do not occur need a class too.
        let share = |count: u64| match binning {
            Binning::Sqrt => (count as f64 / whole.max(1.0)).sqrt(),
            Binning::Frequency => count as f64 / whole.max(1.0),
        };
        let shares: f64 = counts.iter().map(|&count| share(count)).sum();
        let mut sizes = vec![0];
        let mut sum = 0.0;
        for &count in counts {
            let last = sizes.len() - 1;
            sizes[last] += 1;
            sum += share(count) / shares;
            if sum.min(1.0) > sizes.len() as f64 / asked as f64 && sizes.len() < asked {
                sizes.push(0);
            }
        }
        sizes.retain(|&size| size > 0);
        Ok(Self {
            asked,
            binning,
            sizes,
        })
    }

    /// The number of classes where the user does not say: the root of the vocabulary's size, at
    /// which classes and their words cost about the same.
    pub fn usual(vocab_size: usize) -> usize {
        (vocab_size as f64).sqrt().ceil() as usize
    }

    /// Checks that the classes are those of a vocabulary of this size.
    ///
    /// # Errors
    /// If they are not.
    pub(super) fn validate(&self, vocab_size: usize) -> Result<()> {
        let words: usize = self.sizes.iter().sum();
        if words == vocab_size {
            return Ok(());
        }
        Err(Error::invalid(
            format!("{} classes of {words} words", self.sizes.len()),
            format!("all together must have the vocabulary's {vocab_size}"),
            "Restore config.json, or train the model again",
        ))
    }

    /// Words of each class as numbers of the vocabulary.
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let range = |size: &usize| {
            end += size;
            end - size..end
        };
        self.sizes.iter().map(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_share_what_they_are_to_share() {
        let counts = [8, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(
            Classes::new(3, Binning::Frequency, &counts)
                .expect("fits")
                .sizes,
            [1, 2, 8]
        );
        let sqrt = Classes::new(3, Binning::Sqrt, &counts).expect("fits");
        assert_eq!(sqrt.sizes, [3, 4, 4]);
        assert_eq!(sqrt.ranges(), [0..3, 3..7, 7..11]);
    }

    #[test]
    fn every_word_has_a_class_whatever_the_counts() {
        for counts in [
            vec![0, 0, 0],
            vec![1_000_000, 0, 0, 1],
            vec![1; 7],
            vec![5, 1],
        ] {
            for asked in 1..=counts.len() {
                for binning in [Binning::Sqrt, Binning::Frequency] {
                    let classes = Classes::new(asked, binning, &counts).expect("fits");
                    assert!(classes.sizes.len() <= asked, "{classes:?}");
                    classes
                        .validate(counts.len())
                        .expect("they are the vocabulary's");
                }
            }
            assert!(Classes::new(counts.len() + 1, Binning::Sqrt, &counts).is_err());
            assert!(Classes::new(0, Binning::Sqrt, &counts).is_err());
        }
    }
}
