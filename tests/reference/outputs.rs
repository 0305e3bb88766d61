//! Output layers: the probability of a word from the output of the last layer, one row at a time.
//!
//! Every output layer is one softmax or a chain of them, [`Level`]s: with h the output of the last
//! layer, level i over `count` choices has the logits
//!
//! ```text
//! z_j  = w_(first+j) · h + b_(first+j) + Σ_k d_(begin_k + j)
//! P(w) = Π_i softmax(z_i)[choice_i]
//! ```
//!
//! where w and b are rows of the level's weight and bias and d is the table of direct connections,
//! if there is one. A level with a projection reads P h instead of h. If the hidden units use
//! rnnlm's exponential, the softmaxes of classes and their words do too. A sampled softmax and a
//! mixture have files of their own.

use std::collections::BTreeMap;

use super::kernels::{Activation, rnnlm_softmax_cross_entropy, softmax_cross_entropy};
use super::network::{Named, Network, Window};
use super::sampled::Sampled;

/// The output layer's kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// One softmax over the vocabulary.
    Softmax,
    /// A softmax over classes, then one over the words of a class (Mikolov 2011).
    Class {
        /// The number of words in each class; a class is a run of the vocabulary.
        sizes: Vec<usize>,
        /// Direct connections from the last words, if any.
        direct: Option<Direct>,
    },
    /// A softmax over the head and an entry for each cluster behind it, then one over the words of
    /// a cluster after a projection (Grave 2017).
    Adaptive {
        /// The ends of the head and of every cluster but the last.
        cutoffs: Vec<usize>,
        /// The factor by which the projection of a cluster is narrower than the one before.
        divisor: f64,
    },
    /// A mixture of this many softmaxes: see [`mixture`](super::mixture).
    Mixture(usize),
    /// The softmax, trained on a sample of the vocabulary.
    Sampled(Sampled),
}

/// What the output layer reads at one step of one stream.
#[derive(Debug, Clone, Copy)]
pub struct OutputRow<'a> {
    /// The output of the last layer.
    pub input: &'a [f64],
    /// The words before the target, the last one first.
    pub history: &'a [Option<usize>],
    /// The mask of the latents of a mixture.
    pub latent_mask: Option<&'a [f64]>,
}

/// Hashed direct connections as in rnnlm 0.3 and 0.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// The number of elements in the table.
    pub size: usize,
    /// The length of the longest features, including the predicted word.
    pub order: usize,
}

/// One softmax of the chain that gives a word's probability.
#[derive(Debug, Clone)]
struct Level {
    /// The name of P, if there is one.
    projection: Option<String>,
    weight: String,
    bias: &'static str,
    first: usize,
    count: usize,
    choice: usize,
    /// The offsets in the table of direct connections of the runs that are added.
    begins: Vec<usize>,
}

impl Level {
    /// One over rows of the decoder's weight.
    fn new(first: usize, count: usize, choice: usize) -> Self {
        let (weight, bias) = ("decoder.weight".to_string(), "decoder.bias");
        Self {
            projection: None,
            weight,
            bias,
            first,
            count,
            choice,
            begins: Vec::new(),
        }
    }
}

/// The multipliers of rnnlm's hash (rnnlmlib.h).
const PRIMES: [u32; 36] = [
    108641969, 116049371, 125925907, 133333309, 145678979, 175308587, 197530793, 234567803,
    251851741, 264197411, 330864029, 399999781, 407407183, 459258997, 479012069, 545678687,
    560493491, 607407037, 629629243, 656789717, 716048933, 718518067, 725925469, 733332871,
    753085943, 755555077, 782715551, 790122953, 812345159, 814814293, 893826581, 923456189,
    940740127, 953085797, 985184539, 990122807,
];

impl Direct {
    /// The offsets of the runs for a history, the last word first, and for the classes (none) or
    /// the words of a class.
    fn begins(&self, history: &[Option<usize>], class: Option<usize>) -> Vec<usize> {
        let half = self.size as u64 / 2;
        let mut begins = Vec::new();
        for a in 0..self.order {
            if a > 0 && history[a - 1].is_none() {
                break;
            }
            let mut hash = u64::from(PRIMES[0].wrapping_mul(PRIMES[1]));
            if let Some(class) = class {
                hash = hash.wrapping_mul(class as u64 + 1);
            }
            for b in 1..=a {
                let prime = PRIMES
                    [((a as u32).wrapping_mul(PRIMES[b]).wrapping_add(b as u32) % 36) as usize];
                hash = hash.wrapping_add(
                    u64::from(prime)
                        .wrapping_mul(history[b - 1].expect("looked at above") as u64 + 1),
                );
            }
            let begin = hash % half + if class.is_some() { half } else { 0 };
            if begin == 0 {
                break;
            }
            begins.push(begin as usize);
        }
        begins
    }
}

impl Window {
    /// The words before the target of step t and stream b, the last one first. The boundary
    /// precedes the window; with resets, it precedes every boundary too.
    pub fn history(&self, t: usize, b: usize, words: usize) -> Vec<Option<usize>> {
        let mut history: Vec<_> = (0..=t).rev().map(|step| self.inputs_at(step)[b]).collect();
        if self.independent.is_some()
            && let Some(end) = history.iter().position(|&word| word == Some(0))
        {
            history.truncate(end);
        }
        history.resize(history.len().max(words), Some(0));
        history.truncate(words);
        history
    }
}

impl Network {
    /// The length of the longest history that the output layer reads.
    pub fn history_size(&self) -> usize {
        match &self.architecture.output {
            Output::Class {
                direct: Some(direct),
                ..
            } => direct.order,
            _ => 0,
        }
    }

    /// The softmaxes whose product is a word's probability.
    fn levels(&self, word: usize, history: &[Option<usize>]) -> Vec<Level> {
        let a = &self.architecture;
        match &a.output {
            Output::Softmax | Output::Mixture(_) | Output::Sampled(_) => {
                vec![Level {
                    weight: a.decoder_weight().to_string(),
                    ..Level::new(0, a.vocab_size, word)
                }]
            }
            Output::Class { sizes, direct } => {
                let (mut class, mut first) = (0, 0);
                while word >= first + sizes[class] {
                    first += sizes[class];
                    class += 1;
                }
                let begins =
                    |class| direct.map_or_else(Vec::new, |direct| direct.begins(history, class));
                let (weight, bias) = ("decoder.class_weight".to_string(), "decoder.class_bias");
                let of_class = Level {
                    weight,
                    bias,
                    begins: begins(None),
                    ..Level::new(0, sizes.len(), class)
                };
                let of_word = Level {
                    begins: begins(Some(class)),
                    ..Level::new(first, sizes[class], word - first)
                };
                vec![of_class, of_word]
            }
            Output::Adaptive { cutoffs, .. } => {
                let entries = cutoffs[0] + cutoffs.len();
                let cluster = (0..cutoffs.len()).rev().find(|&i| word >= cutoffs[i]);
                let Some(i) = cluster else {
                    return vec![Level::new(0, entries, word)];
                };
                let end = cutoffs.get(i + 1).copied().unwrap_or(a.vocab_size);
                let of_cluster = Level::new(0, entries, cutoffs[0] + i);
                let projection = Some(format!("decoder.tail_projection_{i}"));
                let weight = format!("decoder.tail_weight_{i}");
                let of_word = Level {
                    projection,
                    weight,
                    bias: "",
                    ..Level::new(0, end - cutoffs[i], word - cutoffs[i])
                };
                vec![of_cluster, of_word]
            }
        }
    }

    /// The input of a level: P h, or h.
    fn read(&self, level: &Level, input: &[f64]) -> Vec<f64> {
        let Some(projection) = &level.projection else {
            return input.to_vec();
        };
        self.parameter(projection)
            .chunks_exact(input.len())
            .map(|row| row.iter().zip(input).map(|(p, h)| p * h).sum())
            .collect()
    }

    fn logits(&self, level: &Level, input: &[f64]) -> Vec<f64> {
        let (weight, input) = (self.parameter(&level.weight), self.read(level, input));
        (0..level.count)
            .map(|j| {
                let row = &weight[(level.first + j) * input.len()..][..input.len()];
                let mut logit: f64 = row.iter().zip(&input).map(|(w, h)| w * h).sum();
                logit += self
                    .bias(level.bias)
                    .map_or(0.0, |bias| bias[level.first + j]);
                for begin in &level.begins {
                    // A run ends at the end of the table.
                    logit += self
                        .parameter("direct.weight")
                        .get(begin + j)
                        .copied()
                        .unwrap_or(0.0);
                }
                logit
            })
            .collect()
    }

    /// The loss of one choice and `scale` times its gradient.
    fn cross_entropy(&self, logits: &[f64], choice: usize, scale: f64) -> (f64, Vec<f64>) {
        let a = &self.architecture;
        let is_rnnlm =
            a.activation == Activation::RnnlmSigmoid && matches!(a.output, Output::Class { .. });
        let cross_entropy = if is_rnnlm {
            rnnlm_softmax_cross_entropy
        } else {
            softmax_cross_entropy
        };
        cross_entropy(logits, Some(choice), scale)
    }

    /// ln P(word) for a row; 0 without a word.
    pub fn log_probability(&self, word: Option<usize>, row: &OutputRow<'_>) -> f64 {
        let Some(word) = word else { return 0.0 };
        let &OutputRow { input, history, .. } = row;
        match &self.architecture.output {
            Output::Sampled(sampled) => return -self.sampled_loss(sampled, word, input).0,
            Output::Mixture(_) => return self.mixture_log_probability(word, row),
            _ => {}
        }
        let loss = |level: &Level| {
            self.cross_entropy(&self.logits(level, input), level.choice, 1.0)
                .0
        };
        -self.levels(word, history).iter().map(loss).sum::<f64>()
    }

    /// ln P of every word.
    pub fn log_distribution(&self, row: &OutputRow<'_>) -> Vec<f64> {
        if let Output::Mixture(_) = self.architecture.output {
            return self.mixture_log_distribution(row);
        }
        let &OutputRow { input, history, .. } = row;
        let mut known: BTreeMap<(String, usize), Vec<f64>> = BTreeMap::new();
        let mut of_word = |word| {
            let levels = self.levels(word, history).into_iter();
            let of_level = |level: Level| {
                let key = (level.weight.clone(), level.first);
                let logits = known
                    .entry(key)
                    .or_insert_with(|| self.logits(&level, input));
                -self.cross_entropy(logits, level.choice, 1.0).0
            };
            levels.map(of_level).sum()
        };
        (0..self.architecture.vocab_size)
            .map(&mut of_word)
            .collect()
    }

    /// Adds the gradient of `-scale ln P(word)` to the parameters' and returns that of the input
    /// row.
    pub fn output_gradient(
        &self,
        word: Option<usize>,
        row: &OutputRow<'_>,
        scale: f64,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let &OutputRow { input, history, .. } = row;
        let mut back = vec![0.0; input.len()];
        let Some(word) = word else { return back };
        match &self.architecture.output {
            Output::Sampled(sampled) => {
                return self.sampled_gradient(sampled, word, input, scale, gradients);
            }
            Output::Mixture(_) => return self.mixture_gradient(word, row, scale, gradients),
            _ => {}
        }
        for level in self.levels(word, history) {
            let of_logits = self
                .cross_entropy(&self.logits(&level, input), level.choice, scale)
                .1;
            let of_read =
                self.level_gradient(&level, &of_logits, &self.read(&level, input), gradients);
            let Some(projection) = &level.projection else {
                back.iter_mut().zip(of_read).for_each(|(sum, d)| *sum += d);
                continue;
            };
            let weight = self.parameter(projection);
            let gradient = gradients
                .get_mut(projection)
                .expect("a gradient for every parameter");
            for (k, d) in of_read.into_iter().enumerate() {
                for (m, h) in input.iter().enumerate() {
                    back[m] += d * weight[k * input.len() + m];
                    gradient[k * input.len() + m] += d * h;
                }
            }
        }
        back
    }

    /// Adds the gradients of a level's weight, bias and direct connections, given that of its
    /// logits. Returns the gradient of its input.
    fn level_gradient(
        &self,
        level: &Level,
        of_logits: &[f64],
        input: &[f64],
        gradients: &mut Named,
    ) -> Vec<f64> {
        let mut back = vec![0.0; input.len()];
        for (j, &d) in of_logits.iter().enumerate() {
            let first = (level.first + j) * input.len();
            let weight = &self.parameter(&level.weight)[first..first + input.len()];
            back.iter_mut()
                .zip(weight)
                .for_each(|(sum, w)| *sum += d * w);
            let mut add = |name: &str, index: usize, value: f64| {
                if let Some(number) = gradients
                    .get_mut(name)
                    .and_then(|values| values.get_mut(index))
                {
                    *number += value;
                }
            };
            input
                .iter()
                .enumerate()
                .for_each(|(k, h)| add(&level.weight, first + k, d * h));
            add(level.bias, level.first + j, d);
            level
                .begins
                .iter()
                .for_each(|begin| add("direct.weight", begin + j, d));
        }
        back
    }
}
