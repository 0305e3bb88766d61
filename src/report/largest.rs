//! The largest of many values.

/// The largest values so far with what belongs to them, largest first; of equal ones, the first.
#[derive(Debug, Clone)]
pub(super) struct Largest<T, const N: usize>(Vec<(f32, T)>);

impl<T, const N: usize> Default for Largest<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> Largest<T, N> {
    pub(super) fn offer(&mut self, value: f32, of: T) {
        if self.0.len() < N || self.0.last().is_some_and(|last| value > last.0) {
            let place = self.0.partition_point(|other| other.0 >= value);
            self.0.insert(place, (value, of));
            self.0.truncate(N);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(f32, T)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept() {
        let mut largest = Largest::<usize, 4>::default();
        for (position, value) in [3.0, 9.0, 1.0, 9.0, 5.0, 7.0].into_iter().enumerate() {
            largest.offer(value, position);
        }
        assert_eq!(largest.0, [(9.0, 1), (9.0, 3), (7.0, 5), (5.0, 4)]);
    }
}
