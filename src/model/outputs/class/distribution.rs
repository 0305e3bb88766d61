//! The distribution over all words, and words drawn from it.

use super::{ClassSoftmax, Level, List};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{AddBias, AddRuns, Precision, ROW_FIELDS};
use crate::model::output::draw_index;
use crate::model::parameters::Parameters;
use crate::model::plan::WindowWords;
use crate::model::products::product;
use crate::tensor::Tensor;

/// The logits of some rows on the host.
struct HostLogits {
    /// `[rows, classes]`.
    classes: Vec<f32>,
    /// The logits of the words of each row's class.
    words: Vec<f32>,
    /// Where these lie: start, length, target and row.
    records: Vec<u32>,
}

impl ClassSoftmax {
    /// ln P of every word after each of the hidden states.
    pub(super) fn all_log_probabilities(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
    ) -> Result<Vec<f32>> {
        let vocabulary = self.class_of.len();
        let class_logits = self.logits.reshape(1, self.ranges.len());
        let word_logits = device.scratch("logits of all words", 1, vocabulary)?;
        let mut all = Vec::with_capacity(hidden.rows() * vocabulary);
        for row in 0..hidden.rows() {
            let state = hidden.slice_rows(row..row + 1);
            for (level, logits) in [(self.classes, class_logits), (self.words, word_logits)] {
                level.all_logits(device, parameters, state, logits);
            }
            self.add_all_runs(device, parameters, words, row, [class_logits, word_logits]);
            let mut classes = device.download(&class_logits)?;
            let mut words = device.download(&word_logits)?;
            self.exponential.log_softmax(&mut classes);
            for (class, range) in self.ranges.iter().enumerate() {
                let of_class = &mut words[range.clone()];
                self.exponential.log_softmax(of_class);
                for value in of_class {
                    *value += classes[class];
                }
            }
            all.append(&mut words);
        }
        Ok(all)
    }

    /// Adds the direct connections of a row to the logits of all classes and of all words.
    fn add_all_runs(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        words: &WindowWords<'_>,
        row: usize,
        [class_logits, word_logits]: [Tensor; 2],
    ) {
        let (Some((table, direct)), Some(memory)) = (self.direct, self.all_runs) else {
            return;
        };
        let history = direct.history(words, row);
        let classes = self.ranges.len();
        let mut runs = vec![0, classes as u32];
        runs.extend(direct.run_starts(&history, None));
        for (class, range) in self.ranges.iter().enumerate() {
            runs.extend([range.start as u32, range.len() as u32]);
            runs.extend(direct.run_starts(&history, Some(class)));
        }
        device.upload(&memory, &runs);
        let table = parameters.tensor(table);
        device.run(&AddRuns {
            table,
            runs: memory.slice_rows(0..1),
            output: class_logits,
        });
        device.run(&AddRuns {
            table,
            runs: memory.slice_rows(1..1 + classes),
            output: word_logits,
        });
    }

    /// Draws a word after each of the hidden states: first its class, then the word in it.
    pub(super) fn draw_words(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
        uniform: &[f64],
    ) -> Result<Vec<u32>> {
        // The logits of the classes do not depend on the planned words.
        let any_words = vec![0; uniform.len()];
        let logits = self.host_logits(device, parameters, hidden, words, any_words)?;
        let drawn: Vec<(usize, f64)> = logits
            .classes
            .chunks_exact(self.ranges.len())
            .zip(uniform)
            .map(|(row, &uniform)| draw_index(self.probabilities(row), uniform))
            .collect();
        let first_words = drawn
            .iter()
            .map(|&(class, _)| self.ranges[class].start as u32)
            .collect();
        let logits = self.host_logits(device, parameters, hidden, words, first_words)?;
        let mut drawn_words = vec![0; uniform.len()];
        for record in logits.records.chunks_exact(ROW_FIELDS) {
            let [start, length, _, row] = [0, 1, 2, 3].map(|field| record[field] as usize);
            let (class, rest) = drawn[row];
            let of_class = &logits.words[start..start + length];
            let word = draw_index(self.probabilities(of_class), rest).0;
            drawn_words[row] = (self.ranges[class].start + word) as u32;
        }
        Ok(drawn_words)
    }

    /// Computes and downloads logits as for these targets.
    fn host_logits(
        &self,
        device: &mut Device,
        parameters: &Parameters,
        hidden: Tensor,
        words: &WindowWords<'_>,
        targets: Vec<u32>,
    ) -> Result<HostLogits> {
        let with_targets = WindowWords {
            targets,
            before: Box::new(|row, back| (words.before)(row, back)),
            draw: 0,
        };
        let plan = self.make_plan(device, &with_targets);
        self.compute_logits(device, parameters, hidden, plan, Precision::Full);
        let logits = self.logits(hidden.rows());
        let records = device.download(&self.list(plan, List::Rows, ROW_FIELDS))?;
        let end = records
            .chunks_exact(ROW_FIELDS)
            .last()
            .map_or(0, |record| (record[0] + record[1]) as usize);
        Ok(HostLogits {
            classes: device.download(&logits.classes)?,
            words: device.download(&logits.words.reshape(1, end))?,
            records,
        })
    }

    /// The softmax of logits.
    fn probabilities(&self, logits: &[f32]) -> impl Iterator<Item = f64> {
        let mut logs = logits.to_vec();
        self.exponential.log_softmax(&mut logs);
        logs.into_iter().map(|log| f64::from(log).exp())
    }
}

impl Level {
    /// Computes the logits of all classes or words for one state.
    fn all_logits(&self, device: &mut Device, parameters: &Parameters, state: Tensor, to: Tensor) {
        let weight = parameters.tensor(self.weight);
        device.run(&product(state, weight, to, Precision::Full));
        if let Some(bias) = self.bias {
            let bias = parameters.tensor(bias);
            device.run(&AddBias {
                // A column in memory where its gradient consists of rows.
                bias: bias.reshape(1, bias.len()),
                second: None,
                values: to,
            });
        }
    }
}
