//! Products of a few rows, for which packing costs more than multiplying: loops over whole vectors, whose sums stay in registers.

use pulp::Simd;

/// Vectors of a row that are summed at a time.
const TOGETHER: usize = 4;

/// Which product of rows: the weights are one row of the other factor for each row of the output.
#[derive(Clone, Copy)]
pub(in crate::kernels) enum Small<'a> {
    /// `output[i, j] = left[i] · right[j]`, rows of `columns` numbers each.
    Dots {
        /// `[m, columns]`.
        left: &'a [f32],
        /// `[n, columns]`.
        right: &'a [f32],
        /// Numbers of a row.
        columns: usize,
    },
    /// `output[i] = Σ_k weights[i * strides[0] + k * strides[1]] rows[k]`.
    Sums {
        /// A number for each row of the output and each of `rows`.
        weights: &'a [f32],
        /// The distances of weights of neighbouring output rows, and of neighbouring terms.
        strides: [usize; 2],
        /// `[terms, columns]`.
        rows: &'a [f32],
        /// Numbers of a row.
        columns: usize,
    },
}

impl Small<'_> {
    /// Computes the product with the widest vectors there are.
    pub(in crate::kernels) fn run(self, output: &mut [f32]) {
        pulp::Arch::new().dispatch(Run { small: self, output });
    }
}

struct Run<'a, 'b> {
    small: Small<'a>,
    output: &'b mut [f32],
}

impl pulp::WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.small {
            Small::Dots { left, right, columns } => {
                let count = right.len() / columns;
                for (row, output) in left.chunks_exact(columns).zip(self.output.chunks_exact_mut(count)) {
                    dots(simd, row, right, output);
                }
            }
            Small::Sums { weights, strides, rows, columns } => {
                for (number, output) in self.output.chunks_exact_mut(columns).enumerate() {
                    weighted_sum(simd, &weights[number * strides[0]..], strides[1], rows, output);
                }
            }
        }
    }
}

/// `output[j] = row · others[j]`, four of them at a time.
#[inline(always)]
fn dots<S: Simd>(simd: S, row: &[f32], others: &[f32], output: &mut [f32]) {
    let columns = row.len();
    let (head, tail) = S::as_simd_f32s(row);
    let whole = columns - tail.len();
    let rest = |other: &[f32]| tail.iter().zip(&other[whole..]).map(|(a, b)| a * b).sum::<f32>();
    let zero = simd.splat_f32s(0.0);
    let mut outputs = output.chunks_exact_mut(TOGETHER);
    let mut groups = others.chunks_exact(TOGETHER * columns);
    for (output, group) in (&mut outputs).zip(&mut groups) {
        let other = |number: usize| &group[number * columns..(number + 1) * columns];
        let [a, b, c, d] = [0, 1, 2, 3].map(|number| S::as_simd_f32s(other(number)).0);
        let [mut sum_a, mut sum_b, mut sum_c, mut sum_d] = [zero; TOGETHER];
        for ((((&x, &a), &b), &c), &d) in head.iter().zip(a).zip(b).zip(c).zip(d) {
            sum_a = simd.mul_add_f32s(x, a, sum_a);
            sum_b = simd.mul_add_f32s(x, b, sum_b);
            sum_c = simd.mul_add_f32s(x, c, sum_c);
            sum_d = simd.mul_add_f32s(x, d, sum_d);
        }
        let sums = [sum_a, sum_b, sum_c, sum_d];
        for (number, output) in output.iter_mut().enumerate() {
            *output = simd.reduce_sum_f32s(sums[number]) + rest(other(number));
        }
    }
    for (output, other) in outputs.into_remainder().iter_mut().zip(groups.remainder().chunks_exact(columns)) {
        let mut sum = zero;
        for (&x, &a) in head.iter().zip(S::as_simd_f32s(other).0) {
            sum = simd.mul_add_f32s(x, a, sum);
        }
        *output = simd.reduce_sum_f32s(sum) + rest(other);
    }
}

/// `output = Σ_k weights[k * stride] rows[k]`.
#[inline(always)]
fn weighted_sum<S: Simd>(simd: S, weights: &[f32], stride: usize, rows: &[f32], output: &mut [f32]) {
    let columns = output.len();
    let terms = || rows.chunks_exact(columns).zip(weights.iter().step_by(stride));
    let (head, tail) = S::as_mut_simd_f32s(output);
    let zero = simd.splat_f32s(0.0);
    let mut blocks = head.chunks_exact_mut(TOGETHER);
    let mut first = 0;
    for block in &mut blocks {
        let [mut sum_a, mut sum_b, mut sum_c, mut sum_d] = [zero; TOGETHER];
        for (row, &weight) in terms() {
            let weight = simd.splat_f32s(weight);
            if let [a, b, c, d] = S::as_simd_f32s(row).0[first..first + TOGETHER] {
                sum_a = simd.mul_add_f32s(weight, a, sum_a);
                sum_b = simd.mul_add_f32s(weight, b, sum_b);
                sum_c = simd.mul_add_f32s(weight, c, sum_c);
                sum_d = simd.mul_add_f32s(weight, d, sum_d);
            }
        }
        block.copy_from_slice(&[sum_a, sum_b, sum_c, sum_d]);
        first += TOGETHER;
    }
    for (number, output) in blocks.into_remainder().iter_mut().enumerate() {
        let mut sum = zero;
        for (row, &weight) in terms() {
            sum = simd.mul_add_f32s(simd.splat_f32s(weight), S::as_simd_f32s(row).0[first + number], sum);
        }
        *output = sum;
    }
    let whole = columns - tail.len();
    tail.fill(0.0);
    for (row, weight) in terms() {
        tail.iter_mut().zip(&row[whole..]).for_each(|(sum, value)| *sum += weight * value);
    }
}
