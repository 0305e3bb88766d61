//! The plan of a window: which of its rows have targets in which cluster.

use std::ops::Range;

use super::AdaptiveSoftmax;
use super::losses::ClusterRows;
use crate::device::Device;
use crate::kernels::ROW_FIELDS;
use crate::model::clusters::MAX_CLUSTERS;
use crate::model::plan::{MAX_LISTS, OutputPlan, PlanBuilder, WindowWords};
use crate::tensor::{NONE, Tensor};

/// The lists of a plan: the entry of the head for each row's target; the place of each row among
/// the gathered ones; where the logits of gathered rows lie in their block; and from [`GATHERED`]
/// on, for each cluster the rows that are gathered.
const TARGETS: usize = 0;
const PLACES: usize = 1;
const RECORDS: usize = 2;
const GATHERED: usize = 3;

// There is a list for every cluster after the first three.
const _: () = assert!(GATHERED + MAX_CLUSTERS <= MAX_LISTS);

impl AdaptiveSoftmax {
    /// Makes and uploads the plan of a window.
    pub(super) fn make_plan(&self, device: &mut Device, words: &WindowWords<'_>) -> OutputPlan {
        let targets = &words.targets;
        let mut entries = targets.clone();
        let mut places = vec![NONE; targets.len()];
        let mut records = Vec::new();
        let mut gathered = vec![Vec::new(); self.clusters.len()];
        for (row, &target) in targets.iter().enumerate() {
            if let Some(index) = self.cluster_of(target as usize) {
                entries[row] = (self.head_words + index) as u32;
                gathered[index].push(row as u32);
            }
        }
        let mut place = 0;
        for (index, cluster) in self.clusters.iter().enumerate() {
            let first_word = cluster.words.start as u32;
            let size = cluster.words.len() as u32;
            for (position, &row) in gathered[index].iter().enumerate() {
                places[row as usize] = place;
                place += 1;
                let start = (position % cluster.logits_blocks.rows) as u32 * size;
                records.extend([start, size, targets[row as usize] - first_word, row]);
            }
        }
        let mut plan = PlanBuilder::default();
        plan.push(entries);
        plan.push(places);
        plan.push(records);
        for rows in gathered {
            plan.push(rows);
        }
        plan.upload(device, &self.lists)
    }

    /// The index of a word's cluster; none for words of the head and for [`NONE`].
    fn cluster_of(&self, word: usize) -> Option<usize> {
        self.clusters
            .iter()
            .position(|cluster| cluster.words.contains(&word))
    }

    /// The entry of the head for each row's target.
    pub(super) fn head_targets(&self, plan: OutputPlan) -> Tensor<u32> {
        plan.list(&self.lists, TARGETS, 1)
    }

    /// The place of each row among the gathered ones, or [`NONE`].
    pub(super) fn places(&self, plan: OutputPlan) -> Tensor<u32> {
        plan.list(&self.lists, PLACES, 1)
    }

    /// The gathered rows of each cluster.
    pub(super) fn cluster_rows(&self, plan: OutputPlan) -> Vec<ClusterRows<'_>> {
        let all_records = plan.list(&self.lists, RECORDS, ROW_FIELDS);
        let mut end = 0;
        let mut rows = Vec::with_capacity(self.clusters.len());
        for (index, cluster) in self.clusters.iter().enumerate() {
            let start = end;
            end += plan.len(GATHERED + index);
            let places: Range<usize> = start..end;
            rows.push(ClusterRows {
                cluster,
                rows: plan.list(&self.lists, GATHERED + index, 1),
                records: all_records.slice_rows(places.clone()),
                places,
            });
        }
        rows
    }
}
