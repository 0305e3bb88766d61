//! The ends of a network: the input of the first layer, and what lies between the last layer and
//! the output layer, as the equations of [`network`](super::network) say it.

use super::kernels::{Activation, Matmul, one_hot};
use super::linear::{add, add_to, linear_backward, mask_words};
use super::network::{Named, Network, Window};
use super::outputs::OutputRow;
use super::passes::Step;

impl Network {
    /// What the output layer reads at step t of stream b.
    pub(super) fn output_row<'a>(
        &self,
        window: &'a Window,
        [t, b]: [usize; 2],
        input: &'a [f64],
        history: &'a [Option<usize>],
    ) -> OutputRow<'a> {
        let size = self.architecture.latent_size();
        OutputRow {
            input,
            history,
            latent_mask: window.masks.latent(t, b, window.batch, size),
        }
    }

    /// The weight between the last layer and the output layer, if there is one.
    pub(super) fn between(&self) -> Option<&'static str> {
        let a = &self.architecture;
        match a.compression_size {
            0 => a.projection.then_some("projection.weight"),
            _ => Some("compression.weight"),
        }
    }

    /// The function of the compression layer's units: a sigmoid, with rnnlm's exponential if the
    /// hidden units have it.
    pub(super) fn compression(&self) -> Activation {
        match self.architecture.activation {
            Activation::RnnlmSigmoid => Activation::RnnlmSigmoid,
            _ => Activation::Sigmoid,
        }
    }

    /// Back through the output layer of step t and the layers before it: the gradient of the last
    /// layer's output.
    pub(super) fn output_backward(
        &self,
        window: &Window,
        t: usize,
        step: &Step,
        scale: f64,
        gradients: &mut Named,
    ) -> Vec<f64> {
        let a = &self.architecture;
        let mut back = Vec::new();
        for (b, row) in step
            .decoder_input
            .chunks_exact(a.decoder_input_size())
            .enumerate()
        {
            let target = window.targets[t * window.batch + b];
            let history = window.history(t, b, self.history_size());
            let row = self.output_row(window, [t, b], row, &history);
            let mut to_row = self.output_gradient(target, &row, scale, gradients);
            let decoded = window.decoded_input(t, b).filter(|_| a.past_decode);
            if let Some(input) = decoded {
                let scale = scale * window.penalties.past;
                let of_past = self.past_gradient(input, row.input, scale, gradients);
                add(&mut to_row, &of_past);
            }
            back.extend(to_row);
        }
        let Some(weight) = self.between() else {
            return back;
        };
        if a.compression_size > 0 {
            back.iter_mut()
                .zip(&step.decoder_input)
                .for_each(|(d, &y)| *d *= self.compression().derivative(y));
        }
        let projected = linear_backward(
            &back,
            &step.layer_output,
            a.output_size(),
            self.parameter(weight),
        );
        add_to(gradients, weight, &projected.weight);
        projected.input
    }

    /// x_0(t), `[B, V]` or `[B, D]`.
    pub(super) fn embed(&self, window: &Window, t: usize) -> Vec<f64> {
        let a = &self.architecture;
        // One-hot vectors are multiplied out, as in the equation: this is the reference for looking
        // rows up.
        let mut input = one_hot(window.inputs_at(t), a.vocab_size);
        if a.embedding_size > 0 {
            let product = Matmul {
                m: window.batch,
                n: a.embedding_size,
                k: a.vocab_size,
                transpose_left: false,
                transpose_right: false,
            };
            input = product.product(&input, self.parameter("embedding.weight"));
        }
        mask_words(&mut input, window, t);
        input
    }

    /// Adds to the gradient of the embedding, if there is one, given that of x_0(t).
    pub(super) fn embed_backward(
        &self,
        window: &Window,
        t: usize,
        mut gradient: Vec<f64>,
        gradients: &mut Named,
    ) {
        let a = &self.architecture;
        if a.embedding_size > 0 {
            mask_words(&mut gradient, window, t);
            let words = one_hot(window.inputs_at(t), a.vocab_size);
            let product = Matmul {
                m: a.vocab_size,
                n: a.embedding_size,
                k: window.batch,
                transpose_left: true,
                transpose_right: false,
            };
            add_to(
                gradients,
                "embedding.weight",
                &product.product(&words, &gradient),
            );
        }
    }
}
