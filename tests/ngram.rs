//! N-gram models against the reference: reading, writing, probabilities, and rejected files.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use elman::ngram::{History, NgramModel};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::ngram_errors::rejected;
use crate::harness::{apply, test};
use crate::reference::arpa;

/// A directory for the files of a test.
pub struct Desk(pub TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).expect("a written file");
        self.path(name)
    }

    pub fn read(&self, text: &str) -> NgramModel {
        NgramModel::read(&self.write("model", text))
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a directory");
        entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }
}

/// A generator of integers below a bound.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// log10 p of each word of a sentence and its end.
fn sentence(model: &NgramModel, words: &[String]) -> Vec<Option<f64>> {
    let mut history = model.sentence_start();
    let ids = words
        .iter()
        .map(String::as_str)
        .chain(["</s>"])
        .map(|token| model.id(token).or(model.unknown()));
    ids.map(|id| {
        let found = id.map(|id| model.log10_prob(&history, id));
        history = model.advance(&history, id);
        found
    })
    .collect()
}

/// Compares model and reference on random sentences of up to six words, in and out of the
/// vocabulary.
pub fn agree(model: &NgramModel, reference: &arpa::Arpa, random: &mut Random, text: &str) {
    let mut words: Vec<String> = (0..model.vocab_size())
        .map(|id| model.token(id as u32).to_owned())
        .collect();
    words.push("elsewhere".to_owned());
    for _ in 0..150 {
        let chosen: Vec<String> = (0..random.below(7))
            .map(|_| words[random.below(words.len())].clone())
            .collect();
        let (found, expected) = (sentence(model, &chosen), reference.sentence(&chosen));
        assert_eq!(found.len(), expected.len());
        for pair in found.iter().zip(&expected) {
            match pair {
                (None, None) => {}
                (Some(found), Some(expected)) if (found - expected).abs() < 1e-5 => {}
                _ => panic!("{chosen:?}: {found:?} instead of {expected:?}\n{text}"),
            }
        }
    }
}

pub const GOOD: &str = "\\data\\\nngram 1=4\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n\
    -1\t</s>\n-0.5\ta\t-0.25\n-0.75\tb\n\n\
    \\2-grams:\n-0.125\t<s> a\t-2\n-0.25\ta b\n-0.5\tb </s>\n\n\\3-grams:\n-0.0625\t<s> a b\n\n\
        \\end\\\n";

#[apply(test)]
fn small_models() {
    let desk = Desk::new();
    let unigrams = "\\1-grams:\n-1 </s>\n-2.5 a -0.5\n-0.25 b -1e-2\n-99 <s>\n";
    let texts = [
        GOOD.to_owned(),
        GOOD.replace('\n', "\r\n"),
        format!("\u{feff}{GOOD}"),
        format!("A model.\nngram 1=nr\nIt begins with \\data\\ and so on.\n\n{GOOD}and ends.\n"),
        GOOD.replace('\t', "  ").replace("=", " = "),
        GOOD.replace("\t-2\n", "\t 4.5 \n")
            .replace("<s> a b", "<s> a b\t0"),
        GOOD.replace("\ta", "\t<unk>").replace(" a", " <unk>"),
        GOOD.replace("<s>", "start"),
        // Only unigrams.
        "\\data\\\nngram 1=2\n\\1-grams:\n-0.5 </s>\n-0.25 a 0\n\\end\\".to_owned(),
        "\\data\\\nngram 1=2\n\\1-grams:\n-0.5 <unk>\n-0.25 </s>\n\\end\\".to_owned(),
        // An order without n-grams, and an n-gram whose contexts are missing.
        format!(
            "\\data\\\nngram 1=4\nngram 2=0\nngram 3=0\n{unigrams}\\2-grams:\n\\3-grams:\n\\end\\\n"
        ),
        format!(
            "\\data\\\nngram 1=4\nngram 2=0\nngram 3=2\n{unigrams}\\2-grams:\n\\3-grams:\n-0.5 b a \
             b\n-0.125 a a </s>\n\\end\\\n"
        ),
        // b a is missing before, between and after existing n-grams, together with a b a and b b a.
        format!(
            "\\data\\\nngram 1=4\nngram 2=3\nngram 3=2\nngram 4=3\n{unigrams}\\2-grams:\n-0.5 b b \
             -0.25\n-1 a a -4\n-2 b </s>\n\
             \\3-grams:\n-0.5 a a b -1\n-0.125 b b b -0.75\n\\4-grams:\n-0.1 b b a a\n\
                 -0.2 a b a b\n-0.3 a a b a\n\\end\\\n"
        ),
    ];
    for text in &texts {
        agree(
            &desk.read(text),
            &arpa::Arpa::read(text.trim_start_matches('\u{feff}')),
            &mut Random(1),
            text,
        );
    }
    let model = desk.read(
        &GOOD
            .replace("-99\t<s>", "-inf\t<s>")
            .replace("-1\t</s>", "0.00009\t</s>"),
    );
    let probability =
        |token| model.log10_prob(&History::default(), model.id(token).expect("a word"));
    assert_eq!(
        (
            probability("<s>"),
            probability("</s>"),
            model.id("c"),
            model.unknown()
        ),
        (-99.0, 0.0, None, None)
    );
    assert_eq!(
        (model.order(), model.vocab_size(), model.counts()),
        (3, 4, vec![4, 3, 1])
    );
}

/// Random n-grams with random values, most of them without their contexts.
#[apply(test)]
fn random_models() {
    let desk = Desk::new();
    let mut random = Random(2);
    for round in 0..150 {
        let mut words = vec!["</s>", "a", "b", "c"];
        words.extend(["<s>", "<unk>"].into_iter().filter(|_| random.below(3) > 0));
        let order = 1 + round % 5;
        let mut sections = vec![
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>(),
        ];
        for length in 2..=order {
            let draw = |random: &mut Random| {
                (0..length)
                    .map(|_| words[random.below(words.len())])
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let mut section: Vec<String> =
                (0..random.below(30)).map(|_| draw(&mut random)).collect();
            section.sort_by_key(|ngram| {
                (ngram.len() * 7 + ngram.bytes().map(usize::from).sum::<usize>() * 5) % 11
            });
            section.dedup();
            let mut once = std::collections::HashSet::new();
            section.retain(|ngram| once.insert(ngram.clone()));
            sections.push(section);
        }
        let mut text = "\\data\\\n".to_owned();
        sections
            .iter()
            .zip(1..)
            .for_each(|(section, length)| text += &format!("ngram {length}={}\n", section.len()));
        for (section, length) in sections.iter().zip(1..) {
            text += &format!("\n\\{length}-grams:\n");
            for ngram in section {
                text += &format!("{} {ngram}", -(random.below(4000) as f64) / 1000.0);
                text += &if length == order || random.below(2) == 0 {
                    "\n".to_owned()
                } else {
                    format!(" {}\n", random.below(300) as f64 / 100.0 - 2.0)
                };
            }
        }
        text += "\n\\end\\\n";
        let (model, reference) = (desk.read(&text), arpa::Arpa::read(&text));
        assert_eq!(
            model.counts(),
            sections.iter().map(Vec::len).collect::<Vec<_>>()
        );
        agree(&model, &reference, &mut random, &text);
        // The written file omits the contexts that were inserted, and is read back as the same
        // model.
        model.write(&desk.path("again")).expect("a written model");
        let again = NgramModel::read(&desk.path("again")).expect("a model");
        assert_eq!(again.counts(), model.counts());
        agree(&again, &reference, &mut random, &text);
    }
}

#[apply(test)]
fn histories() {
    let model = Desk::new().read(GOOD);
    let [a, b, end] = ["a", "b", "</s>"].map(|token| model.id(token));
    let start = model.sentence_start();
    assert_ne!(start, History::default());
    // The state keeps two words; earlier words do not matter.
    let one = model.advance(&model.advance(&start, a), b);
    let other = model.advance(&model.advance(&model.advance(&History::default(), b), a), b);
    assert_eq!(one, other);
    assert_ne!(
        model.advance(&start, a),
        model.advance(&History::default(), a)
    );
    assert_eq!(model.advance(&start, None), History::default());
    assert_eq!(model.advance(&start, end), History::default());
    let headless = Desk::new().read(&GOOD.replace("<s>", "start"));
    assert_eq!(headless.sentence_start(), History::default());
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[apply(test)]
fn compressed_files() {
    let desk = Desk::new();
    let compressed = compress(GOOD.as_bytes());
    let parts = [
        compress(&GOOD.as_bytes()[..100]),
        compress(&GOOD.as_bytes()[100..]),
    ]
    .concat();
    for bytes in [&compressed, &parts] {
        let model = NgramModel::read(&desk.write("any.name", bytes)).expect("a model");
        agree(&model, &arpa::Arpa::read(GOOD), &mut Random(3), GOOD);
    }
    // Also if only the checksum at the end is truncated, after the last line.
    for length in [
        2,
        11,
        40,
        compressed.len() - 9,
        compressed.len() - 4,
        compressed.len() - 1,
    ] {
        rejected(
            &desk.write("cut", &compressed[..length]),
            &["cut, line", "truncated or corrupt"],
        );
    }
    let mut damaged = compressed.clone();
    damaged[compressed.len() - 6] ^= 1;
    rejected(&desk.write("damaged", &damaged), &["truncated or corrupt"]);
    // The file name selects compression only for writing.
    desk.read(GOOD)
        .write(&desk.path("model.arpa.gz"))
        .expect("a written model");
    assert_eq!(
        fs::read(desk.path("model.arpa.gz")).expect("a file")[..2],
        [0x1f, 0x8b]
    );
    assert_eq!(
        NgramModel::read(&desk.path("model.arpa.gz"))
            .expect("a model")
            .counts(),
        [4, 3, 1]
    );
    desk.read(GOOD)
        .write(&desk.write("plain.gz", GOOD).with_extension("arpa"))
        .expect("a written model");
    assert!(
        fs::read(desk.path("plain.arpa"))
            .expect("a file")
            .starts_with(b"\\data\\")
    );
}

#[apply(test)]
fn round_trip() {
    let desk = Desk::new();
    let model = desk.read(GOOD);
    model.write(&desk.path("model")).expect("a written model");
    assert_eq!(
        fs::read_to_string(desk.path("model")).expect("a file"),
        GOOD
    );
    let mut names = desk.names();
    names.sort();
    assert_eq!(names, ["model"], "no temporary file is left");
}
