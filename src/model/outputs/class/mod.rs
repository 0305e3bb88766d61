//! The two-level softmax over classes and the words of a class: `P(w) = P(class(w)) P(w |
//! class(w))`, so that only the classes and the words of one class need logits. Direct connections,
//! if configured, add to both.
//!
//! [`Classes`](crate::model::Classes) assigns words to classes, each a range of the vocabulary.
//! Rows of a window are sorted by the class of their target, so that one product computes the
//! logits of a class's words for all rows that need them.

mod direct;
mod distribution;
mod losses;
mod plan;
mod sizes;

use std::ops::Range;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Activation, BLOCK, Exponential, GROUP_FIELDS, Gather, Gradient, GroupedMatmul, GroupedProduct,
    Groups, Matmul, RunsGradient, SEGMENT_FIELDS, SparseRows, SumRows,
};
use crate::model::cells::cell_kind;
use crate::model::config::Config;
use crate::model::layer::LayerContext;
use crate::model::output::{OutputLayer, Predictions};
use crate::model::parameter_spec::{
    DECODER_BIAS, DECODER_WEIGHT, DIRECT_WEIGHT, MemoryLayout, ParameterId, ParameterSpec,
};
use crate::model::parameters::Parameters;
use crate::model::plan::{OutputPlan, WindowWords};
use crate::model::products::{gradient_precision, input_gradient, weight_gradient};
use crate::tensor::Tensor;
use direct::Direct;
use plan::List;
use sizes::Sizes;

/// The names of the classes' parameters.
const CLASS_WEIGHT: &str = "decoder.class_weight";
const CLASS_BIAS: &str = "decoder.class_bias";

/// The layer with its scratch memory.
#[derive(Debug)]
pub(super) struct ClassSoftmax {
    classes: Level,
    words: Level,
    direct: Option<(ParameterId, Direct)>,
    ranges: Vec<Range<usize>>,
    /// The class of every word.
    class_of: Vec<u32>,
    mixed: bool,
    training: bool,
    /// rnnlm's approximation where the hidden units have it too.
    exponential: Exponential,
    /// `[rows * (classes + largest class), 1]`: the logits of the classes row by row, followed by
    /// those of words; then their gradients.
    logits: Tensor,
    /// `[rows, H]`: hidden states sorted by the classes of their targets.
    sorted: Tensor,
    /// Their gradient; one element outside of training.
    sorted_gradient: Tensor,
    /// The lists of the plan, `[values, 1]`.
    lists: Tensor<u32>,
    /// 0, 1, 2 …: touched rows are listed in the order in which they are updated.
    ascending: Tensor<u32>,
    /// `[classes + 1, 2 + order]`, with direct connections: the runs of a row's whole distribution.
    all_runs: Option<Tensor<u32>>,
    /// The largest number of words that a window touches, at least 1.
    max_touched_words: usize,
    /// The largest number of blocks of direct connections that a window touches, at least 1.
    max_touched_blocks: usize,
}

/// The parameters of the softmax over classes, or of that over words.
#[derive(Debug, Clone, Copy)]
struct Level {
    weight: ParameterId,
    bias: Option<ParameterId>,
}

/// The logits of a window, or their gradients.
#[derive(Debug, Clone, Copy)]
struct Logits {
    /// `[rows, classes]`.
    classes: Tensor,
    /// The logits of the words of each row's class, in one row.
    words: Tensor,
}

impl ClassSoftmax {
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let words = config.vocab_size;
        let classes = config.class_sizes().len();
        let size = config.decoder_input_size();
        let initializer = cell_kind(config).table_initializer();
        let mut specs = vec![ParameterSpec {
            may_be_sharded: false,
            ..ParameterSpec::weight(DECODER_WEIGHT, words, size, initializer)
        }];
        if config.decoder_bias {
            specs.push(ParameterSpec {
                layout: MemoryLayout::Rows(1),
                ..ParameterSpec::bias(DECODER_BIAS, words)
            });
        }
        specs.push(ParameterSpec::weight(
            CLASS_WEIGHT,
            classes,
            size,
            initializer,
        ));
        if config.decoder_bias {
            specs.push(ParameterSpec::bias(CLASS_BIAS, classes));
        }
        if config.direct_size > 0 {
            specs.push(ParameterSpec {
                layout: MemoryLayout::Rows(BLOCK),
                may_be_sharded: true,
                ..ParameterSpec::bias(DIRECT_WEIGHT, config.direct_size)
            });
        }
        specs
    }

    pub(super) fn new(context: &mut LayerContext<'_>) -> Result<Self> {
        let config = context.config;
        let capacity = context.capacity;
        let rows = capacity.rows();
        let ranges = config
            .classes
            .as_ref()
            .expect("a validated configuration has the classes that its output layer needs")
            .ranges();
        let direct = (config.direct_size > 0).then_some(Direct {
            size: config.direct_size,
            order: config.direct_order,
            independent: capacity.independent,
        });
        let sizes = Sizes::new(&ranges, direct, rows, capacity.training);
        let longest = sizes.touched_words.max(sizes.touched_blocks).max(1);
        let ascending: Vec<u32> = (0..longest as u32).collect();
        let bias = |name| config.decoder_bias.then(|| context.id(name));
        let classes = Level {
            weight: context.id(CLASS_WEIGHT),
            bias: bias(CLASS_BIAS),
        };
        let words = Level {
            weight: context.id(DECODER_WEIGHT),
            bias: bias(DECODER_BIAS),
        };
        let direct = direct.map(|direct| (context.id(DIRECT_WEIGHT), direct));
        let device = &mut *context.device;
        let size = config.decoder_input_size();
        let [gradient_rows, gradient_columns] = capacity.gradient_shape(rows, size);
        let all_runs = match direct {
            None => None,
            Some((_, direct)) => {
                Some(device.tensor("runs of all words", ranges.len() + 1, direct.record_len())?)
            }
        };
        Ok(Self {
            classes,
            words,
            direct,
            logits: device.tensor("logits", rows * (ranges.len() + sizes.largest_class), 1)?,
            sorted: device.tensor("sorted states", rows, size)?,
            sorted_gradient: device.tensor(
                "gradient of the sorted states",
                gradient_rows,
                gradient_columns,
            )?,
            lists: device.tensor("sorted words", sizes.list_values, 1)?,
            ascending: device.tensor_from("rows in order", 1, ascending.len(), &ascending)?,
            all_runs,
            class_of: (0..)
                .zip(&ranges)
                .flat_map(|(class, range)| vec![class; range.len()])
                .collect(),
            ranges,
            mixed: capacity.mixed,
            training: capacity.training,
            exponential: match config.activation {
                Activation::RnnlmSigmoid => Exponential::Rnnlm,
                _ => Exponential::Exact,
            },
            max_touched_words: sizes.touched_words.max(1),
            max_touched_blocks: sizes.touched_blocks.max(1),
        })
    }

    fn list(&self, plan: OutputPlan, list: List, columns: usize) -> Tensor<u32> {
        plan.list(&self.lists, list as usize, columns)
    }

    fn groups(&self, plan: OutputPlan) -> Groups {
        let records = self.list(plan, List::Groups, GROUP_FIELDS);
        Groups {
            records,
            count: records.rows() - 1,
            max_width: self.ranges.iter().map(Range::len).max().unwrap_or(0),
            total_width: plan.len(List::TouchedWords as usize),
        }
    }

    /// The logits of `rows` rows.
    fn logits(&self, rows: usize) -> Logits {
        let classes = self.ranges.len();
        Logits {
            classes: self.logits.reshape(rows, classes),
            words: self.logits.tail(rows * classes),
        }
    }
}

impl OutputLayer for ClassSoftmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        self.make_plan(device, words)
    }

    fn max_touched_rows(&self, id: ParameterId) -> Option<usize> {
        if id == self.words.weight || Some(id) == self.words.bias {
            Some(self.max_touched_words)
        } else if self.direct.is_some_and(|(table, _)| table == id) {
            Some(self.max_touched_blocks)
        } else {
            None
        }
    }

    fn touched_rows(&self, id: ParameterId, plan: OutputPlan) -> Option<SparseRows> {
        let list = if id == self.words.weight || Some(id) == self.words.bias {
            List::TouchedWords
        } else if self.direct.is_some_and(|(table, _)| table == id) {
            List::TouchedBlocks
        } else {
            return None;
        };
        let tokens = self.list(plan, list, 1);
        Some(SparseRows {
            tokens,
            order: self.ascending.reshape(1, tokens.len()),
        })
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        self.compute_losses(device, parameters, predictions, None);
    }

    fn losses_and_gradient(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: f32,
        hidden_gradient: Tensor,
        gradients: &[Gradient],
    ) {
        self.compute_losses(device, parameters, predictions, Some(scale));
        let Predictions { hidden, plan, .. } = predictions;
        let logits = self.logits(hidden.rows());
        let gradient_of = |id: ParameterId| gradients[id.index()].values();
        let sorted_gradient = self.sorted_gradient.slice_rows(0..hidden.rows());
        let words = GroupedMatmul {
            product: GroupedProduct::InputGradient,
            groups: self.groups(plan),
            rows: sorted_gradient,
            table: parameters.tensor(self.words.weight),
            bias: None,
            products: logits.words,
            batch_invariant: false,
        };
        device.run(&words);
        device.run(&Gather {
            table: sorted_gradient,
            tokens: self.list(plan, List::Positions, 1),
            output: hidden_gradient,
        });
        device.run(&GroupedMatmul {
            product: GroupedProduct::WeightGradient,
            rows: self.sorted.slice_rows(0..hidden.rows()),
            table: gradient_of(self.words.weight),
            bias: self.words.bias.map(gradient_of),
            ..words
        });
        let precision = gradient_precision(self.mixed, scale);
        let class_weight = parameters.tensor(self.classes.weight);
        device.run(&Matmul {
            accumulate: true,
            ..input_gradient(logits.classes, class_weight, hidden_gradient, precision)
        });
        device.run(&weight_gradient(
            logits.classes,
            hidden,
            gradient_of(self.classes.weight),
            precision,
        ));
        if let Some(bias) = self.classes.bias {
            device.run(&SumRows {
                values: logits.classes,
                output: gradient_of(bias),
                copy: None,
                accumulate: false,
            });
        }
        if let Some((table, _)) = self.direct {
            device.run(&RunsGradient {
                gradient: self.logits,
                segment_starts: self.list(plan, List::FirstSegments, 1),
                segments: self.list(plan, List::Segments, SEGMENT_FIELDS),
                sums: gradient_of(table),
            });
        }
    }

    fn distribution(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        self.all_log_probabilities(device, parameters, hidden, words)
    }

    fn draw(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
        uniform: &[f64],
    ) -> Result<Vec<u32>> {
        self.draw_words(device, parameters, hidden, words, uniform)
    }
}
