//! A mixture of K softmaxes (Yang 2018). With h the output of the last layer, D the size of the
//! decoder's rows and m a mask:
//!
//! ```text
//! l_k  = tanh(W_k h + b_k)
//! π    = softmax(P h)
//! P(w) = Σ_k π_k softmax(W_decoder (m_k l_k) + b_decoder)_w
//! ```
//!
//! `latent.0.weight` has the rows of W_1, then those of W_2, and so on.

use super::kernels::{Activation, softmax, softmax_cross_entropy};
use super::linear::{add_to, linear};
use super::network::{Named, Network};
use super::outputs::OutputRow;

/// What a mixture computes for one row.
struct Mixture {
    /// ln π.
    log_prior: Vec<f64>,
    /// l_1, then l_2, and so on.
    latents: Vec<f64>,
    /// m l.
    masked: Vec<f64>,
    /// V logits for each softmax.
    logits: Vec<Vec<f64>>,
}

/// ln Σ e^x.
fn log_sum(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    largest + total.ln()
}

/// The outer product of two vectors.
fn outer(column: &[f64], row: &[f64]) -> Vec<f64> {
    let rows = column
        .iter()
        .map(|a| row.iter().map(|b| a * b).collect::<Vec<_>>());
    rows.flatten().collect()
}

/// `sum += Wᵀ d`.
fn add_back(sum: &mut [f64], weight: &[f64], d: &[f64]) {
    for (row, d) in weight.chunks_exact(sum.len()).zip(d) {
        sum.iter_mut().zip(row).for_each(|(sum, w)| *sum += d * w);
    }
}

impl Network {
    fn mixture(&self, row: &OutputRow<'_>) -> Mixture {
        let inputs = row.input.len();
        let prior = linear(row.input, inputs, self.parameter("prior.weight"), None);
        let weight = self.parameter("latent.0.weight");
        let latents: Vec<f64> = linear(row.input, inputs, weight, self.bias("latent.0.bias"))
            .into_iter()
            .map(|z| Activation::Tanh.value(z))
            .collect();
        let mut masked = latents.clone();
        if let Some(mask) = row.latent_mask {
            masked.iter_mut().zip(mask).for_each(|(l, m)| *l *= m);
        }
        let a = &self.architecture;
        let weight = self.parameter(a.decoder_weight());
        let size = a.decoder_columns();
        let logits = masked
            .chunks_exact(size)
            .map(|latent| linear(latent, size, weight, self.bias("decoder.bias")))
            .collect();
        let total = log_sum(&prior);
        Mixture {
            log_prior: prior.iter().map(|logit| logit - total).collect(),
            latents,
            masked,
            logits,
        }
    }

    /// ln π_k + ln P_k(word) of every softmax.
    fn joint(mixture: &Mixture, word: usize) -> Vec<f64> {
        let of_softmaxes = mixture.log_prior.iter().zip(&mixture.logits);
        of_softmaxes
            .map(|(log_prior, logits)| log_prior - softmax_cross_entropy(logits, Some(word), 1.0).0)
            .collect()
    }

    /// ln P(word).
    pub(super) fn mixture_log_probability(&self, word: usize, row: &OutputRow<'_>) -> f64 {
        log_sum(&Self::joint(&self.mixture(row), word))
    }

    /// ln P of every word.
    pub(super) fn mixture_log_distribution(&self, row: &OutputRow<'_>) -> Vec<f64> {
        let mixture = self.mixture(row);
        let words = 0..self.architecture.vocab_size;
        words
            .map(|word| log_sum(&Self::joint(&mixture, word)))
            .collect()
    }

    /// Adds the gradient of `-scale ln P(word)` to the parameters' and returns that of the input.
    pub(super) fn mixture_gradient(
        &self,
        word: usize,
        row: &OutputRow<'_>,
        scale: f64,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let mixture = self.mixture(row);
        let a = &self.architecture;
        let size = a.decoder_columns();
        let responsibilities = softmax(&Self::joint(&mixture, word));
        let mut back = vec![0.0; row.input.len()];

        let to_prior: Vec<f64> = mixture
            .log_prior
            .iter()
            .zip(&responsibilities)
            .map(|(log_prior, r)| scale * (log_prior.exp() - r))
            .collect();
        add_to(gradients, "prior.weight", &outer(&to_prior, row.input));
        add_back(&mut back, self.parameter("prior.weight"), &to_prior);

        let mut to_arguments = Vec::new();
        for (k, logits) in mixture.logits.iter().enumerate() {
            let masked = &mixture.masked[k * size..][..size];
            let (_, to_logits) =
                softmax_cross_entropy(logits, Some(word), scale * responsibilities[k]);
            add_to(gradients, a.decoder_weight(), &outer(&to_logits, masked));
            if self.bias("decoder.bias").is_some() {
                add_to(gradients, "decoder.bias", &to_logits);
            }
            let mut to_latent = vec![0.0; size];
            let weight = self.parameter(a.decoder_weight());
            add_back(&mut to_latent, weight, &to_logits);
            for (i, d) in to_latent.into_iter().enumerate() {
                let index = k * size + i;
                let mask = row.latent_mask.map_or(1.0, |mask| mask[index]);
                to_arguments.push(d * mask * Activation::Tanh.derivative(mixture.latents[index]));
            }
        }
        add_to(
            gradients,
            "latent.0.weight",
            &outer(&to_arguments, row.input),
        );
        if self.bias("latent.0.bias").is_some() {
            add_to(gradients, "latent.0.bias", &to_arguments);
        }
        add_back(&mut back, self.parameter("latent.0.weight"), &to_arguments);
        back
    }
}
