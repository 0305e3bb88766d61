//! The plan of a window: its rows sorted by the class of their target.

use super::ClassSoftmax;
use super::direct::Direct;
use crate::device::Device;
use crate::kernels::ROW_FIELDS;
use crate::model::plan::{OutputPlan, PlanBuilder, WindowWords};
use crate::tensor::NONE;

/// The lists of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    /// The class of each row's target, or [`NONE`].
    Targets,
    /// The rows sorted by class, those without a target last.
    Order,
    /// The position of each row in that order.
    Positions,
    /// The groups of rows that have the same class, with the range of its words.
    Groups,
    /// Where the logits of each sorted row lie.
    Rows,
    /// The words of these classes, in training.
    TouchedWords,
    /// With direct connections: the runs added to the logits of the classes.
    ClassRuns,
    /// With direct connections: the runs added to the logits of words.
    WordRuns,
    /// With direct connections, in training: the blocks of the table that the runs touch.
    TouchedBlocks,
    /// The index of each block's first segment.
    FirstSegments,
    /// The segments of runs whose gradients are summed in these blocks.
    Segments,
}

impl ClassSoftmax {
    /// The class of a target.
    fn class(&self, target: u32) -> u32 {
        match target {
            NONE => NONE,
            word => self.class_of[word as usize],
        }
    }

    /// Makes and uploads the plan of a window.
    pub(super) fn make_plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let classes: Vec<u32> = words
            .targets
            .iter()
            .map(|&target| self.class(target))
            .collect();
        let mut order: Vec<u32> = (0..classes.len() as u32).collect();
        order.sort_by_key(|&row| classes[row as usize]);
        let mut positions = vec![0; order.len()];
        for (position, &row) in (0..).zip(&order) {
            positions[row as usize] = position;
        }
        let Grouped {
            groups,
            rows,
            touched,
        } = self.group(&words.targets, &classes, &order);

        let mut plan = PlanBuilder::default();
        plan.push(classes);
        plan.push(order.iter().copied());
        plan.push(positions);
        plan.push(groups);
        plan.push(rows.iter().copied());
        plan.push(touched);
        if let Some((_, direct)) = self.direct {
            self.push_runs(direct, &mut plan, words, &order, &rows);
        }
        plan.upload(device, &self.lists)
    }

    /// Groups the rows of `order` by class.
    fn group(&self, targets: &[u32], classes: &[u32], order: &[u32]) -> Grouped {
        let mut grouped = Grouped::default();
        let mut first_logit = 0;
        let mut listed_words = 0;
        let mut last_class = NONE;
        for (position, &row) in (0..).zip(order) {
            let class = classes[row as usize];
            if class == NONE {
                break;
            }
            let range = &self.ranges[class as usize];
            let first = range.start as u32;
            let size = range.len() as u32;
            if class != last_class {
                last_class = class;
                grouped
                    .groups
                    .extend([position, first, size, first_logit, listed_words]);
                listed_words += size;
                if self.training {
                    grouped.touched.extend(first..first + size);
                }
            }
            let target = targets[row as usize] - first;
            grouped.rows.extend([first_logit, size, target, row]);
            first_logit += size;
        }
        let end = (grouped.rows.len() / ROW_FIELDS) as u32;
        grouped
            .groups
            .extend([end, 0, 0, first_logit, listed_words]);
        grouped
    }

    /// Adds the lists of direct connections: rows in their order for the classes, and in the order
    /// of their targets' classes for words.
    fn push_runs(
        &self,
        direct: Direct,
        plan: &mut PlanBuilder,
        words: &WindowWords<'_>,
        order: &[u32],
        rows: &[u32],
    ) {
        let count = words.targets.len();
        let histories: Vec<Vec<u64>> = (0..count).map(|row| direct.history(words, row)).collect();
        let classes = self.ranges.len();
        let mut class_runs = Vec::new();
        for (row, history) in histories.iter().enumerate() {
            class_runs.extend([(row * classes) as u32, classes as u32]);
            // A row without a target predicts nothing and has no gradient.
            class_runs.extend(match words.targets[row] {
                NONE => vec![NONE; direct.order],
                _ => direct.run_starts(history, None),
            });
        }
        let mut word_runs = Vec::new();
        for (record, &row) in rows.chunks_exact(ROW_FIELDS).zip(order) {
            let class = self.class(words.targets[row as usize]);
            word_runs.extend([record[0], record[1]]);
            word_runs.extend(direct.run_starts(&histories[row as usize], Some(class as usize)));
        }
        plan.push(class_runs.iter().copied());
        plan.push(word_runs.iter().copied());
        if self.training {
            // The gradient of the words' logits follows that of the classes'.
            let offset = (count * classes) as u32;
            let mut records = class_runs;
            for record in word_runs.chunks_exact(direct.record_len()) {
                records.push(record[0] + offset);
                records.extend(&record[1..]);
            }
            direct.push_blocks(plan, &records);
        }
    }
}

/// Lists of a window's sorted rows.
#[derive(Default)]
struct Grouped {
    groups: Vec<u32>,
    rows: Vec<u32>,
    touched: Vec<u32>,
}
