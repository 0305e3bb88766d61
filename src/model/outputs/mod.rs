//! The table of output layers.
//!
//! A new output layer is a row here, and a file in this folder that implements
//! [`OutputLayer`](super::output::OutputLayer).

mod adaptive;
mod blocks;
mod class;
mod mixture;
mod past_decoder;
mod sampled;
mod softmax;

use super::config::Config;
use super::output::OutputKind;
use adaptive::AdaptiveSoftmax;
use class::ClassSoftmax;
use mixture::MixtureOfSoftmaxes;
use sampled::SampledSoftmax;
use softmax::Softmax;

/// All output layers.
pub static OUTPUTS: &[OutputKind] = &[
    OutputKind {
        name: "softmax",
        description: "full softmax over the vocabulary",
        has_classes: false,
        has_clusters: false,
        has_noise: false,
        supports_direct: false,
        supports_tied: true,
        supports_mixture: true,
        supports_past_decode: true,
        is_full_softmax: true,
        parameter_specs: |config| match config.mixture {
            0 => Softmax::parameter_specs(config),
            _ => MixtureOfSoftmaxes::parameter_specs(config),
        },
        new: |context, _| {
            if context.config.mixture > 0 {
                return Ok(Box::new(MixtureOfSoftmaxes::new(context)?));
            }
            let rows = context.capacity.rows();
            Ok(Box::new(Softmax::new(context, rows)?))
        },
    },
    OutputKind {
        name: "class",
        description: "two-level softmax: word classes, then words within a class (Goodman 2001, \
            Mikolov 2011)",
        has_classes: true,
        has_clusters: false,
        has_noise: false,
        supports_direct: true,
        supports_tied: false,
        supports_mixture: false,
        supports_past_decode: false,
        is_full_softmax: false,
        parameter_specs: ClassSoftmax::parameter_specs,
        new: |context, _| Ok(Box::new(ClassSoftmax::new(context)?)),
    },
    OutputKind {
        name: "adaptive",
        description: "softmax over frequent words and clusters of rare words, then words within a \
            cluster, with smaller states for rarer words (Grave 2017): exact, for vocabularies of \
            many thousands of words",
        has_classes: false,
        has_clusters: true,
        has_noise: false,
        supports_direct: false,
        supports_tied: false,
        supports_mixture: false,
        supports_past_decode: false,
        is_full_softmax: false,
        parameter_specs: AdaptiveSoftmax::parameter_specs,
        new: |context, _| Ok(Box::new(AdaptiveSoftmax::new(context)?)),
    },
    OutputKind {
        name: "sampled",
        description: "full softmax, trained on the words of each window and a sample of the others \
            (Jean 2015, Mnih and Teh 2012). With `optimizer = sgd` or `optimizer = adagrad` the \
            cost of a window does not depend on the size of the vocabulary; the other optimizers, \
            `tied`, `l2`, `accumulate` and `average` update all weights. The training loss is that \
            of the sample and not comparable to others; validation uses the full softmax",
        has_classes: false,
        has_clusters: false,
        has_noise: true,
        supports_direct: false,
        supports_tied: true,
        supports_mixture: false,
        supports_past_decode: false,
        is_full_softmax: true,
        parameter_specs: SampledSoftmax::parameter_specs,
        new: |context, counts| {
            if context.capacity.training {
                return Ok(Box::new(SampledSoftmax::new(context, counts)?));
            }
            let rows = context.capacity.rows();
            Ok(Box::new(Softmax::new(context, rows)?))
        },
    },
];

/// The row of [`OUTPUTS`] with this name.
pub fn find_output(name: &str) -> Option<&'static OutputKind> {
    OUTPUTS.iter().find(|row| row.name == name)
}

/// The configuration's row of [`OUTPUTS`].
///
/// # Panics
/// If the configuration was not validated.
pub fn output_kind(config: &Config) -> &'static OutputKind {
    find_output(&config.output).expect("a validated configuration names an output of the table")
}

/// The settings of `output` that have a capability, such as `` `output = class` ``.
pub fn outputs_with(capability: impl Fn(&OutputKind) -> bool) -> String {
    OUTPUTS
        .iter()
        .filter(|row| capability(row))
        .map(|row| format!("`output = {}`", row.name))
        .collect::<Vec<_>>()
        .join(" or ")
}
