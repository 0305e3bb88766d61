//! Sequences of tokens as ranks send them, and the values of their tokens and of the boundaries
//! after them.

/// The sequences as one list: each with its length before it.
pub(in crate::cli) fn to_part(sequences: &[Vec<u32>]) -> Vec<u32> {
    let with_length = |sequence: &Vec<u32>| {
        let length = sequence.len() as u32;
        std::iter::once(length).chain(sequence.clone())
    };
    sequences.iter().flat_map(with_length).collect()
}

/// The sequences of such a list.
pub(in crate::cli) fn of_part(mut part: &[u32]) -> Vec<Vec<u32>> {
    let mut sequences = Vec::new();
    while let Some((&length, rest)) = part.split_first() {
        let (sequence, rest) = rest.split_at(length as usize);
        sequences.push(sequence.to_vec());
        part = rest;
    }
    sequences
}

/// For each of `models`, and each of the sequences, the values of its tokens and of the boundary.
pub(in crate::cli) fn values_by_model<'a>(
    mut values: &'a [f64],
    models: usize,
    sequences: &[Vec<u32>],
) -> Vec<Vec<&'a [f64]>> {
    let mut next = |sequence: &Vec<u32>| {
        let (of_sequence, rest) = values.split_at(sequence.len() + 1);
        values = rest;
        of_sequence
    };
    (0..models)
        .map(|_| sequences.iter().map(&mut next).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_come_back() {
        let sequences = vec![vec![4, 5], vec![], vec![6]];
        assert_eq!(of_part(&to_part(&sequences)), sequences);
        assert_eq!(of_part(&[]), Vec::<Vec<u32>>::new());
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let by_model = values_by_model(&values, 2, &sequences);
        assert_eq!(by_model[0], [&values[0..3], &values[3..4], &values[4..6]]);
        assert_eq!(
            by_model[1],
            [&values[6..9], &values[9..10], &values[10..12]]
        );
    }
}
