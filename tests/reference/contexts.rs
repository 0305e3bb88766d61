//! The contexts of a feed-forward network: the last N words before every prediction.

/// The tokens of a window, `[T, B]`, and those before it.
#[derive(Debug, Clone, Copy)]
pub struct Contexts<'a> {
    /// N.
    pub words: usize,
    /// B.
    pub batch: usize,
    /// `[T, B]`.
    pub inputs: &'a [Option<usize>],
    /// `[B, N-1]`: the tokens before the window as numbers, the last one first; -1 for no word.
    pub carried: &'a [f64],
    /// Whether every sentence starts anew: what is before a boundary, token 0, is that boundary.
    pub independent: bool,
}

/// A word of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextWord {
    /// The word, if there is one.
    pub token: Option<usize>,
    /// The position in `[T, B]` whose embedding receives the gradient; none before the window.
    pub position: Option<usize>,
}

impl Contexts<'_> {
    /// The N words that the prediction at a position in `[T, B]` is made from, the last one first.
    pub fn at(&self, row: usize) -> Vec<ContextWord> {
        let mut words: Vec<ContextWord> = Vec::new();
        for back in 0..self.words {
            let before = words.last().copied();
            let boundary = before.filter(|word| self.independent && word.token == Some(0));
            words.push(boundary.unwrap_or_else(|| self.word(row, back)));
        }
        words
    }

    /// The word `back` steps before that of a position, in the text as it is.
    fn word(&self, row: usize, back: usize) -> ContextWord {
        let (step, stream) = (row / self.batch, row % self.batch);
        if back <= step {
            let position = (step - back) * self.batch + stream;
            return ContextWord {
                token: self.inputs[position],
                position: Some(position),
            };
        }
        let number = self.carried[stream * (self.words - 1) + back - step - 1];
        ContextWord {
            token: (number >= 0.0).then_some(number as usize),
            position: None,
        }
    }

    /// `[B, N-1]`: the tokens before a step, as numbers.
    pub fn carried_to(&self, step: usize) -> Vec<f64> {
        if step == 0 {
            return self.carried.to_vec();
        }
        let numbers = |stream| {
            let words = self.at((step - 1) * self.batch + stream);
            let tokens = words.into_iter().take(self.words - 1);
            tokens.map(|word| word.token.map_or(-1.0, |token| token as f64))
        };
        (0..self.batch).flat_map(numbers).collect()
    }
}
