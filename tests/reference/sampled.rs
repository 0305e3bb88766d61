//! Losses against a given sample of words, which replace the full softmax in training.
//!
//! With z_w the logit of word w, t the target, n_1 … n_K the words of the sample, P their
//! distribution and a_w the corrected logit:
//!
//! ```text
//! softmax (Jean 2015), over the distinct words of K draws:
//! a_w = z_w - ln(1 - (1 - P(w))^K)
//! loss = -ln(e^a_t / (e^a_t + Σ_{j: n_j ≠ t} e^a_(n_j)))
//!
//! noise-contrastive estimation (Mnih and Teh 2012):
//! a_w = z_w - ln Z - ln(K P(w))
//! loss = -ln σ(a_t) - Σ_j ln(1 - σ(a_(n_j)))
//! ```

use super::network::{Architecture, Named, Network};
use super::outputs::Output;

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// The softmax over target and sample.
    Softmax,
    /// Noise-contrastive estimation, with ln Z.
    Nce(f64),
}

/// A sample and the loss against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// Which loss.
    pub objective: Objective,
    /// The count of each word in the text; 0 counts as 1.
    pub counts: Vec<u64>,
    /// The power of the frequency to which the probability of a draw is proportional.
    pub power: f64,
    /// K, the draws.
    pub draws: usize,
    /// n_1, n_2, …: K words, or fewer if equal ones count once.
    pub words: Vec<usize>,
}

/// The loss of a corrected logit a_t against those of the sample, and its gradients; `is_target`
/// marks the samples that equal the target.
pub fn loss(nce: bool, own: f64, sample: &[f64], is_target: &[bool]) -> (f64, f64, Vec<f64>) {
    if nce {
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let softplus = |a: f64| {
            if a > 0.0 {
                a + (-a).exp().ln_1p()
            } else {
                a.exp().ln_1p()
            }
        };
        let loss = softplus(-own) + sample.iter().map(|&a| softplus(a)).sum::<f64>();
        return (
            loss,
            -sigmoid(-own),
            sample.iter().map(|&a| sigmoid(a)).collect(),
        );
    }
    let kept = |j: usize| {
        if is_target[j] {
            f64::NEG_INFINITY
        } else {
            sample[j]
        }
    };
    let largest = (0..sample.len()).map(kept).fold(own, f64::max);
    let total = (own - largest).exp()
        + (0..sample.len())
            .map(|j| (kept(j) - largest).exp())
            .sum::<f64>();
    let share = |a: f64| (a - largest).exp() / total;
    (
        total.ln() - (own - largest),
        share(own) - 1.0,
        (0..sample.len()).map(|j| share(kept(j))).collect(),
    )
}

impl Sampled {
    fn correction(&self, word: usize) -> f64 {
        let weight = |count: u64| (count.max(1) as f64).powf(self.power);
        let share =
            weight(self.counts[word]) / self.counts.iter().map(|&count| weight(count)).sum::<f64>();
        match self.objective {
            Objective::Softmax => (1.0 - (1.0 - share).powi(self.draws as i32)).ln(),
            Objective::Nce(ln_z) => (self.draws as f64 * share).ln() + ln_z,
        }
    }
}

impl Network {
    /// The loss of a word for an input row, and its gradient by the logits of the target and the
    /// samples.
    pub(super) fn sampled_loss(
        &self,
        sampled: &Sampled,
        word: usize,
        input: &[f64],
    ) -> (f64, Vec<(usize, f64)>) {
        let corrected = |word: usize| {
            let row = &self.parameter(self.architecture.decoder_weight())[word * input.len()..]
                [..input.len()];
            let logit: f64 = row.iter().zip(input).map(|(w, h)| w * h).sum();
            logit + self.bias("decoder.bias").map_or(0.0, |bias| bias[word])
                - sampled.correction(word)
        };
        let sample: Vec<f64> = sampled.words.iter().map(|&word| corrected(word)).collect();
        let is_target: Vec<bool> = sampled.words.iter().map(|&other| other == word).collect();
        let (loss, own, others) = loss(
            sampled.objective != Objective::Softmax,
            corrected(word),
            &sample,
            &is_target,
        );
        (
            loss,
            std::iter::once((word, own))
                .chain(sampled.words.iter().copied().zip(others))
                .collect(),
        )
    }

    /// Adds the gradient of `scale` times the loss to the parameters' and returns that of the input
    /// row.
    pub(super) fn sampled_gradient(
        &self,
        sampled: &Sampled,
        word: usize,
        input: &[f64],
        scale: f64,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let mut back = vec![0.0; input.len()];
        let decoder_weight = self.architecture.decoder_weight();
        for (word, d) in self.sampled_loss(sampled, word, input).1 {
            for (k, h) in input.iter().enumerate() {
                back[k] += scale * d * self.parameter(decoder_weight)[word * input.len() + k];
                gradients.get_mut(decoder_weight).expect("a weight")[word * input.len() + k] +=
                    scale * d * h;
            }
            if let Some(bias) = gradients.get_mut("decoder.bias") {
                bias[word] += scale * d;
            }
        }
        back
    }

    /// The network for evaluation: with the full softmax if it was trained on samples.
    pub fn measured(&self) -> Self {
        let output = match &self.architecture.output {
            Output::Sampled(_) => Output::Softmax,
            output => output.clone(),
        };
        Self {
            architecture: Architecture {
                output,
                ..self.architecture.clone()
            },
            parameters: self.parameters.clone(),
        }
    }
}
