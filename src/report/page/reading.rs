//! The section on a text: surprisals, and differences of models.

use super::colored::{Colored, ColoredToken, Scale, signed_class};
use super::run::perplexity;
use crate::evaluate::Evaluation;
use crate::report::reading::TokenReading;
use crate::report::text::{ModelOnText, TextReport};

/// The number of models whose text is colored.
const COLORED: usize = 3;
/// The number of tokens in the list of the most surprising ones.
const SURPRISING: usize = 15;
/// The limits of a difference, in bits.
const DIFFERENCES: [f64; 4] = [0.25, 1.0, 2.0, 4.0];

/// What the template of the section inserts.
pub(super) struct ReadingSection {
    pub(super) name: String,
    pub(super) notes: Vec<String>,
    /// Rows of the table, with the name of the model.
    pub(super) rows: Vec<(String, Vec<String>)>,
    pub(super) legend: Vec<(String, String)>,
    pub(super) texts: Vec<Colored>,
    pub(super) differences: Vec<Colored>,
    pub(super) surprising: Vec<Surprising>,
    pub(super) excerpt: usize,
}

/// A row of the most surprising tokens of the excerpt.
pub(super) struct Surprising {
    pub(super) token: String,
    pub(super) bits: String,
    pub(super) entropy: String,
    pub(super) likeliest: String,
}

impl ReadingSection {
    pub(super) fn new(text: &TextReport) -> Self {
        let mut notes = Vec::new();
        let unknown = &text.unknown;
        let all = unknown.to_string();
        if all != "0" {
            notes.push(format!(
                "Words of the text that the vocabulary lacks: {all}. A word that is read as <unk> \
                 has the surprisal of <unk>; one without <unk> is skipped."
            ));
        }
        if text.models.len() > COLORED {
            notes.push(format!(
                "The text is colored for the first {COLORED} models; tables and charts have all."
            ));
        }
        let mean = text
            .models
            .first()
            .map_or(0.0, |it| it.reading.evaluation.entropy_bits);
        let scale = Scale::around(mean);
        let colored = || text.models.iter().take(COLORED).enumerate();
        let texts = colored().map(|(index, model)| surprisal(text, index, model, &scale));
        let others = colored().skip(1).map(|(_, model)| {
            let bits = model.reading.excerpt.iter().map(|token| token.bits);
            (model.name.as_str(), bits.collect::<Vec<_>>())
        });
        let ngram = text.ngram.iter();
        let ngram = ngram.map(|ngram| (ngram.name.as_str(), ngram.excerpt.clone()));
        let others = others.chain(ngram).enumerate();
        let differences = others.map(|(index, (name, bits))| difference(text, index, name, &bits));
        let ngram = text.ngram.iter();
        let evaluations = text
            .models
            .iter()
            .map(|model| (&model.name, &model.reading.evaluation))
            .chain(ngram.map(|ngram| (&ngram.name, &ngram.evaluation)));
        Self {
            name: text.name.clone(),
            notes,
            rows: evaluations
                .map(|(name, it)| (name.clone(), row(it)))
                .collect(),
            legend: scale.legend(),
            texts: texts.collect(),
            differences: differences.collect(),
            surprising: text
                .models
                .first()
                .map_or_else(Vec::new, |it| surprising(text, it)),
            excerpt: text.excerpt.len(),
        }
    }
}

/// The figures of a model, as `elman eval` prints them.
fn row(evaluation: &Evaluation) -> Vec<String> {
    vec![
        perplexity(evaluation.perplexity),
        format!("{:.6}", evaluation.entropy_bits),
        format!("{:.4}", evaluation.log10_prob),
        evaluation.tokens.to_string(),
        evaluation.oov.to_string(),
    ]
}

fn surprisal(text: &TextReport, index: usize, model: &ModelOnText, scale: &Scale) -> Colored {
    let tokens = text
        .excerpt
        .iter()
        .zip(&model.reading.excerpt)
        .map(|(written, reading)| {
            let class = reading
                .bits
                .map_or_else(|| "h0 skipped".to_owned(), |it| scale.class(it));
            ColoredToken::new(written, class, describe(reading))
        });
    Colored {
        id: format!("text{index}"),
        label: format!("Surprisal by {}", model.name),
        tokens: tokens.collect(),
    }
}

/// What is shown about a token on request.
fn describe(reading: &TokenReading) -> String {
    let bits = match reading.bits {
        None => "unknown word, skipped".to_owned(),
        Some(bits) => format!("{bits:.2} bits ({})", percent((-bits).exp2())),
    };
    format!(
        "{bits}, expected {:.2} bits. Likeliest: {}",
        reading.entropy_bits,
        likeliest(reading)
    )
}

fn likeliest(reading: &TokenReading) -> String {
    let tokens = reading.likeliest.iter();
    let tokens = tokens.map(|it| format!("{} {}", it.token, percent(it.probability)));
    tokens.collect::<Vec<_>>().join(", ")
}

/// A probability in percent, with two or more digits.
fn percent(probability: f64) -> String {
    match probability * 100.0 {
        percent if percent >= 10.0 => format!("{percent:.0} %"),
        percent if percent >= 0.1 => format!("{percent:.1} %"),
        percent => format!("{percent:.0e} %"),
    }
}

/// The surprisal by another model minus that by the first one.
fn difference(text: &TextReport, index: usize, name: &str, others: &[Option<f64>]) -> Colored {
    let first = &text.models[0];
    let pairs = first.reading.excerpt.iter().zip(others);
    let tokens = text
        .excerpt
        .iter()
        .zip(pairs)
        .map(|(written, (one, other))| match one.bits.zip(*other) {
            None => ColoredToken::new(written, "h0 skipped".to_owned(), "skipped".to_owned()),
            Some((one, other)) => ColoredToken::new(
                written,
                signed_class(other - one, DIFFERENCES),
                format!(
                    "{other:.2} bits by {name}, {one:.2} by {}: {:+.2}",
                    first.name,
                    other - one
                ),
            ),
        });
    Colored {
        id: format!("difference{index}"),
        label: format!("Surprisal by {name} minus that by {}", first.name),
        tokens: tokens.collect(),
    }
}

fn surprising(text: &TextReport, model: &ModelOnText) -> Vec<Surprising> {
    let tokens = text.excerpt.iter().zip(&model.reading.excerpt);
    let mut known: Vec<_> = tokens
        .filter_map(|(written, it)| Some((written, it, it.bits?)))
        .collect();
    known.sort_by(|a, b| b.2.total_cmp(&a.2));
    let row = |(written, reading, bits): &(&String, &TokenReading, f64)| Surprising {
        token: ColoredToken::new(written, String::new(), String::new()).text,
        bits: format!("{bits:.2}"),
        entropy: format!("{:.2}", reading.entropy_bits),
        likeliest: likeliest(reading),
    };
    known.iter().take(SURPRISING).map(row).collect()
}
