//! N-gram models straight from the definitions: the ARPA format, and interpolated modified
//! Kneser-Ney smoothing.
//!
//! Nothing here imports anything from the crate under test. N-grams are lists of strings in hash
//! maps, numbers are f64, and probabilities are recursions as the papers write them. Input must be
//! good: everything else panics.

use std::collections::{HashMap, HashSet};

type Ngram = Vec<String>;

/// The characters that separate words.
const SEPARATORS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The words of a text as an n-gram.
pub fn ngram(text: &str) -> Ngram {
    let words = text.split(SEPARATORS).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn join(history: &[String], word: &str) -> Ngram {
    history.iter().cloned().chain([word.to_owned()]).collect()
}

/// A back-off model: each n-gram's log10 probability and log10 back-off weight.
pub struct Arpa {
    pub order: usize,
    pub ngrams: HashMap<Ngram, (f64, f64)>,
}

impl Arpa {
    /// Reads a valid file.
    pub fn read(text: &str) -> Self {
        let (mut order, mut ngrams) = (0, HashMap::new());
        let lines = text
            .lines()
            .map(|line| line.trim_matches(SEPARATORS))
            .skip_while(|&line| line != "\\data\\")
            .take_while(|&line| line != "\\end\\");
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with("ngram")) {
            if let Some(heading) = line.strip_suffix("-grams:") {
                order = heading[1..].parse().expect("an order");
            } else if order > 0 {
                let fields = ngram(line);
                let backoff = fields
                    .get(order + 1)
                    .map_or(0.0, |field| field.parse().expect("a weight"));
                ngrams.insert(
                    fields[1..=order].to_vec(),
                    (fields[0].parse().expect("a logarithm"), backoff),
                );
            }
        }
        Self { order, ngrams }
    }

    /// log10 p(word | history).
    pub fn log10_prob(&self, history: &[String], word: &str) -> f64 {
        let history = &history[history.len() - history.len().min(self.order - 1)..];
        if let Some((own, _)) = self.ngrams.get(&join(history, word)) {
            return *own;
        }
        assert!(!history.is_empty(), "{word} is no unigram");
        self.ngrams.get(history).map_or(0.0, |numbers| numbers.1)
            + self.log10_prob(&history[1..], word)
    }

    /// The word itself if the model has it, else `<unk>`, else none.
    pub fn known<'a>(&self, word: &'a str) -> Option<&'a str> {
        [word, "<unk>"]
            .into_iter()
            .find(|&word| self.ngrams.contains_key(&ngram(word)))
    }

    /// log10 p of each word of a sentence and of its end, none for an unknown word; after such a
    /// word the history is empty.
    pub fn sentence(&self, words: &[String]) -> Vec<Option<f64>> {
        let mut history: Vec<String> = self
            .known("<s>")
            .filter(|&word| word == "<s>")
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut found = Vec::new();
        for word in words.iter().map(String::as_str).chain(["</s>"]) {
            if let Some(word) = self.known(word) {
                found.push(Some(self.log10_prob(&history, word)));
                history.push(word.to_owned());
            } else {
                found.push(None);
                history.clear();
            }
        }
        found
    }
}

/// Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999) with the adjusted counts of
/// Kneser and Ney.
pub struct KneserNey {
    order: usize,
    /// All types but `<s>`.
    types: Vec<String>,
    /// How often each n-gram occurs.
    counts: HashMap<Ngram, u64>,
    /// The count from which an n-gram is kept, for the orders 3, 4, …; the last one applies to
    /// all higher orders.
    min_counts: Vec<u64>,
    /// The adjusted counts.
    adjusted: HashMap<Ngram, u64>,
    /// Discounts by order from 1 on.
    pub discounts: Vec<[f64; 3]>,
}

impl KneserNey {
    /// Counts sentences without `<s>` and `</s>`.
    pub fn new(
        order: usize,
        min_counts: &[u64],
        types: &[String],
        sentences: &[Vec<String>],
    ) -> Self {
        let mut counts: HashMap<Ngram, u64> = HashMap::new();
        for sentence in sentences {
            let padded: Ngram = ["<s>".to_owned()]
                .into_iter()
                .chain(sentence.iter().cloned())
                .chain(["</s>".to_owned()])
                .collect();
            for length in 1..=order.min(padded.len()) {
                padded
                    .windows(length)
                    .for_each(|window| *counts.entry(window.to_vec()).or_default() += 1);
            }
        }
        let types = types
            .iter()
            .filter(|&word| word != "<s>")
            .cloned()
            .collect();
        let mut model = Self {
            order,
            types,
            counts,
            min_counts: min_counts.to_vec(),
            adjusted: HashMap::new(),
            discounts: Vec::new(),
        };
        model.adjusted = model
            .counts
            .keys()
            .map(|ngram| (ngram.clone(), model.adjust(ngram)))
            .collect();
        model.discounts = (1..=order)
            .map(|order| model.estimate_discounts(order))
            .collect();
        model
    }

    fn adjust(&self, ngram: &[String]) -> u64 {
        if ngram == ["<s>"] {
            0
        } else if ngram.len() == self.order || ngram[0] == "<s>" {
            self.counts[ngram]
        } else {
            let longer = self
                .counts
                .keys()
                .filter(|longer| longer.len() == ngram.len() + 1 && longer[1..] == *ngram);
            longer
                .map(|longer| &longer[0])
                .collect::<HashSet<_>>()
                .len() as u64
        }
    }

    fn estimate_discounts(&self, order: usize) -> [f64; 3] {
        let number = |count: u64| {
            self.adjusted
                .iter()
                .filter(|(ngram, adjusted)| ngram.len() == order && **adjusted == count)
                .count() as f64
        };
        let (n1, n2, n3, n4) = (number(1), number(2), number(3), number(4));
        if n1 == 0.0 || n2 == 0.0 {
            return [0.5; 3];
        }
        let y = n1 / (n1 + 2.0 * n2);
        if n3 == 0.0 || n4 == 0.0 {
            return [y; 3];
        }
        let discounts = [
            1.0 - 2.0 * y * n2 / n1,
            2.0 - 3.0 * y * n3 / n2,
            3.0 - 4.0 * y * n4 / n3,
        ];
        if discounts.iter().all(|&discount| discount > 0.0) {
            discounts
        } else {
            [y; 3]
        }
    }

    fn discount(&self, ngram: &[String]) -> f64 {
        match self.adjusted.get(ngram).copied().unwrap_or(0) {
            0 => 0.0,
            count => self.discounts[ngram.len() - 1][count.min(3) as usize - 1],
        }
    }

    fn is_kept(&self, ngram: &[String]) -> bool {
        let least = if ngram.len() < 3 {
            None
        } else {
            self.min_counts
                .get(ngram.len() - 3)
                .or(self.min_counts.last())
        };
        self.counts
            .get(ngram)
            .is_some_and(|count| least.is_none_or(|least| count >= least))
    }

    /// p(word | history).
    pub fn probability(&self, history: &[String], word: &str) -> f64 {
        let history = &history[history.len() - history.len().min(self.order - 1)..];
        let lower = if history.is_empty() {
            1.0 / self.types.len() as f64
        } else {
            self.probability(&history[1..], word)
        };
        let (mut total, mut taken) = (0.0, 0.0);
        for ngram in self.types.iter().map(|word| join(history, word)) {
            let adjusted = self.adjusted.get(&ngram).copied().unwrap_or(0) as f64;
            total += adjusted;
            taken += if self.is_kept(&ngram) {
                self.discount(&ngram)
            } else {
                adjusted
            };
        }
        if total == 0.0 {
            return lower;
        }
        let ngram = join(history, word);
        let own = if self.is_kept(&ngram) {
            self.adjusted[&ngram] as f64 - self.discount(&ngram)
        } else {
            0.0
        };
        own / total + taken / total * lower
    }
}
