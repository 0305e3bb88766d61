//! Dropout: elements are set to zero at random, and the others are scaled so that expected values
//! do not change.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output = input m`, where m is 0 with the probability `rate` and `1 / (1 - rate)` otherwise
/// (Srivastava 2014). The gradient of the input is the gradient of the output multiplied by the
/// same m.
///
/// A mask is a pure function of its fields and the element's position (Threefry-2x32, Salmon 2011).
/// It is the same on every device and is never stored.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// `[rows, columns]`.
    pub input: Tensor,
    /// `[rows, columns]`, overwritten. Either `input` itself or a tensor in another buffer.
    pub output: Tensor,
    /// The elements to drop.
    pub mask: Mask,
}

/// The elements that dropout sets to zero.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// The probability of dropping an element, at least 0 and below 1.
    pub rate: f32,
    /// The run's seed.
    pub seed: u32,
    /// Identifies the position in the model. Masks of different sites are independent.
    pub site: u32,
    /// The index of the draw, for example of the update. Masks of different draws are independent.
    pub draw: u32,
    /// Which elements share a multiplier.
    pub pattern: MaskPattern,
    /// Where the rows are those of a part of the streams: a stream's elements have the mask that
    /// they have among all streams.
    pub part: Option<StreamPart>,
}

/// A part of the streams of a window: the others are elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPart {
    /// Index of the part's first stream among all streams.
    pub first: usize,
    /// The number of streams of the part: `[T*count, columns]` are its rows.
    pub count: usize,
    /// The number of all streams.
    pub of: usize,
}

/// Which elements of a mask share a multiplier.
#[derive(Debug, Clone, Copy)]
pub enum MaskPattern {
    /// None: each element is drawn independently.
    Elements,
    /// The same mask `[B, columns]` in every step of a window `[T*B, columns]` of B streams (Gal
    /// and Ghahramani 2016).
    Streams(usize),
    /// All elements of all rows with the same token, given one token per row: a word type is either
    /// dropped everywhere or kept everywhere.
    Words(Tensor<u32>),
}

arguments! {
    count: u32,
    columns: u32,
    period: u32,
    stride: u32,
    first: u32,
    input_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
    seed: u32,
    site: u32,
    draw: u32,
    threshold: u32,
    factor: f32,
}

pub(super) static COPY: Shader = Shader {
    stem: "dropout",
    source: concat!(
        include_str!("../../shaders/dropout.wgsl"),
        include_str!("../../shaders/threefry.wgsl")
    ),
    entry_point: "copy",
    bindings: &[
        ("output", Access::Write),
        ("tokens", Access::Read),
        ("input", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static IN_PLACE: Shader = Shader {
    entry_point: "in_place",
    bindings: COPY.bindings.split_at(2).0,
    ..COPY
};

/// The first word of Threefry-2x32 with 20 rounds.
#[inline(always)]
fn threefry(key: [u32; 2], counter: [u32; 2]) -> u32 {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut x = counter[0].wrapping_add(keys[0]);
    let mut y = counter[1].wrapping_add(keys[1]);
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(keys[(group + 1) % 3]);
        y = y.wrapping_add(keys[(group + 2) % 3].wrapping_add(group as u32 + 1));
    }
    x
}

impl Mask {
    /// Elements with a random word below this are dropped.
    pub(super) fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// The multiplier of elements that are kept at this rate.
    pub(crate) fn factor(rate: f32) -> f32 {
        (1.0 / (1.0 - f64::from(rate))) as f32
    }

    /// The elements after which positions start again, the distance between two such starts, and
    /// the first position, for `count` elements in rows of `columns`.
    fn positions(&self, count: usize, columns: usize) -> [usize; 3] {
        match (self.pattern, self.part) {
            (MaskPattern::Words(_), _) | (MaskPattern::Elements, None) => [count, 0, 0],
            (MaskPattern::Elements, Some(part)) => {
                [part.count, part.of, part.first].map(|streams| streams * columns)
            }
            (MaskPattern::Streams(batch), part) => [
                batch * columns,
                0,
                part.map_or(0, |part| part.first) * columns,
            ],
        }
    }

    /// The multiplier m at position `index` of the mask.
    #[inline(always)]
    pub(super) fn multiplier(&self, threshold: u32, factor: f32, index: u32) -> f32 {
        if threefry([self.seed, self.site], [index, self.draw]) < threshold {
            0.0
        } else {
            factor
        }
    }

    /// The index that a row has among the rows of all streams.
    pub(super) fn row_of_all(&self, row: usize) -> usize {
        match self.part {
            None => row,
            Some(part) => row / part.count * part.of + part.first + row % part.count,
        }
    }

    /// Multiplies rows of `columns` elements by the mask. `first` is the index of the first row.
    fn apply(&self, rows: &mut [f32], columns: usize, first: usize, tokens: &[u32]) {
        let threshold = self.threshold();
        let factor = Self::factor(self.rate);
        let first_stream = self.part.map_or(0, |part| part.first);
        for (row_index, row) in (first..).zip(rows.chunks_exact_mut(columns)) {
            let start = match self.pattern {
                MaskPattern::Elements => self.row_of_all(row_index) * columns,
                MaskPattern::Streams(batch) => (first_stream + row_index % batch) * columns,
                MaskPattern::Words(_) => {
                    if tokens[row_index] != NONE {
                        let multiplier = self.multiplier(threshold, factor, tokens[row_index]);
                        row.iter_mut().for_each(|value| *value *= multiplier);
                    }
                    continue;
                }
            };
            vectorized(
                #[inline(always)]
                || {
                    row.iter_mut()
                        .zip(to_u32(start)..)
                        .for_each(|(value, index)| {
                            *value *= self.multiplier(threshold, factor, index);
                        });
                },
            );
        }
    }
}

impl Kernel for Dropout {
    fn name(&self) -> &'static str {
        COPY.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        if self.input != self.output {
            cpu.write(&self.output)
                .copy_from_slice(&cpu.read(&self.input));
        }
        let columns = self.output.columns();
        let mut output = cpu.write(&self.output);
        let tokens = match self.mask.pattern {
            MaskPattern::Words(tokens) => cpu.read(&tokens).to_vec(),
            _ => Vec::new(),
        };
        for_row_chunks(cpu.threads(), &mut output, columns, |first, chunk| {
            self.mask.apply(chunk, columns, first, &tokens);
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let columns = self.output.columns();
        // If the shader reads no tokens, any buffer can be bound as `tokens`.
        let (words, (tokens, tokens_offset)) = match self.mask.pattern {
            MaskPattern::Words(tokens) => (1.0, Binding::with_offset(&tokens)),
            _ => (0.0, (gpu.scratch(), 0)),
        };
        let [period, stride, first] = self.mask.positions(self.output.len(), columns);
        let arguments = Arguments {
            count: to_u32(self.output.len()),
            columns: to_u32(columns),
            period: to_u32(period),
            stride: to_u32(stride),
            first: to_u32(first),
            input_offset,
            output_offset,
            tokens_offset,
            seed: self.mask.seed,
            site: self.mask.site,
            draw: self.mask.draw,
            threshold: self.mask.threshold(),
            factor: Mask::factor(self.mask.rate),
        };
        let (shader, bindings) = if input == output {
            (&IN_PLACE, &[output, tokens][..])
        } else {
            (&COPY, &[output, tokens, input][..])
        };
        gpu.launch(
            shader,
            &[("WORDS", words)],
            bindings,
            &arguments,
            workgroups(self.output.len(), 256),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threefry_matches_published_vectors() {
        assert_eq!(threefry([0, 0], [0, 0]), 0x6b20_0159);
        assert_eq!(
            threefry([u32::MAX, u32::MAX], [u32::MAX, u32::MAX]),
            0x1cb9_96fc
        );
        assert_eq!(
            threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            0xc492_3a9c
        );
    }

    #[test]
    fn the_fraction_of_dropped_elements_is_the_rate() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mask = Mask {
                rate,
                seed: 7,
                site: 3,
                draw: 11,
                pattern: MaskPattern::Elements,
                part: None,
            };
            let mut values = vec![1.0; 100_000];
            mask.apply(&mut values, 100, 0, &[]);
            let dropped = values.iter().filter(|&&value| value == 0.0).count() as f32 / 100_000.0;
            assert!((dropped - rate).abs() < 0.005, "{dropped} for {rate}");
            assert!(
                values
                    .iter()
                    .all(|&value| value == 0.0 || value == 1.0 / (1.0 - rate))
            );
        }
    }
}
