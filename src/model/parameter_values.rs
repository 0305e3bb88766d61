//! The values of a model's parameters on the host, in the order and layout of files.

use std::ops::{Deref, DerefMut};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::parameter_spec::{Initializer, ParameterId, ParameterSpec};

/// A vector of values for each parameter, in the order and layout of files: the parameters of a
/// model, or an optimizer's state for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParameterValues(Vec<Vec<f32>>);

impl ParameterValues {
    /// Zeros of the same sizes.
    pub fn zeros_like(&self) -> Self {
        self.iter().map(|values| vec![0.0; values.len()]).collect()
    }

    /// Initial values of parameters, the same for the same seed on every machine.
    pub(super) fn initial(specs: &[ParameterSpec], seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = move |bound: f32| random.random_range(-bound..bound);
        specs
            .iter()
            .map(|spec| match spec.initializer {
                Initializer::ThreeUniform => (0..spec.len())
                    .map(|_| uniform(0.1) + uniform(0.1) + uniform(0.1))
                    .collect(),
                Initializer::Uniform(size) => (0..spec.len())
                    .map(|_| uniform(1.0 / (size as f32).sqrt()))
                    .collect(),
                Initializer::UniformVariance { n, halved } => (0..spec.len())
                    .map(|index| {
                        let is_halved = (halved[0]..halved[1]).contains(&index);
                        let terms = if is_halved { 2 * n } else { n };
                        uniform((3.0 / terms as f32).sqrt())
                    })
                    .collect(),
                Initializer::Zero => vec![0.0; spec.len()],
                Initializer::One => vec![1.0; spec.len()],
            })
            .collect()
    }

    /// The values of a parameter.
    pub fn of(&self, id: ParameterId) -> &[f32] {
        &self.0[id.0]
    }

    /// The values of a parameter.
    pub fn of_mut(&mut self, id: ParameterId) -> &mut [f32] {
        &mut self.0[id.0]
    }
}

impl Deref for ParameterValues {
    type Target = [Vec<f32>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for ParameterValues {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<Vec<Vec<f32>>> for ParameterValues {
    fn from(values: Vec<Vec<f32>>) -> Self {
        Self(values)
    }
}

impl FromIterator<Vec<f32>> for ParameterValues {
    fn from_iter<I: IntoIterator<Item = Vec<f32>>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl IntoIterator for ParameterValues {
    type Item = Vec<f32>;
    type IntoIter = std::vec::IntoIter<Vec<f32>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ParameterValues {
    type Item = &'a Vec<f32>;
    type IntoIter = std::slice::Iter<'a, Vec<f32>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
