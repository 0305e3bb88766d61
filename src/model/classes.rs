//! Word classes: ranges of the vocabulary, which is sorted by frequency, so that the words of a
//! class have similar frequencies.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field::choices;

choices! {
    /// The quantity that is about equal in all classes.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Binning {
        /// The sum of the square roots of its words' frequencies, as in rnnlm from version 0.3:
        /// frequent classes have few words, and no class has very many.
        #[default]
        Sqrt = "sqrt",
        /// The sum of its words' frequencies, as with rnnlm's -old-classes (Mikolov 2011).
        Frequency = "frequency",
    }
}

/// The classes of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// The requested number of classes. Where a few words make up most of the text, there may be
    /// fewer.
    pub asked: usize,
    /// How words were assigned to classes.
    pub binning: Binning,
    /// The number of words in each class. The first class has the first words of the vocabulary,
    /// and so on. Imported rnnlm models may have empty classes.
    pub sizes: Vec<usize>,
}

impl Classes {
    /// Assigns words with these numbers of occurrences, in the order of the vocabulary, to up to
    /// `requested` classes.
    ///
    /// # Errors
    /// If the number of classes is 0 or larger than the vocabulary.
    pub fn new(requested: usize, binning: Binning, counts: &[u64]) -> Result<Self> {
        let vocabulary = counts.len();
        if requested == 0 || requested > vocabulary {
            return Err(Error::config(
                "classes",
                requested,
                format!(
                    "it must be at least 1 and at most the size of the vocabulary, {vocabulary}"
                ),
                format!(
                    "{} is near the fastest for this vocabulary",
                    Self::default_count(vocabulary)
                ),
            ));
        }
        let total: f64 = counts.iter().map(|&count| count as f64).sum();
        let weight = |count: u64| match binning {
            Binning::Sqrt => (count as f64 / total.max(1.0)).sqrt(),
            Binning::Frequency => count as f64 / total.max(1.0),
        };
        let total_weight: f64 = counts.iter().map(|&count| weight(count)).sum();
        let mut sizes = vec![0];
        let mut sum = 0.0;
        for &count in counts {
            let last = sizes.len() - 1;
            sizes[last] += 1;
            sum += weight(count) / total_weight;
            if sum.min(1.0) > sizes.len() as f64 / requested as f64 && sizes.len() < requested {
                sizes.push(0);
            }
        }
        sizes.retain(|&size| size > 0);
        Ok(Self {
            asked: requested,
            binning,
            sizes,
        })
    }

    /// The default number of classes: the square root of the size of the vocabulary, at which the
    /// classes cost about as much as the words of one class.
    pub fn default_count(vocab_size: usize) -> usize {
        (vocab_size as f64).sqrt().ceil() as usize
    }

    /// Checks that the classes are those of a vocabulary of this size.
    ///
    /// # Errors
    /// If they are not.
    pub(super) fn validate(&self, vocab_size: usize) -> Result<()> {
        // A file may state sizes whose sum no integer has.
        let words = self.sizes.iter().copied().fold(0, usize::saturating_add);
        if words == vocab_size {
            return Ok(());
        }
        Err(Error::invalid(
            format!("{} classes of {words} words", self.sizes.len()),
            format!("together they must have the {vocab_size} words of the vocabulary"),
            "Restore config.json, or train the model again",
        ))
    }

    /// The words of each class, as ranges of the vocabulary.
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
    fn classes_have_equal_weights() {
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
    fn every_word_has_a_class_for_all_counts() {
        for counts in [
            vec![0, 0, 0],
            vec![1_000_000, 0, 0, 1],
            vec![1; 7],
            vec![5, 1],
        ] {
            for requested in 1..=counts.len() {
                for binning in [Binning::Sqrt, Binning::Frequency] {
                    let classes = Classes::new(requested, binning, &counts).expect("fits");
                    assert!(classes.sizes.len() <= requested, "{classes:?}");
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
