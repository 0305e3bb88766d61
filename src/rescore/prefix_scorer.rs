//! Scores token sequences that share prefixes with one network. Each prefix is computed once, and
//! prefixes of the same length are computed in batches.
//!
//! An edge is a prefix with the token that follows it. Edges of the same length are the rows of a
//! batch: a row reads the last token of its prefix, starting from the state of the row of its
//! parent edge, which is one token shorter, and predicts the token that follows.

use std::collections::HashMap;

use crate::activity;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{CopyValues, Gather};
use crate::model::{Capacity, Model, Window, WindowWords, Workspace};
use crate::tensor::{NONE, Tensor};

/// Rows of a batch. The size is constant, so that the arithmetic of a row does not depend on the
/// number of rows.
const BATCH: usize = 256;

/// The context of all sequences: the tokens and states before the boundary that starts them.
#[derive(Debug, Clone, Default)]
pub struct PrefixContext {
    /// The tokens before the boundary, oldest first. Models use at most their maximum history.
    pub tokens: Vec<u32>,
    /// The carried states before the boundary is read, each of one stream; `None` for the initial
    /// states of the model.
    pub states: Option<Vec<Vec<f32>>>,
}

/// A prefix, and the token that follows it.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// The index of the parent edge in its level.
    parent: u32,
    /// The token that is read: the last token of the prefix.
    input: u32,
    /// The token that is predicted.
    target: u32,
}

/// The edges of one prefix length.
#[derive(Debug, Default)]
struct EdgeLevel {
    edges: Vec<Edge>,
    /// -ln P of the target of each edge.
    losses: Vec<f32>,
}

/// A network and the memory to score prefixes.
#[derive(Debug)]
pub struct PrefixScorer<'a> {
    model: &'a Model,
    workspace: Workspace,
    /// `[2, BATCH]`: input tokens and target tokens.
    tokens: Tensor<u32>,
    /// `[1, BATCH]`: the rows of the parent edges.
    parents: Tensor<u32>,
    /// For each carried state, the states of the previous and of the current level, `[rows, size]`.
    pools: Vec<[Tensor; 2]>,
    rows: usize,
}

impl<'a> PrefixScorer<'a> {
    /// Allocates memory for up to `rows` edges per level.
    ///
    /// # Errors
    /// If a tensor is too large for the device.
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

    /// Maximum number of edges per level.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// ln P of every token of the sequences, and of the boundary after each. An unknown token,
    /// [`NONE`], contributes no input, and its ln P is 0.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are more sequences than [`Self::rows`].
    pub fn score(
        &mut self,
        device: &mut Device,
        context: &PrefixContext,
        sequences: &[&[u32]],
    ) -> Result<Vec<Vec<f64>>> {
        assert!(
            sequences.len() <= self.rows,
            "{} sequences exceed the {} rows",
            sequences.len(),
            self.rows
        );
        self.set_initial_states(device, context);
        let longest = sequences
            .iter()
            .map(|sequence| sequence.len())
            .max()
            .unwrap_or(0);
        let mut levels: Vec<EdgeLevel> = Vec::with_capacity(longest + 1);
        // The edge of each sequence at each length.
        let mut paths: Vec<Vec<u32>> = vec![Vec::new(); sequences.len()];
        for depth in 0..=longest {
            levels.push(next_level(sequences, depth, &mut paths));
            self.compute_last_level(device, context, &mut levels)?;
        }
        let log_probabilities = |path: &Vec<u32>| {
            let losses = levels.iter().zip(path);
            losses
                .map(|(level, &edge)| -f64::from(level.losses[edge as usize]))
                .collect()
        };
        Ok(paths.iter().map(log_probabilities).collect())
    }

    /// Stores the states of the context in row 0, from which the edges of the first level read.
    fn set_initial_states(&self, device: &mut Device, context: &PrefixContext) {
        self.workspace.reset(device);
        for (index, carried) in self.workspace.carried().into_iter().enumerate() {
            let row = self.pools[index][0].slice_rows(0..1);
            match &context.states {
                Some(states) => device.upload(&row, &states[index]),
                None => device.run(&CopyValues {
                    input: carried.slice_rows(0..1),
                    output: row,
                }),
            }
        }
    }

    /// Computes the losses and the states of the last level.
    fn compute_last_level(
        &mut self,
        device: &mut Device,
        context: &PrefixContext,
        levels: &mut [EdgeLevel],
    ) -> Result<()> {
        let Some((level, previous)) = levels.split_last_mut() else {
            return Ok(());
        };
        let EdgeLevel { edges, losses } = level;
        for (index, batch) in edges.chunks(BATCH).enumerate() {
            activity::advanced();
            losses.extend(self.compute_batch(device, context, batch, previous)?);
            let first = index * BATCH;
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

    /// Computes up to [`BATCH`] edges and returns their losses. `previous` are the levels of all
    /// shorter edges.
    fn compute_batch(
        &self,
        device: &mut Device,
        context: &PrefixContext,
        edges: &[Edge],
        previous: &[EdgeLevel],
    ) -> Result<Vec<f32>> {
        let parents = padded(edges, |edge| edge.parent, 0);
        let inputs = padded(edges, |edge| edge.input, NONE);
        let targets = padded(edges, |edge| edge.target, NONE);
        device.upload(&self.parents, &parents);
        device.upload(&self.tokens, &[inputs, targets.clone()].concat());
        for (carried, pool) in self.workspace.carried().into_iter().zip(&self.pools) {
            device.run(&Gather {
                table: pool[0],
                tokens: self.parents,
                output: carried,
            });
        }
        let look_back = |row: usize, back: usize| {
            edges
                .get(row)
                .map_or(0, |&edge| history(edge, previous, &context.tokens, back))
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
        let mut losses = device.download(&self.workspace.losses(&window))?;
        losses.truncate(edges.len());
        Ok(losses)
    }
}

/// The edges of the sequences at prefix length `depth`. Appends the edge of each sequence that is
/// long enough to its path.
fn next_level(sequences: &[&[u32]], depth: usize, paths: &mut [Vec<u32>]) -> EdgeLevel {
    let mut level = EdgeLevel::default();
    let mut edge_ids: HashMap<(u32, u32), u32> = HashMap::new();
    for (index, sequence) in sequences.iter().enumerate() {
        if depth > sequence.len() {
            continue;
        }
        let parent = paths[index].last().copied().unwrap_or(0);
        let input = if depth == 0 { 0 } else { sequence[depth - 1] };
        let target = sequence.get(depth).copied().unwrap_or(0);
        // The key of the end differs from that of token 0, which may also occur inside a sequence.
        let is_end = depth == sequence.len();
        let key = (parent, if is_end { NONE - 1 } else { target });
        let edge = *edge_ids.entry(key).or_insert_with(|| {
            level.edges.push(Edge {
                parent,
                input,
                target,
            });
            level.edges.len() as u32 - 1
        });
        paths[index].push(edge);
    }
    level
}

/// A field of each edge, padded to [`BATCH`] values.
fn padded(edges: &[Edge], field: fn(&Edge) -> u32, padding: u32) -> Vec<u32> {
    let mut values: Vec<u32> = edges.iter().map(field).collect();
    values.resize(BATCH, padding);
    values
}

/// The token `back` positions before the input of an edge. `previous` are the levels of all shorter
/// edges, and `context` the tokens before the first boundary.
fn history(mut edge: Edge, previous: &[EdgeLevel], context: &[u32], back: usize) -> u32 {
    for step in 0..back {
        match previous.len().checked_sub(step + 1) {
            Some(depth) => edge = previous[depth].edges[edge.parent as usize],
            // Before the first boundary.
            None => {
                return context
                    .iter()
                    .rev()
                    .nth(back - previous.len() - 1)
                    .copied()
                    .unwrap_or(0);
            }
        }
    }
    edge.input
}
