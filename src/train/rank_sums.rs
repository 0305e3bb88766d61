//! The sums of the gradients of all ranks, which each rank then uses for the same update.
//!
//! Dense gradients are summed as they are. Of a gradient that consists of rows, ranks have
//! different rows: they are gathered with their indices, and those of the same index are summed.

mod dense;

use std::time::Instant;

use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Gradient, SparseRows};
use crate::model::Parameters;
use crate::parallel::Ranks;
use crate::tensor::{NONE, Tensor};
use dense::DenseSums;

/// Sums gradients over ranks.
#[derive(Debug)]
pub(super) struct RankSums {
    ranks: Ranks,
    dense: DenseSums,
    /// The time of all sums so far, with the time that this rank waited for others.
    seconds: f64,
    /// For each parameter whose gradient consists of rows, memory for the rows of all ranks.
    rows: Vec<Option<RowMemory>>,
}

/// Memory for rows.
#[derive(Debug, Clone, Copy)]
struct RowMemory {
    values: Tensor,
    tokens: Tensor<u32>,
    /// 0, 1, 2, …: the rows are sorted.
    order: Tensor<u32>,
}

/// Rows with their indices in ascending order.
struct Rows {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl RankSums {
    /// None where there are no other ranks.
    pub(super) fn new(ranks: &Ranks, parameters: &Parameters) -> Option<Self> {
        (!ranks.is_alone()).then(|| Self {
            ranks: ranks.clone(),
            dense: DenseSums::default(),
            seconds: 0.0,
            rows: vec![None; parameters.specs().len()],
        })
    }

    /// The time of all sums so far in seconds, with the time that this rank waited for others.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Prepares the sums of gradients that are complete while the device computes the others.
    pub(super) fn start<'a>(
        &mut self,
        device: &mut Device,
        gradients: impl Iterator<Item = &'a Gradient>,
    ) {
        let start = Instant::now();
        for values in gradients.filter_map(dense_values) {
            self.dense.start(device, values);
        }
        self.seconds += start.elapsed().as_secs_f64();
    }

    /// The sums of the gradients of all parameters. Dense ones are overwritten.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn finish(
        &mut self,
        device: &mut Device,
        parameters: &Parameters,
        gradients: &[Gradient],
    ) -> Result<Vec<Gradient>> {
        let start = Instant::now();
        let dense: Vec<Tensor> = gradients.iter().filter_map(dense_values).collect();
        self.dense.finish(device, &self.ranks, &dense)?;
        let sums = self.sum_rows(device, parameters, gradients)?;
        self.seconds += start.elapsed().as_secs_f64();
        Ok(sums)
    }

    /// The gradients, with sums over ranks in the place of those that consist of rows.
    fn sum_rows(
        &mut self,
        device: &mut Device,
        parameters: &Parameters,
        gradients: &[Gradient],
    ) -> Result<Vec<Gradient>> {
        let mut sums = gradients.to_vec();
        let sparse: Vec<usize> = (0..gradients.len())
            .filter(|&index| matches!(gradients[index], Gradient::Sparse(..)))
            .collect();
        if sparse.is_empty() {
            return Ok(sums);
        }
        let gathered = self.gather_rows(device, gradients, &sparse)?;
        for (&index, rows) in sparse.iter().zip(gathered) {
            let columns = gradients[index].values().columns();
            let largest = parameters.tensors()[index].rows();
            let memory = self.row_memory(device, index, [rows.indices.len(), largest, columns])?;
            sums[index] = memory.upload(device, rows);
        }
        Ok(sums)
    }

    /// For each of the gradients `sparse`, the sums of the rows of all ranks.
    fn gather_rows(
        &self,
        device: &mut Device,
        gradients: &[Gradient],
        sparse: &[usize],
    ) -> Result<Vec<Rows>> {
        // One message: for each gradient the number of rows, their indices and their values.
        let mut message: Vec<u32> = Vec::new();
        for &index in sparse {
            let rows = gradients[index].download_rows(device)?;
            message.push(rows.0.len() as u32);
            message.extend(rows.0);
            message.extend(rows.1.into_iter().map(f32::to_bits));
        }
        let messages = self.ranks.gather(&message);
        let mut rests: Vec<&[u32]> = messages.iter().map(Vec::as_slice).collect();
        let sums = sparse.iter().map(|&index| {
            let columns = gradients[index].values().columns();
            let parts = rests.iter_mut().map(|rest| take_rows(rest, columns));
            sum_rows(&parts.collect::<Vec<_>>(), columns)
        });
        Ok(sums.collect())
    }

    /// Memory for `rows` of a parameter that has `largest`.
    fn row_memory(
        &mut self,
        device: &mut Device,
        index: usize,
        [rows, largest, columns]: [usize; 3],
    ) -> Result<RowMemory> {
        if let Some(memory) = self.rows[index] {
            if memory.values.rows() >= rows {
                return Ok(memory);
            }
            memory.release(device);
        }
        let size = rows.next_power_of_two().min(largest).max(1);
        let order: Vec<u32> = (0..size as u32).collect();
        let memory = RowMemory {
            values: device.tensor("gradient rows of all ranks", size, columns)?,
            tokens: device.tensor("indices of gradient rows", size, 1)?,
            order: device.tensor_from("order of gradient rows", size, 1, &order)?,
        };
        self.rows[index] = Some(memory);
        Ok(memory)
    }
}

impl RowMemory {
    fn upload(&self, device: &mut Device, rows: Rows) -> Gradient {
        let columns = self.values.columns();
        let (indices, values) = match rows.indices.is_empty() {
            true => (vec![NONE], vec![0.0; columns]),
            false => (rows.indices, rows.values),
        };
        let count = indices.len();
        let tokens = self.tokens.slice_rows(0..count);
        let sums = self.values.slice_rows(0..count);
        device.upload(&tokens, &indices);
        device.upload(&sums, &values);
        let order = self.order.slice_rows(0..count).reshape(1, count);
        Gradient::Sparse(sums, SparseRows { tokens, order })
    }

    fn release(self, device: &mut Device) {
        device.release(self.values);
        device.release(self.tokens);
        device.release(self.order);
    }
}

/// The values of a gradient that does not consist of rows.
fn dense_values(gradient: &Gradient) -> Option<Tensor> {
    match gradient {
        Gradient::Dense(values) => Some(*values),
        Gradient::Sparse(..) => None,
    }
}

/// Takes the rows of a gradient from the start of a message: their indices and the bits of their
/// values.
fn take_rows<'a>(message: &mut &'a [u32], columns: usize) -> (&'a [u32], &'a [u32]) {
    let count = message[0] as usize;
    let (indices, rest) = message[1..].split_at(count);
    let (values, rest) = rest.split_at(count * columns);
    *message = rest;
    (indices, values)
}

/// The sums of rows with the same index, in the order of ranks.
fn sum_rows(parts: &[(&[u32], &[u32])], columns: usize) -> Rows {
    let mut places: Vec<(u32, usize, usize)> = Vec::new();
    for (rank, (indices, _)) in parts.iter().enumerate() {
        places.extend(
            indices
                .iter()
                .enumerate()
                .map(|(row, &index)| (index, rank, row)),
        );
    }
    places.sort_unstable();
    let mut sums = Rows {
        indices: Vec::new(),
        values: Vec::new(),
    };
    for (index, rank, row) in places {
        let bits = &parts[rank].1[row * columns..(row + 1) * columns];
        let values = bits.iter().map(|&bits| f32::from_bits(bits));
        if sums.indices.last() == Some(&index) {
            let last = sums.values.len() - columns;
            for (sum, value) in sums.values[last..].iter_mut().zip(values) {
                *sum += value;
            }
        } else {
            sums.indices.push(index);
            sums.values.extend(values);
        }
    }
    sums
}
