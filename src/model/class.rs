//! The softmax over classes and the words of a class: `P(w) = P(class(w)) P(w | class(w))`, for
//! which only the classes and the words of one class need logits. Direct connections, where there
//! are any, add to both.
//!
//! Words are in classes by [`Classes`], each a run of the vocabulary. Rows of a window are sorted
//! by the class of their target, so that the words of a class are multiplied by all the states that
//! wait for one of them at once.

use super::cell::Capacity;
use super::classes::Classes;
use super::config::Config;
use super::direct::Direct;
use super::output::{OutputLayer, Predictions, draw_from};
use super::parameters::{MemoryLayout, ParameterSpec, Parameters, of_tables};
use super::plan::{Lists, OutputPlan, WindowWords};
use super::products::{input_gradient, of_activations, of_gradients, product, weight_gradient};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{
    Activation, AddBias, AddRuns, BLOCK, Exponential, GROUP_FIELDS, Gather, Gradient,
    GroupedMatmul, GroupedProduct, Groups, Matmul, PIECE_FIELDS, Precision, ROW_FIELDS,
    RaggedSoftmax, Rows, RunsGradient, SoftmaxCrossEntropy, SumRows,
};
use crate::tensor::{NONE, Tensor};

/// The names of the parameters, in the order of the file; the biases where there are any, the table
/// of direct connections likewise.
const WORDS: &str = "decoder.weight";
const WORD_BIAS: &str = "decoder.bias";
const CLASSES: &str = "decoder.class_weight";
const CLASS_BIAS: &str = "decoder.class_bias";
/// The name of the table of direct connections.
pub const DIRECT: &str = "direct.weight";
/// Why the weights are there.
const ALWAYS: &str = "a model with classes has weights for them";

/// What a plan lists: the class of each row's target; the rows sorted by it, those without a target
/// last, and each row's place in that order; the groups of rows with the words of their class;
/// where each sorted row's logits lie; the words of these classes; and for direct connections where
/// runs are added to the logits of classes and of words, and how the gradient is put together.
#[derive(Debug, Clone, Copy)]
enum List {
    Targets,
    Order,
    Places,
    Groups,
    Rows,
    Touched,
    ClassRuns,
    WordRuns,
    Blocks,
    Begins,
    Pieces,
}

/// The layer with its scratch memory.
#[derive(Debug)]
pub struct ClassSoftmax {
    ranges: Vec<std::ops::Range<usize>>,
    /// The class of every word.
    class_of: Vec<u32>,
    direct: Option<Direct>,
    mixed: bool,
    training: bool,
    /// rnnlm's where the hidden units have it too.
    exponential: Exponential,
    /// `[rows * (classes + widest class), 1]`: the logits of classes, row by row, and behind them
    /// those of words; then their gradients.
    logits: Tensor,
    /// Hidden states in the order of their targets' classes, `[rows, H]`.
    sorted: Tensor,
    /// Their gradient; one number where nothing is trained.
    sorted_gradient: Tensor,
    /// The plan's lists, `[numbers, 1]`.
    lists: Tensor<u32>,
    /// 0, 1, 2 …: rows that are touched are listed in the order in which they are to be updated.
    ascending: Tensor<u32>,
    /// `[classes + 1, 2 + order]`, where there are direct connections: the runs of a row's whole
    /// distribution.
    all_runs: Option<Tensor<u32>>,
    /// The most words that a window touches, and the most blocks of the table of direct
    /// connections.
    most: [usize; 2],
}

impl ClassSoftmax {
    pub(super) fn parameter_specs(config: &Config) -> Vec<ParameterSpec> {
        let (words, classes, size) = (
            config.vocab_size,
            config.class_sizes().len(),
            config.decoder_input_size(),
        );
        let weight = ParameterSpec::weight(WORDS, words, size, of_tables(config));
        let mut list = vec![ParameterSpec {
            may_be_sharded: false,
            ..weight
        }];
        if config.decoder_bias {
            list.push(ParameterSpec {
                layout: MemoryLayout::Rows(1),
                ..ParameterSpec::bias(WORD_BIAS, words)
            });
        }
        list.push(ParameterSpec::weight(
            CLASSES,
            classes,
            size,
            of_tables(config),
        ));
        if config.decoder_bias {
            list.push(ParameterSpec::bias(CLASS_BIAS, classes));
        }
        if config.direct_size > 0 {
            let table = ParameterSpec::bias(DIRECT, config.direct_size);
            list.push(ParameterSpec {
                layout: MemoryLayout::Rows(BLOCK),
                may_be_sharded: true,
                ..table
            });
        }
        list
    }

    pub(super) fn new(
        device: &mut Device,
        config: &Config,
        rows: usize,
        capacity: Capacity,
    ) -> Result<Self> {
        let ranges = config
            .classes
            .as_ref()
            .map(Classes::ranges)
            .unwrap_or_default();
        let size = config.decoder_input_size();
        let mut sizes: Vec<usize> = ranges.iter().map(std::ops::Range::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let (classes, widest) = (sizes.len(), sizes.first().copied().unwrap_or(0));
        let most_groups = rows.min(classes);
        let touched: usize = sizes[..most_groups].iter().sum();
        let direct = (config.direct_size > 0).then_some(Direct {
            size: config.direct_size,
            order: config.direct_order,
            independent: capacity.independent,
        });
        let [of_classes, of_words] = [classes, widest]
            .map(|length| direct.map_or([0; 2], |direct| direct.most_blocks(rows, length)));
        let [blocks, pieces] = if capacity.training {
            [0, 1].map(|i| of_classes[i] + of_words[i])
        } else {
            [0; 2]
        };
        let blocks = blocks.min(config.direct_size / BLOCK);
        let runs = direct.map_or(0, |direct| rows * (2 + direct.order));
        let touched = if capacity.training { touched } else { 0 };
        let numbers = 3 * rows
            + (most_groups + 1) * GROUP_FIELDS
            + ROW_FIELDS * rows
            + touched
            + 2 * runs
            + 2 * blocks
            + 1
            + PIECE_FIELDS * pieces;
        let ascending: Vec<u32> = (0..touched.max(blocks).max(1) as u32).collect();
        let gradient_shape = if capacity.training {
            [rows, size]
        } else {
            [1, 1]
        };
        Ok(Self {
            logits: device.tensor("logits", rows * (classes + widest), 1)?,
            sorted: device.tensor("sorted states", rows, size)?,
            sorted_gradient: device.tensor(
                "gradient of the sorted states",
                gradient_shape[0],
                gradient_shape[1],
            )?,
            lists: device.tensor("sorted words", numbers, 1)?,
            ascending: device.tensor_from("rows in order", 1, ascending.len(), &ascending)?,
            class_of: ranges
                .iter()
                .zip(0..)
                .flat_map(|(range, class)| range.clone().map(move |_| class))
                .collect(),
            ranges,
            all_runs: match direct {
                None => None,
                Some(direct) => {
                    Some(device.tensor("runs of all words", classes + 1, 2 + direct.order)?)
                }
            },
            direct,
            mixed: capacity.mixed,
            exponential: match config.activation {
                Activation::RnnlmSigmoid => Exponential::Rnnlm,
                _ => Exponential::Exact,
            },
            training: capacity.training,
            most: [touched, blocks],
        })
    }

    fn list(&self, plan: OutputPlan, list: List, columns: usize) -> Tensor<u32> {
        plan.list(&self.lists, list as usize, columns)
    }

    fn groups(&self, plan: OutputPlan) -> Groups {
        let records = self.list(plan, List::Groups, GROUP_FIELDS);
        let widest = self
            .ranges
            .iter()
            .map(std::ops::Range::len)
            .max()
            .unwrap_or(0);
        Groups {
            records,
            count: records.rows() - 1,
            widest,
            touched: plan.len(List::Touched as usize),
        }
    }

    /// Where the logits of classes lie, `[rows, classes]`, and those of words.
    fn logits(&self, rows: usize) -> [Tensor; 2] {
        let classes = self.ranges.len();
        [
            self.logits.reshape(rows, classes),
            self.logits.tail(rows * classes),
        ]
    }

    /// The logits, and from them the losses; the logits become their gradients where there is a
    /// `scale`.
    fn walk(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        predictions: Predictions,
        scale: Option<f32>,
    ) {
        let Predictions {
            hidden,
            losses,
            plan,
            ..
        } = predictions;
        let [classes, words] = self.logits(hidden.rows());
        let precision = if scale.is_some() {
            of_activations(self.mixed)
        } else {
            Precision::Full
        };
        self.multiply(device, parameters, hidden, plan, precision);
        let targets = self.list(plan, List::Targets, 1);
        let (gradient, scale, exponential) =
            (scale.is_some(), scale.unwrap_or(0.0), self.exponential);
        device.run(&SoftmaxCrossEntropy {
            logits: classes,
            targets,
            losses,
            gradient,
            scale,
            exponential,
        });
        device.run(&RaggedSoftmax {
            logits: words,
            rows: self.list(plan, List::Rows, ROW_FIELDS),
            losses,
            gradient,
            scale,
            exponential,
        });
    }

    /// The logits of classes, and of the words of the planned targets' classes.
    fn multiply(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        plan: OutputPlan,
        precision: Precision,
    ) {
        let [classes, words] = self.logits(hidden.rows());
        let parameter = |name: &str| parameter(parameters, name);
        let weight = |name| parameter(name).expect(ALWAYS);
        device.run(&product(hidden, weight(CLASSES), classes, precision));
        if let Some(bias) = parameter(CLASS_BIAS) {
            device.run(&AddBias {
                bias,
                values: classes,
            });
        }
        let sorted = self.sorted.slice_rows(0..hidden.rows());
        let order = self.list(plan, List::Order, 1);
        device.run(&Gather {
            table: hidden,
            tokens: order,
            output: sorted,
        });
        device.run(&GroupedMatmul {
            product: GroupedProduct::Forward,
            groups: self.groups(plan),
            rows: sorted,
            table: weight(WORDS),
            bias: parameter(WORD_BIAS),
            products: words,
            batch_invariant: !self.training,
        });
        if let Some((table, direct)) = parameter(DIRECT).zip(self.direct) {
            for (list, output) in [(List::ClassRuns, classes), (List::WordRuns, words)] {
                let runs = self.list(plan, list, 2 + direct.order);
                device.run(&AddRuns {
                    table,
                    runs,
                    output,
                });
            }
        }
    }

    /// Adds the lists of direct connections to a plan: rows in their order for the classes, and in
    /// that of their targets' classes for words.
    fn push_runs(
        &self,
        direct: Direct,
        lists: &mut Lists,
        words: &WindowWords<'_>,
        order: &[u32],
        rows: &[u32],
    ) {
        let histories: Vec<Vec<u64>> = (0..words.targets.len())
            .map(|row| direct.history(words, row))
            .collect();
        let classes = self.ranges.len();
        let mut of_classes = Vec::new();
        for (row, history) in histories.iter().enumerate() {
            of_classes.extend([(row * classes) as u32, classes as u32]);
            // Nothing is predicted of a row without a target, and nothing is learnt from it.
            let nothing = words.targets[row] == NONE;
            of_classes.extend(
                direct
                    .begins(history, None)
                    .map(|begin| if nothing { NONE } else { begin }),
            );
        }
        let mut of_words = Vec::new();
        for (record, &row) in rows.chunks_exact(ROW_FIELDS).zip(order) {
            of_words.extend([record[0], record[1]]);
            let class = self.class_of[words.targets[row as usize] as usize] as usize;
            of_words.extend(direct.begins(&histories[row as usize], Some(class)));
        }
        lists.push(of_classes.iter().copied());
        lists.push(of_words.iter().copied());
        if self.training {
            let behind = (words.targets.len() * classes) as u32;
            let mut records = of_classes;
            for record in of_words.chunks_exact(2 + direct.order) {
                records.push(record[0] + behind);
                records.extend(&record[1..]);
            }
            direct.push_blocks(lists, &records);
        }
    }
}

impl OutputLayer for ClassSoftmax {
    fn plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let targets = &words.targets;
        let class = |row: usize| {
            if targets[row] == NONE {
                NONE
            } else {
                self.class_of[targets[row] as usize]
            }
        };
        let mut order: Vec<u32> = (0..targets.len() as u32).collect();
        order.sort_by_key(|&row| class(row as usize));
        let mut places = vec![0; order.len()];
        order
            .iter()
            .zip(0..)
            .for_each(|(&row, place)| places[row as usize] = place);

        let (mut groups, mut rows, mut touched) = (Vec::new(), Vec::new(), Vec::new());
        let (mut logits, mut last, mut listed) = (0_u32, NONE, 0_u32);
        for (&row, place) in order.iter().zip(0_u32..) {
            let own = class(row as usize);
            if own == NONE {
                break;
            }
            let range = &self.ranges[own as usize];
            let (first, width) = (range.start as u32, range.len() as u32);
            if own != last {
                groups.extend([place, first, width, logits, listed]);
                listed += width;
                last = own;
                if self.training {
                    touched.extend(first..first + width);
                }
            }
            rows.extend([logits, width, targets[row as usize] - first, row]);
            logits += width;
        }
        groups.extend([rows.len() as u32 / ROW_FIELDS as u32, 0, 0, logits, listed]);

        let mut lists = Lists::default();
        lists.push((0..targets.len()).map(class));
        lists.push(order.iter().copied());
        lists.push(places);
        lists.push(groups);
        lists.push(rows.iter().copied());
        lists.push(touched);
        if let Some(direct) = self.direct {
            self.push_runs(direct, &mut lists, words, &order, &rows);
        }
        lists.upload(device, &self.lists)
    }

    fn most_rows(&self, name: &str) -> Option<usize> {
        match name {
            WORDS | WORD_BIAS => Some(self.most[0].max(1)),
            DIRECT => Some(self.most[1].max(1)),
            _ => None,
        }
    }

    fn touched_rows(&self, name: &str, plan: OutputPlan) -> Option<Rows> {
        let list = match name {
            WORDS | WORD_BIAS => List::Touched,
            DIRECT => List::Blocks,
            _ => return None,
        };
        let tokens = self.list(plan, list, 1);
        Some(Rows {
            tokens,
            order: self.ascending.reshape(1, tokens.len()),
        })
    }

    fn losses(&self, device: &mut Device, parameters: &Parameters, predictions: Predictions) {
        self.walk(device, parameters, predictions, None);
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
        self.walk(device, parameters, predictions, Some(scale));
        let Predictions { hidden, plan, .. } = predictions;
        let [classes, words] = self.logits(hidden.rows());
        let number = |name: &str| parameters.position(name);
        let weight = |name| number(name).expect(ALWAYS);
        let of = |number: usize| gradients[number].values();
        let groups = self.groups(plan);
        let sorted = self.sorted_gradient.slice_rows(0..hidden.rows());
        let back = GroupedMatmul {
            product: GroupedProduct::Input,
            groups,
            rows: sorted,
            table: parameters.tensors()[weight(WORDS)],
            bias: None,
            products: words,
            batch_invariant: false,
        };
        device.run(&back);
        device.run(&Gather {
            table: sorted,
            tokens: self.list(plan, List::Places, 1),
            output: hidden_gradient,
        });
        device.run(&GroupedMatmul {
            product: GroupedProduct::Weight,
            rows: self.sorted.slice_rows(0..hidden.rows()),
            table: of(weight(WORDS)),
            bias: number(WORD_BIAS).map(of),
            ..back
        });
        let precision = of_gradients(self.mixed, scale);
        let class_weight = weight(CLASSES);
        let into_hidden = input_gradient(
            classes,
            parameters.tensors()[class_weight],
            hidden_gradient,
            precision,
        );
        device.run(&Matmul {
            accumulate: true,
            ..into_hidden
        });
        device.run(&weight_gradient(
            classes,
            hidden,
            of(class_weight),
            precision,
        ));
        if let Some(bias) = number(CLASS_BIAS) {
            device.run(&SumRows {
                values: classes,
                output: of(bias),
                accumulate: false,
            });
        }
        if let Some(table) = number(DIRECT) {
            device.run(&RunsGradient {
                gradient: self.logits,
                begins: self.list(plan, List::Begins, 1),
                pieces: self.list(plan, List::Pieces, PIECE_FIELDS),
                sums: of(table),
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
        let (classes, vocabulary) = (self.ranges.len(), self.class_of.len());
        let of_classes = self.logits.reshape(1, classes);
        let of_words = device.scratch("logits of all words", 1, vocabulary)?;
        let mut all = Vec::with_capacity(hidden.rows() * vocabulary);
        for row in 0..hidden.rows() {
            let state = hidden.slice_rows(row..row + 1);
            for (names, logits) in [
                ([CLASSES, CLASS_BIAS], of_classes),
                ([WORDS, WORD_BIAS], of_words),
            ] {
                let [weight, bias] = names.map(|name| parameter(parameters, name));
                device.run(&product(
                    state,
                    weight.expect(ALWAYS),
                    logits,
                    Precision::Full,
                ));
                if let Some(bias) = bias {
                    // As a row, which it is not in memory where words' gradients are those of rows.
                    device.run(&AddBias {
                        bias: bias.reshape(1, bias.len()),
                        values: logits,
                    });
                }
            }
            if let (Some(table), Some(direct), Some(memory)) =
                (parameter(parameters, DIRECT), self.direct, self.all_runs)
            {
                let history = direct.history(words, row);
                let runs: Vec<u32> = [0, classes as u32]
                    .into_iter()
                    .chain(direct.begins(&history, None))
                    .collect();
                let of_ranges = self.ranges.iter().enumerate().flat_map(|(class, range)| {
                    [range.start as u32, range.len() as u32]
                        .into_iter()
                        .chain(direct.begins(&history, Some(class)))
                });
                device.upload(
                    &memory,
                    &runs.into_iter().chain(of_ranges).collect::<Vec<_>>(),
                );
                device.run(&AddRuns {
                    table,
                    runs: memory.slice_rows(0..1),
                    output: of_classes,
                });
                device.run(&AddRuns {
                    table,
                    runs: memory.slice_rows(1..1 + classes),
                    output: of_words,
                });
            }
            let mut class_logits = device.download(&of_classes)?;
            let mut word_logits = device.download(&of_words)?;
            self.exponential.log_softmax(&mut class_logits);
            for (range, class) in self.ranges.iter().zip(class_logits) {
                let within = &mut word_logits[range.clone()];
                self.exponential.log_softmax(within);
                within.iter_mut().for_each(|value| *value += class);
            }
            all.append(&mut word_logits);
        }
        Ok(all)
    }

    fn draw(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
        uniform: &[f64],
    ) -> Result<Vec<u32>> {
        // First the classes, for which it does not matter which words are planned.
        let any = vec![0; uniform.len()];
        let mut logits = |targets: Vec<u32>| {
            let planned = WindowWords {
                targets,
                before: Box::new(|row, back| (words.before)(row, back)),
                draw: 0,
            };
            let plan = self.plan(device, &planned);
            self.multiply(device, parameters, hidden, plan, Precision::Full);
            let of = self.logits(hidden.rows());
            let records = device.download(&self.list(plan, List::Rows, ROW_FIELDS))?;
            let end = records
                .chunks_exact(ROW_FIELDS)
                .last()
                .map_or(0, |record| (record[0] + record[1]) as usize);
            Ok::<_, crate::error::Error>((
                device.download(&of[0])?,
                device.download(&of[1].reshape(1, end))?,
                records,
            ))
        };
        let (classes, ..) = logits(any)?;
        let drawn = classes
            .chunks_exact(self.ranges.len())
            .zip(uniform)
            .map(|(row, &uniform)| draw_from(self.probabilities(row), uniform));
        let drawn: Vec<(usize, f64)> = drawn.collect();
        let (_, all, records) = logits(
            drawn
                .iter()
                .map(|&(class, _)| self.ranges[class].start as u32)
                .collect(),
        )?;
        let mut found = vec![0; uniform.len()];
        for record in records.chunks_exact(ROW_FIELDS) {
            let [begin, length, _, row] = [0, 1, 2, 3].map(|field| record[field] as usize);
            let (class, rest) = drawn[row];
            let word = draw_from(self.probabilities(&all[begin..begin + length]), rest).0;
            found[row] = (self.ranges[class].start + word) as u32;
        }
        Ok(found)
    }
}

impl ClassSoftmax {
    /// What the layer's softmax makes of logits.
    fn probabilities(&self, logits: &[f32]) -> impl Iterator<Item = f64> {
        let mut logs = logits.to_vec();
        self.exponential.log_softmax(&mut logs);
        logs.into_iter().map(|log| f64::from(log).exp())
    }
}

/// The parameter of this name on the device, where the model has it.
fn parameter(parameters: &Parameters, name: &str) -> Option<Tensor> {
    parameters
        .position(name)
        .map(|number| parameters.tensors()[number])
}
