//! The division of a window among CPU threads where no unit reads another one.

use crate::device::Cpu;
use crate::kernels::parallel::MIN_PARALLEL_ELEMENTS;

/// Divides the streams and units of a window into tasks, each of which walks through all steps.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct UnitSplit {
    /// B.
    batch: usize,
    /// H.
    size: usize,
    /// The streams of a task.
    streams: usize,
    /// The units of a task.
    units: usize,
}

/// What a task processes.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct UnitTask {
    /// The first stream.
    pub(in crate::kernels) stream: usize,
    /// The number of streams.
    pub(in crate::kernels) streams: usize,
    /// The first unit.
    pub(in crate::kernels) unit: usize,
    /// The number of units.
    pub(in crate::kernels) units: usize,
}

impl UnitTask {
    /// The row in `[T*B, …]` of an element of a list of [`UnitSplit::split`], given B.
    #[inline(always)]
    pub(in crate::kernels) fn row(&self, index: usize, batch: usize) -> usize {
        index / self.streams * batch + self.stream + index % self.streams
    }

    /// The units of the task in a row of H values.
    #[inline(always)]
    pub(in crate::kernels) fn of<'a>(&self, row: &'a [f32]) -> &'a [f32] {
        &row[self.unit..][..self.units]
    }
}

impl UnitSplit {
    /// A task for each thread; one where a window is small.
    pub(in crate::kernels) fn new(cpu: &Cpu, [batch, size, time_steps]: [usize; 3]) -> Self {
        let threads = match batch * size * time_steps < MIN_PARALLEL_ELEMENTS {
            true => 1,
            false => cpu.threads(),
        };
        let streams = batch.div_ceil(threads);
        let threads_of_a_stream = threads.div_ceil(batch.div_ceil(streams));
        Self {
            batch,
            size,
            streams,
            units: size.div_ceil(threads_of_a_stream),
        }
    }

    /// The number of tasks that share a stream.
    fn tasks_of_a_stream(&self) -> usize {
        self.size.div_ceil(self.units)
    }

    /// The task of this number.
    pub(in crate::kernels) fn task(&self, index: usize) -> UnitTask {
        let stream = index / self.tasks_of_a_stream() * self.streams;
        let unit = index % self.tasks_of_a_stream() * self.units;
        UnitTask {
            stream,
            streams: self.streams.min(self.batch - stream),
            unit,
            units: self.units.min(self.size - unit),
        }
    }

    /// Splits a matrix `[steps*B, parts*H]`. Returns for every task its units of each part of each
    /// of its streams, step by step.
    pub(in crate::kernels) fn split<'a>(
        &self,
        data: &'a mut [f32],
        parts: usize,
    ) -> Vec<Vec<&'a mut [f32]>> {
        let tasks = self.tasks_of_a_stream();
        let count = self.batch.div_ceil(self.streams) * tasks;
        let mut lists: Vec<Vec<&mut [f32]>> = (0..count).map(|_| Vec::new()).collect();
        for (row, values) in data.chunks_exact_mut(parts * self.size).enumerate() {
            let first = row % self.batch / self.streams * tasks;
            for part in values.chunks_exact_mut(self.size) {
                for (list, units) in lists[first..].iter_mut().zip(part.chunks_mut(self.units)) {
                    list.push(units);
                }
            }
        }
        lists
    }
}
