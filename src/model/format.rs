//! Numbers in messages.

/// Sizes separated by commas, as in `200,100`.
pub(crate) fn comma_separated(sizes: &[usize]) -> String {
    sizes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
