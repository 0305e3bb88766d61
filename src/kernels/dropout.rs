//! Dropout: numbers are left out at random, and the others enlarged so that the expectation stays.

use super::parallel::{for_row_parts, vectorised};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output = input m`, m being 0 with the mask's probability and `1 / (1 - rate)` else (Srivastava
/// 2014). The gradient of the input is that of the output under the same mask.
///
/// Masks are a function of their seed and of positions alone (Threefry-2x32, Salmon 2011), so they
/// are the same on every device, and never stored.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// `[rows, columns]`.
    pub input: Tensor,
    /// `[rows, columns]`, overwritten: the input itself, or a tensor in another buffer.
    pub output: Tensor,
    /// What is left out.
    pub mask: Mask,
}

/// Which numbers dropout leaves out.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// The probability of leaving a number out, from 0 to below 1.
    pub rate: f32,
    /// The run's seed.
    pub seed: u32,
    /// The place in the model: masks of different places have nothing to do with each other.
    pub site: u32,
    /// The number of the draw, such as the update's.
    pub draw: u32,
    /// What is left out together.
    pub pattern: MaskPattern,
}

/// What a mask leaves out together.
#[derive(Debug, Clone, Copy)]
pub enum MaskPattern {
    /// Every number by itself.
    Elements,
    /// The same in every step of a window of B streams, row after row of `[T*B, columns]` (Gal and
    /// Ghahramani 2016).
    Streams(usize),
    /// Whole rows, each with the token that it belongs to: a word is left out everywhere or
    /// nowhere.
    Words(Tensor<u32>),
}

arguments! {
    count: u32,
    columns: u32,
    period: u32,
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
    source: include_str!("../../shaders/dropout.wgsl"),
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
    let (mut x, mut y) = (
        counter[0].wrapping_add(keys[0]),
        counter[1].wrapping_add(keys[1]),
    );
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
    /// Numbers of the generator below this are left out.
    fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// What is not left out is multiplied by this.
    fn factor(&self) -> f32 {
        (1.0 / (1.0 - f64::from(self.rate))) as f32
    }

    /// m of the number that the pattern calls `index`.
    #[inline(always)]
    fn multiplier(&self, threshold: u32, factor: f32, index: u32) -> f32 {
        if threefry([self.seed, self.site], [index, self.draw]) < threshold {
            0.0
        } else {
            factor
        }
    }

    /// Multiplies rows of `columns` by their part of the mask; `first` is the number of the first
    /// row.
    fn apply(&self, rows: &mut [f32], columns: usize, first: usize, tokens: &[u32]) {
        let (threshold, factor) = (self.threshold(), self.factor());
        for (number, row) in rows.chunks_exact_mut(columns).enumerate() {
            let number = first + number;
            let begin = match self.pattern {
                MaskPattern::Elements => number * columns,
                MaskPattern::Streams(batch) => number % batch * columns,
                MaskPattern::Words(_) => {
                    if tokens[number] != NONE {
                        let multiplier = self.multiplier(threshold, factor, tokens[number]);
                        row.iter_mut().for_each(|value| *value *= multiplier);
                    }
                    continue;
                }
            };
            vectorised(
                #[inline(always)]
                || {
                    row.iter_mut()
                        .zip(to_u32(begin)..)
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
        for_row_parts(cpu.threads(), &mut output, columns, |first, part| {
            self.mask.apply(part, columns, first, &tokens);
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((input, input_offset), (output, output_offset)) = (
            Binding::with_offset(&self.input),
            Binding::with_offset(&self.output),
        );
        let columns = self.output.columns();
        // Where no tokens are read, any buffer is bound in their place.
        let (period, words, (tokens, tokens_offset)) = match self.mask.pattern {
            MaskPattern::Elements => (self.output.len(), 0.0, (gpu.scratch(), 0)),
            MaskPattern::Streams(batch) => (batch * columns, 0.0, (gpu.scratch(), 0)),
            MaskPattern::Words(tokens) => (self.output.len(), 1.0, Binding::with_offset(&tokens)),
        };
        let arguments = Arguments {
            count: to_u32(self.output.len()),
            columns: to_u32(columns),
            period: to_u32(period),
            input_offset,
            output_offset,
            tokens_offset,
            seed: self.mask.seed,
            site: self.mask.site,
            draw: self.mask.draw,
            threshold: self.mask.threshold(),
            factor: self.mask.factor(),
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
    fn the_generators_published_answers() {
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
    fn as_many_are_left_out_as_the_rate_says() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mask = Mask {
                rate,
                seed: 7,
                site: 3,
                draw: 11,
                pattern: MaskPattern::Elements,
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
