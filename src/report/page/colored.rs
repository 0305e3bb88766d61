//! Text whose tokens have colors.

/// A text with a color and a description for each token.
pub(super) struct Colored {
    /// The id of the element.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) tokens: Vec<ColoredToken>,
}

pub(super) struct ColoredToken {
    /// The space before a word.
    pub(super) space: &'static str,
    /// The token; a sign for a newline.
    pub(super) text: String,
    pub(super) ends_line: bool,
    /// The class of its color.
    pub(super) class: String,
    /// What is shown about it on request.
    pub(super) title: String,
}

impl ColoredToken {
    /// A token from what it writes.
    pub(super) fn new(written: &str, class: String, title: String) -> Self {
        let (space, text) = match written.strip_prefix(' ') {
            Some(rest) if !rest.is_empty() => (" ", rest),
            _ => ("", written),
        };
        let ends_line = text == "\n";
        Self {
            space,
            text: if ends_line {
                "⏎".to_owned()
            } else {
                text.to_owned()
            },
            ends_line,
            class,
            title,
        }
    }
}

/// Colors of surprisal: the class `hN` is for values from the Nth limit on.
pub(super) struct Scale {
    limits: [f64; 7],
}

impl Scale {
    /// A scale in bits for texts with this mean surprisal.
    pub(super) fn around(mean: f64) -> Self {
        let limits = match mean < 4.0 {
            true => [0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0],
            false => [1.0, 2.0, 4.0, 6.0, 8.0, 11.0, 14.0],
        };
        Self { limits }
    }

    pub(super) fn class(&self, bits: f64) -> String {
        format!("h{}", self.limits.partition_point(|&limit| limit <= bits))
    }

    /// The classes with the ranges that they stand for.
    pub(super) fn legend(&self) -> Vec<(String, String)> {
        let first = (self.class(0.0), format!("below {}", self.limits[0]));
        let others = self.limits.iter().enumerate().map(|(index, limit)| {
            let range = match self.limits.get(index + 1) {
                Some(next) => format!("{limit} to {next}"),
                None => format!("from {limit}"),
            };
            (self.class(*limit), range)
        });
        std::iter::once(first).chain(others).collect()
    }
}

/// The classes of signed values, from the lowest to the highest; `h0` is near 0.
pub(super) const SIGNED: [&str; 9] = ["c4", "c3", "c2", "c1", "h0", "h1", "h3", "h5", "h7"];

/// The index in [`SIGNED`] of a value's class.
pub(super) fn signed_index(value: f64, limits: [f64; 4]) -> usize {
    let strength = limits.partition_point(|&limit| limit <= value.abs());
    let middle = SIGNED.len() / 2;
    match value < 0.0 {
        true => middle - strength,
        false => middle + strength,
    }
}

/// The class of a signed value.
pub(super) fn signed_class(value: f64, limits: [f64; 4]) -> String {
    SIGNED[signed_index(value, limits)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_the_order_of_values() {
        let limits = [0.25, 1.0, 2.0, 4.0];
        let values = [-9.0, -3.0, -1.0, -0.3, 0.1, 0.3, 1.0, 3.0, 9.0];
        assert_eq!(values.map(|value| signed_class(value, limits)), SIGNED);
        let scale = Scale::around(8.0);
        assert_eq!(
            [0.0, 1.0, 13.9, 99.0].map(|bits| scale.class(bits)),
            ["h0", "h1", "h6", "h7"]
        );
        assert_eq!(scale.legend().len(), 8);
    }

    #[test]
    fn spaces_and_newlines_are_apart() {
        let token = |written| {
            let token = ColoredToken::new(written, String::new(), String::new());
            (token.space, token.text, token.ends_line)
        };
        assert_eq!(token(" cat"), (" ", "cat".to_owned(), false));
        assert_eq!(token(" "), ("", " ".to_owned(), false));
        assert_eq!(token("\n"), ("", "⏎".to_owned(), true));
    }
}
