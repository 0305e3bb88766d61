//! The two principal components of vectors, by power iteration.

/// Steps of the iteration: an eigenvalue 10 % below another is suppressed by 3e-5.
const STEPS: usize = 100;

/// The plane on which vectors vary most.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PrincipalComponents {
    /// The place of each vector on the plane.
    pub(super) places: Vec<[f64; 2]>,
    /// The parts of the variance along its two axes.
    pub(super) variance: [f64; 2],
}

/// Computes the components of vectors of one length, at least one.
pub(super) fn principal_components(vectors: &[&[f32]]) -> PrincipalComponents {
    let size = vectors.first().map_or(0, |vector| vector.len());
    let count = vectors.len().max(1) as f64;
    let mut mean = vec![0.0; size];
    for vector in vectors {
        add(
            &mut mean,
            1.0 / count,
            vector.iter().copied().map(f64::from),
        );
    }
    let center = |vector: &&[f32]| -> Vec<f64> {
        vector
            .iter()
            .zip(&mean)
            .map(|(&value, mean)| f64::from(value) - mean)
            .collect()
    };
    let centered: Vec<Vec<f64>> = vectors.iter().map(center).collect();
    let total: f64 = centered.iter().map(|vector| dot(vector, vector)).sum();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    let mut variance = [0.0; 2];
    for part in &mut variance {
        let axis = largest_axis(&centered, &axes, size);
        let along: f64 = centered
            .iter()
            .map(|vector| dot(vector, &axis).powi(2))
            .sum();
        *part = if total > 0.0 { along / total } else { 0.0 };
        axes.push(axis);
    }
    let place = |vector: &Vec<f64>| [dot(vector, &axes[0]), dot(vector, &axes[1])];
    PrincipalComponents {
        places: centered.iter().map(place).collect(),
        variance,
    }
}

/// The direction of the largest variance that is orthogonal to `others`.
fn largest_axis(vectors: &[Vec<f64>], others: &[Vec<f64>], size: usize) -> Vec<f64> {
    // Irregular elements, so that no axis of data is orthogonal to the start.
    let start = (0..size).map(|index| 1.0 + (index as f64 * 12.9898).sin());
    let mut axis: Vec<f64> = start.collect();
    for _ in 0..STEPS {
        let mut next = vec![0.0; size];
        for vector in vectors {
            add(&mut next, dot(vector, &axis), vector.iter().copied());
        }
        for other in others {
            let part = dot(&next, other);
            add(&mut next, -part, other.iter().copied());
        }
        let norm = dot(&next, &next).sqrt();
        if norm <= f64::MIN_POSITIVE {
            return vec![0.0; size];
        }
        next.iter_mut().for_each(|value| *value /= norm);
        axis = next;
    }
    axis
}

fn add(sum: &mut [f64], factor: f64, values: impl Iterator<Item = f64>) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += factor * value);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_points_in_a_plane() {
        // Along (3, 4, 0)/5 with variance 25·k², and along (0, 0, 1) with less.
        let vectors: Vec<[f32; 3]> = [(-2, 1), (-1, -1), (0, 0), (1, -1), (2, 1)]
            .map(|(along, across)| [3 * along + 7, 4 * along - 2, across].map(|it| it as f32))
            .to_vec();
        let rows: Vec<&[f32]> = vectors.iter().map(<[f32; 3]>::as_slice).collect();
        let found = principal_components(&rows);
        let (first, second) = (250.0, 4.0);
        let want = [first / (first + second), second / (first + second)];
        assert!(
            found
                .variance
                .iter()
                .zip(want)
                .all(|(a, b)| (a - b).abs() < 1e-3),
            "{found:?}"
        );
        let distance = (found.places[4][0] - found.places[0][0]).abs();
        assert!((distance - 20.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn equal_vectors_have_no_variance() {
        let found = principal_components(&[&[1.0, 2.0], &[1.0, 2.0]]);
        assert_eq!(found.variance, [0.0, 0.0]);
        assert_eq!(found.places, [[0.0, 0.0]; 2]);
    }
}
