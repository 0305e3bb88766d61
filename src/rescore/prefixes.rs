//! Scores many token sequences that share prefixes with one network: every prefix is walked once,
//! the prefixes of one length side by side.
//!
//! An edge is a prefix with the token that follows it. Edges of one length are rows of a batch: a
//! row reads the prefix's last token from the state that the row of the shorter edge left, and
//! predicts the token that follows.

use std::collections::HashMap;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{CopyValues, Gather};
use crate::model::{Capacity, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// Rows of a batch. Every batch is as large, so that a row's arithmetic does not depend on how many
/// there are.
const BATCH: usize = 256;

/// What comes before all sequences: the boundary, after states and the tokens that led to them.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Tokens before the boundary, the newest last; as many as a model may look back.
    pub tokens: Vec<u32>,
    /// The carried states before the boundary is read, each of one stream; none: the states that
    /// texts begin with.
    pub states: Option<Vec<Vec<f32>>>,
}

/// Edges of one length.
#[derive(Debug, Default)]
struct Level {
    /// The row of the shorter edge, a token that is read, and one that is predicted.
    edges: Vec<(u32, u32, u32)>,
    /// -ln P of what is predicted.
    losses: Vec<f32>,
}

/// A network with room for prefixes.
#[derive(Debug)]
pub struct PrefixScorer<'a> {
    model: &'a Model,
    workspace: Workspace,
    /// `[2, BATCH]`: tokens that are read, and those that are predicted.
    tokens: Tensor<u32>,
    /// The rows of the shorter edges.
    parents: Tensor<u32>,
    /// For each carried state, the rows that one length left and those that the next leaves,
    /// `[rows, size]`.
    pools: Vec<[Tensor; 2]>,
    rows: usize,
}

impl<'a> PrefixScorer<'a> {
    /// Makes room for up to `rows` edges of one length.
    ///
    /// # Errors
    /// If something is too large for the device.
    pub fn new(device: &mut Device, model: &'a Model, rows: usize) -> Result<Self> {
        let capacity = Capacity {
            batch: BATCH,
            time_steps: 1,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, model, capacity)?;
        let rows = rows.next_multiple_of(BATCH);
        let mut pools = Vec::new();
        for carried in workspace.carried() {
            let mut pool = || device.tensor("states of prefixes", rows, carried.columns());
            pools.push([pool()?, pool()?]);
        }
        Ok(Self {
            model,
            workspace,
            tokens: device.tensor("tokens", 2, BATCH)?,
            parents: device.tensor("prefixes", 1, BATCH)?,
            pools,
            rows,
        })
    }

    /// The most edges of one length.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// ln P of every token of the sequences, and of the boundary after them. An unknown token,
    /// [`NONE`], is read as nothing, and what is said of its probability is 0.
    ///
    /// # Errors
    /// If the device failed.
    ///
    /// # Panics
    /// If there are more sequences than rows.
    pub fn score(
        &mut self,
        device: &mut Device,
        context: &Context,
        sequences: &[&[u32]],
    ) -> Result<Vec<Vec<f64>>> {
        assert!(
            sequences.len() <= self.rows,
            "{} sequences and room for {}",
            sequences.len(),
            self.rows
        );
        self.begin(device, context);
        let longest = sequences
            .iter()
            .map(|sequence| sequence.len())
            .max()
            .unwrap_or(0);
        let mut levels: Vec<Level> = Vec::with_capacity(longest + 1);
        // The edge of each sequence at the length that is being walked.
        let mut places = vec![0_u32; sequences.len()];
        let mut found: Vec<Vec<u32>> = vec![Vec::new(); sequences.len()];
        for depth in 0..=longest {
            let mut level = Level::default();
            let mut known: HashMap<(u32, u32), u32> = HashMap::new();
            for (sequence, place) in sequences
                .iter()
                .zip(&mut places)
                .filter(|(sequence, _)| depth <= sequence.len())
            {
                let read = if depth == 0 { 0 } else { sequence[depth - 1] };
                let predicted = sequence.get(depth).copied().unwrap_or(0);
                // An unknown token and the boundary are no edges of their own: nothing follows
                // either, or it is told apart by the parent.
                let is_end = depth == sequence.len();
                let key = (*place, if is_end { NONE - 1 } else { predicted });
                *place = *known.entry(key).or_insert_with(|| {
                    level.edges.push((*place, read, predicted));
                    level.edges.len() as u32 - 1
                });
            }
            levels.push(level);
            self.walk(device, context, &mut levels)?;
            for ((sequence, place), found) in sequences.iter().zip(&places).zip(&mut found) {
                if depth <= sequence.len() {
                    found.push(*place);
                }
            }
        }
        let of_sequence = |places: Vec<u32>| {
            let losses = places
                .into_iter()
                .zip(&levels)
                .map(|(place, level)| -f64::from(level.losses[place as usize]));
            losses.collect()
        };
        Ok(found.into_iter().map(of_sequence).collect())
    }

    /// Puts the context's states where the edges of no prefix look for theirs: row 0.
    fn begin(&self, device: &mut Device, context: &Context) {
        self.workspace.reset(device);
        for (number, (carried, pool)) in self
            .workspace
            .carried()
            .into_iter()
            .zip(&self.pools)
            .enumerate()
        {
            let row = pool[0].slice_rows(0..1);
            match &context.states {
                Some(states) => device.upload(&row, &states[number]),
                None => device.run(&CopyValues {
                    input: carried.slice_rows(0..1),
                    output: row,
                }),
            }
        }
    }

    /// Walks the last level.
    fn walk(&mut self, device: &mut Device, context: &Context, levels: &mut [Level]) -> Result<()> {
        let (last, before) = levels
            .split_last_mut()
            .map_or((None, &[][..]), |(last, before)| (Some(last), &*before));
        let Some(level) = last else { return Ok(()) };
        for first in (0..level.edges.len()).step_by(BATCH) {
            let edges = &level.edges[first..(first + BATCH).min(level.edges.len())];
            let padded = |field: fn(&(u32, u32, u32)) -> u32, padding: u32| {
                let mut values: Vec<u32> = edges.iter().map(field).collect();
                values.resize(BATCH, padding);
                values
            };
            let (parents, read, targets) = (
                padded(|edge| edge.0, 0),
                padded(|edge| edge.1, NONE),
                padded(|edge| edge.2, NONE),
            );
            device.upload(&self.parents, &parents);
            device.upload(&self.tokens, &[read, targets.clone()].concat());
            for (carried, pool) in self.workspace.carried().into_iter().zip(&self.pools) {
                device.run(&Gather {
                    table: pool[0],
                    tokens: self.parents,
                    output: carried,
                });
            }
            let edges: &[(u32, u32, u32)] = edges;
            let look_back = |row: usize, back: usize| {
                edges
                    .get(row)
                    .map_or(0, |&edge| history(edge, before, &context.tokens, back))
            };
            let words = WindowWords {
                targets,
                before: Box::new(look_back),
                draw: 0,
            };
            let plan = self.workspace.plan(device, &words);
            let window = Window {
                plan,
                ..Window::new(
                    1,
                    self.tokens.slice_rows(0..1),
                    self.tokens.slice_rows(1..2),
                )
            };
            self.model.forward(device, &self.workspace, &window);
            self.model.losses(device, &self.workspace, &window);
            let losses = device.download(&self.workspace.losses(&window))?;
            level.losses.extend(&losses[..edges.len()]);
            for (carried, pool) in self.workspace.carried().into_iter().zip(&self.pools) {
                device.run(&CopyValues {
                    input: carried,
                    output: pool[1].slice_rows(first..first + BATCH),
                });
            }
        }
        self.pools.iter_mut().for_each(|pool| pool.swap(0, 1));
        Ok(())
    }
}

/// The token that was read `back` tokens before what an edge reads.
fn history(
    (parent, read, _): (u32, u32, u32),
    before: &[Level],
    context: &[u32],
    back: usize,
) -> u32 {
    let (mut parent, mut read) = (parent, read);
    for step in 0..back {
        match before.len().checked_sub(step + 1) {
            Some(depth) => (parent, read, _) = before[depth].edges[parent as usize],
            // Before the first boundary.
            None => {
                return context
                    .iter()
                    .rev()
                    .nth(back - before.len() - 1)
                    .copied()
                    .unwrap_or(0);
            }
        }
    }
    read
}
