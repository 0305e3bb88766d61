//! Small models in the format of rnnlm.

const WORDS: [(&str, usize); 3] = [("</s>", 0), ("a", 0), ("b", 1)];
const HIDDEN: usize = 2;
const CLASSES: usize = 2;
const DIRECT: usize = 32;

/// The header and the vocabulary.
fn start(file_format: usize, compression: usize) -> String {
    let words = WORDS.len();
    let mut text = format!(
        "version: 10\nfile format: {file_format}\n\ntraining data file: train.txt\n\
         learning rate: 0.1\ninput layer size: {}\nhidden layer size: {HIDDEN}\n\
         compression layer size: {compression}\noutput layer size: {}\n\
         direct connections: {DIRECT}\ndirect order: 3\nbptt: 4\nvocabulary size: {words}\n\
         class size: {CLASSES}\nold classes: 0\nindependent sentences mode: 0\n\nVocabulary:\n",
        words + HIDDEN,
        words + CLASSES,
    );
    for (index, (word, class)) in WORDS.iter().enumerate() {
        text += &format!("{index:6}\t{:10}\t{word}\t{class}\n", 9 - index);
    }
    text
}

/// The titles of the arrays and their lengths.
fn arrays(compression: usize) -> Vec<(&'static str, usize)> {
    let outputs = WORDS.len() + CLASSES;
    let mut arrays = vec![
        ("Hidden layer activation", HIDDEN),
        ("Weights 0->1", HIDDEN * (WORDS.len() + HIDDEN)),
    ];
    if compression == 0 {
        arrays.push(("Weights 1->2", outputs * HIDDEN));
    } else {
        arrays.push(("Weights 1->c", compression * HIDDEN));
        arrays.push(("Weights c->2", outputs * compression));
    }
    arrays.push(("Direct connections", DIRECT));
    arrays
}

/// A value for each place: a quarter more than that of the place before it.
fn values(length: usize) -> impl Iterator<Item = f32> {
    (0..length).map(|index| index as f32 * 0.25 - 1.0)
}

/// A model whose values are decimal digits.
pub fn text() -> Vec<u8> {
    let mut text = start(0, 0);
    for (title, length) in arrays(0) {
        text += &format!("\n{title}:\n");
        for value in values(length) {
            text += &format!("{value:.4}\n");
        }
    }
    text.into_bytes()
}

/// A model with a compression layer whose values are bytes.
pub fn binary() -> Vec<u8> {
    let mut bytes = start(1, 1).into_bytes();
    for (_, length) in arrays(1) {
        bytes.extend(values(length).flat_map(f32::to_le_bytes));
    }
    bytes
}
