//! Sums over ranks of gradients that consist of rows.
//!
//! Ranks have different rows. They exchange the indices, and each makes a table of the rows that
//! any rank has, with zeros where it has none. The tables are summed as dense gradients are, so
//! that a rank receives each sum once, however many ranks there are.

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Gradient, SparseRows};
use crate::model::Parameters;
use crate::parallel::Ranks;
use crate::tensor::{NONE, Tensor};

/// The memory for such sums.
#[derive(Debug)]
pub(super) struct RowSums {
    /// For each parameter whose gradient consists of rows, memory for those of all ranks.
    memory: Vec<Option<RowMemory>>,
    /// The rows of a parameter.
    table: Vec<f32>,
}

/// Memory on the device.
#[derive(Debug, Clone, Copy)]
struct RowMemory {
    values: Tensor,
    tokens: Tensor<u32>,
    /// 0, 1, 2, …: the rows are sorted.
    order: Tensor<u32>,
}

/// The rows of a gradient of this rank: the position and the index of each, by index.
struct OwnRows {
    parameter: usize,
    values: Tensor,
    rows: Vec<(usize, u32)>,
}

impl RowSums {
    pub(super) fn new(parameters: &Parameters) -> Self {
        Self {
            memory: vec![None; parameters.specs().len()],
            table: Vec::new(),
        }
    }

    /// The gradients, with sums over ranks in the place of those that consist of rows.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn sum(
        &mut self,
        device: &mut Device,
        ranks: &Ranks,
        parameters: &Parameters,
        gradients: &[Gradient],
    ) -> Result<Vec<Gradient>> {
        let mut sums = gradients.to_vec();
        let mut own = Vec::new();
        for (parameter, gradient) in gradients.iter().enumerate() {
            if let Gradient::Sparse(values, rows) = gradient {
                own.push(OwnRows {
                    parameter,
                    values: *values,
                    rows: rows.download(device)?,
                });
            }
        }
        if own.is_empty() {
            return Ok(sums);
        }
        for (own, indices) in own.iter().zip(all_indices(ranks, &own)) {
            self.fill_table(device, own, &indices)?;
            ranks.sum(&mut self.table);
            let largest = parameters.tensors()[own.parameter].rows();
            let memory = self.reserve(device, own, [indices.len(), largest])?;
            sums[own.parameter] = memory.upload(device, indices, &self.table);
        }
        Ok(sums)
    }

    /// Fills the table with the rows of this rank, each in the place of its index.
    fn fill_table(&mut self, device: &mut Device, own: &OwnRows, indices: &[u32]) -> Result<()> {
        let columns = own.values.columns();
        self.table.clear();
        self.table.resize(indices.len() * columns, 0.0);
        let mut places = indices.iter().zip(self.table.chunks_exact_mut(columns));
        let mut copy = |values: &[f32]| {
            for &(position, row) in &own.rows {
                if let Some((_, place)) = places.find(|(index, _)| **index == row) {
                    place.copy_from_slice(&values[position * columns..][..columns]);
                }
            }
        };
        if let Some(values) = device.host_values(&own.values) {
            copy(&values);
        } else {
            copy(&device.download(&own.values)?);
        }
        Ok(())
    }

    /// Memory for `rows` of a parameter that has `largest`.
    fn reserve(
        &mut self,
        device: &mut Device,
        own: &OwnRows,
        [rows, largest]: [usize; 2],
    ) -> Result<RowMemory> {
        if let Some(memory) = self.memory[own.parameter] {
            if memory.values.rows() >= rows {
                return Ok(memory);
            }
            memory.release(device);
        }
        let columns = own.values.columns();
        let size = rows.next_power_of_two().min(largest).max(1);
        let order: Vec<u32> = (0..size as u32).collect();
        let memory = RowMemory {
            values: device.tensor("gradient rows of all ranks", size, columns)?,
            tokens: device.tensor("indices of gradient rows", size, 1)?,
            order: device.tensor_from("order of gradient rows", size, 1, &order)?,
        };
        self.memory[own.parameter] = Some(memory);
        Ok(memory)
    }
}

impl RowMemory {
    fn upload(&self, device: &mut Device, indices: Vec<u32>, table: &[f32]) -> Gradient {
        let no_rows = vec![0.0; self.values.columns()];
        let (indices, table) = match indices.is_empty() {
            true => (vec![NONE], &no_rows[..]),
            false => (indices, table),
        };
        let count = indices.len();
        let tokens = self.tokens.slice_rows(0..count);
        let sums = self.values.slice_rows(0..count);
        device.upload(&tokens, &indices);
        device.upload(&sums, table);
        let order = self.order.slice_rows(0..count).reshape(1, count);
        Gradient::Sparse(sums, SparseRows { tokens, order })
    }

    fn release(self, device: &mut Device) {
        device.release(self.values);
        device.release(self.tokens);
        device.release(self.order);
    }
}

/// For each gradient, the indices of the rows that any rank has, in ascending order.
fn all_indices(ranks: &Ranks, own: &[OwnRows]) -> Vec<Vec<u32>> {
    // One message: for each gradient the number of rows, and their indices.
    let mut message: Vec<u32> = Vec::new();
    for own in own {
        message.push(own.rows.len() as u32);
        message.extend(own.rows.iter().map(|&(_, row)| row));
    }
    let messages = ranks.gather(&message);
    let mut rests: Vec<&[u32]> = messages.iter().map(Vec::as_slice).collect();
    let of_gradient = |_: &OwnRows| {
        let mut indices: Vec<u32> = rests.iter_mut().flat_map(take_indices).copied().collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    };
    own.iter().map(of_gradient).collect()
}

/// Takes the indices of a gradient from the start of a message.
fn take_indices<'a>(message: &mut &'a [u32]) -> &'a [u32] {
    let count = message[0] as usize;
    let (indices, rest) = message[1..].split_at(count);
    *message = rest;
    indices
}

#[cfg(test)]
mod tests {
    use std::thread::ScopedJoinHandle;

    use super::*;

    #[test]
    fn ranks_know_the_rows_of_all() {
        let own = |rows: &[u32]| OwnRows {
            parameter: 0,
            values: Tensor::new(0, 1, 1),
            rows: rows.iter().map(|&row| (0, row)).collect(),
        };
        let of_ranks = [[own(&[2, 5]), own(&[])], [own(&[0, 5, 9]), own(&[])]];
        let ranks = Ranks::in_threads(2);
        let all: Vec<Vec<Vec<u32>>> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (ranks, own) in ranks.iter().zip(&of_ranks) {
                threads.push(scope.spawn(move || all_indices(ranks, own)));
            }
            let results = threads.into_iter().map(ScopedJoinHandle::join);
            results.map(|indices| indices.expect("no panic")).collect()
        });
        for indices in all {
            assert_eq!(indices, [vec![0, 2, 5, 9], vec![]]);
        }
    }
}
