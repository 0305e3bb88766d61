//! Subwords: texts are decoded unchanged, and tokenizers are reproducible.

use elman::corpus::{Corpus, Limits, Subwords, TextSource, TextWriter, Tokens, Unit, Vocabulary};
use serde_json::{Value, json};

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// Lines that are easily lost or changed by a tokenizer.
pub const LINES: [&str; 14] = [
    "",
    "the boys run",
    "  two spaces before, three   within, two behind  ",
    "\t tabs\t\tand a tab behind\t",
    "a\rcarriage\r\rreturn",
    "\u{feff}a byte order mark, \u{a0}no-break, \u{2028}separators\u{85}\u{200b}",
    "cafe\u{301} and café, ﬁ, №, İstanbul, ẞ",
    "漢字かな交じり文。한국어",
    "👩‍👩‍👧 🏳️‍🌈 and 👋🏽",
    "</s> <unk> <0x0A> Ġthe \\n <|endoftext|>",
    "\u{0}\u{1}\u{7f}\u{80}\u{ad}",
    "don't I'LL we've 1234567 x=1;y+=2",
    " ",
    "\u{300}\u{301}",
];

pub fn read(text: &str, limits: Limits) -> Corpus {
    Corpus::read(TextSource::Memory(text.as_bytes()), None, Unit::Bpe, limits).expect("a corpus")
}

pub fn limits(vocab_size: usize) -> Limits {
    Limits {
        vocab_size: Some(vocab_size),
        min_count: 2,
    }
}

/// The difficult lines among others, frequent enough to be learnt.
fn hostile_text() -> String {
    (LINES.join("\n") + "\n" + &small_text()[..2000] + "\n").repeat(7)
}

fn text_of(vocabulary: &Vocabulary, ids: impl IntoIterator<Item = u32>) -> String {
    let (mut writer, mut text) = (TextWriter::new(Unit::Bpe, true), Vec::new());
    ids.into_iter()
        .for_each(|id| writer.write(vocabulary.token(id), &mut text));
    writer.finish(&mut text);
    String::from_utf8(text).expect("text")
}

#[apply(test)]
fn every_line_is_decoded_unchanged() {
    for text in [small_text(), hostile_text()] {
        let vocabulary = read(&text, limits(600)).vocabulary;
        let subwords = vocabulary.subwords().expect("subwords");
        let whole = LINES.concat().repeat(50);
        for line in LINES.into_iter().chain([whole.as_str()]) {
            let ids = subwords.encode(line);
            assert!(
                ids.iter()
                    .all(|&id| id > 0 && (id as usize) < vocabulary.len()),
                "{line:?} has a boundary in it: {ids:?}"
            );
            assert_eq!(text_of(&vocabulary, ids), line);
        }
    }
}

pub fn same(a: &Tokens, b: &Tokens) {
    assert!(a.iter().eq(b.iter()), "{} and {} tokens", a.len(), b.len());
}

/// The text from which subwords are learnt has the same tokens when it is read again with them: a
/// resumed run continues with the same text.
#[apply(test)]
fn text_has_one_encoding() {
    let words = "a line of many words, ".repeat(20_000);
    for long in [
        words.as_str(),
        &"語".repeat(200_000),
        &" ".repeat(300_000),
        &"ab".repeat(70_000),
    ] {
        let text = format!(
            "\u{feff}{}\r\n{long}\n\n{}no end",
            hostile_text(),
            hostile_text()
        );
        let learnt = read(&text, limits(500));
        let again = Corpus::read_with(
            learnt.vocabulary.clone(),
            TextSource::Memory(text.as_bytes()),
            None,
            Unit::Bpe,
        )
        .expect("a corpus");
        same(&learnt.train, &again.train);
        same(&learnt.valid, &again.valid);
        let whole = |corpus: &Corpus| {
            corpus
                .train
                .iter()
                .chain(corpus.valid.iter())
                .collect::<Tokens>()
        };
        let ends = text
            .strip_prefix('\u{feff}')
            .expect("a mark")
            .replace("\r\n", "\n")
            + "\n";
        assert!(
            text_of(&learnt.vocabulary, whole(&learnt).iter()) == ends,
            "the text did not come back"
        );
    }
}

#[apply(test)]
fn sentences_match_word_sentences() {
    for text in [
        small_text(),
        "a b\n\n\nc\r\n d e".repeat(30),
        "one line and no end".to_owned(),
    ] {
        let ends = |unit| {
            let corpus = Corpus::read(
                TextSource::Memory(text.as_bytes()),
                None,
                unit,
                Limits::default(),
            )
            .expect("a corpus");
            corpus
                .train
                .iter()
                .chain(corpus.valid.iter())
                .filter(|&id| id == 0)
                .count()
        };
        assert_eq!(ends(Unit::Bpe), ends(Unit::Word), "{text:?}");
    }
}

#[apply(test)]
fn tokenizer_is_reproducible() {
    let text = hostile_text();
    let json = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        pool.install(|| {
            read(&text, limits(700))
                .vocabulary
                .subwords()
                .expect("subwords")
                .json()
                .to_owned()
        })
    };
    let one = json(1);
    for threads in [1, 2, 5] {
        assert!(
            json(threads) == one,
            "{threads} threads learnt something else"
        );
    }
}

/// Subwords are learnt from the training part alone: they equal those of that part as a separate
/// text.
#[apply(test)]
fn held_out_text_does_not_affect_the_tokenizer() {
    let workbench = Workbench::new();
    workbench.write("valid.txt", "the boys run\n");
    // The later words are longer, so a tenth of the pieces is not a tenth of the text.
    let long: String = (0..120_u64)
        .map(|number| format!("zvq{}xz{}\n", number.pow(9), number.pow(8)))
        .collect();
    for text in [small_text(), small_text() + &long] {
        let whole = read(&text, limits(500));
        let train = text_of(&whole.vocabulary, whole.train.iter());
        assert!(
            train.ends_with('\n') && text.starts_with(&train),
            "it is cut within a line"
        );
        let tenth = text.len() - train.len();
        assert!(
            (text.len() / 10 - 60..=text.len() / 10).contains(&tenth),
            "{tenth} of {} bytes are held out",
            text.len()
        );
        let source = TextSource::Memory(train.as_bytes());
        let part = Corpus::read(
            source,
            Some(&workbench.path("valid.txt")),
            Unit::Bpe,
            limits(500),
        )
        .expect("a corpus");
        assert!(
            part.vocabulary == whole.vocabulary,
            "what is held out has taught something"
        );
        same(&part.train, &whole.train);
    }
}

#[apply(test)]
fn vocabulary_size_is_respected() {
    let text = small_text();
    for (size, found) in [(257, 257), (258, 258), (400, 400)] {
        let vocabulary = read(&text, limits(size)).vocabulary;
        assert_eq!(vocabulary.len(), found);
        assert_eq!(
            (
                vocabulary.token(0),
                vocabulary
                    .types()
                    .iter()
                    .filter(|token| *token == "</s>")
                    .count()
            ),
            ("</s>", 1)
        );
    }
    // A piece does not extend beyond a word and the space before it, and every pair must occur
    // often enough.
    let few = read("aaaa b aaaa b\naaaa b\n", limits(400)).vocabulary;
    assert!((258..400).contains(&few.len()), "{}", few.len());
    let never = read(
        "aaaa b aaaa b\naaaa b\n",
        Limits {
            vocab_size: Some(400),
            min_count: 1000,
        },
    )
    .vocabulary;
    assert_eq!(never.len(), 257);
    let workbench = Workbench::new();
    workbench.write("few.txt", "some few words\n".repeat(40));
    let run = workbench
        .run(
            "train --train few.txt --unit bpe --device cpu --hidden 4 --epochs 1 \
        --batch 2 --bptt 4",
        )
        .succeeds();
    assert!(
        run.stderr.contains("not the 4096 of --vocab-size"),
        "{}",
        run.stderr
    );
}

/// A tokenizer of a small text, as JSON that can be modified.
pub fn small_tokenizer(size: usize) -> Value {
    serde_json::from_str(
        read(&small_text(), limits(size))
            .vocabulary
            .subwords()
            .expect("subwords")
            .json(),
    )
    .expect("JSON")
}

fn vocabulary_of(tokenizer: &Value) -> Vocabulary {
    Vocabulary::from_subwords(
        Subwords::parse(tokenizer.to_string(), "given.json").expect("a tokenizer"),
    )
    .expect("a vocabulary")
}

/// Changes the indices of the model's tokens.
pub fn renumber(tokenizer: &mut Value, number: impl Fn(u64) -> u64) {
    let entries = tokenizer["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary");
    for value in entries.values_mut() {
        *value = json!(number(value.as_u64().expect("a number")));
    }
}

#[apply(test)]
fn given_tokenizer_gets_the_boundary_at_index_0() {
    let tokenizer = small_tokenizer(300);
    let want = vocabulary_of(&tokenizer);
    // Without an end token, as GPT-2 has none of this name; with one after all others; and with one
    // among them.
    let mut without = tokenizer.clone();
    without["added_tokens"] = json!([]);
    without["model"]["vocab"]
        .as_object_mut()
        .expect("a vocabulary")
        .remove("</s>");
    renumber(&mut without, |id| id - 1);
    let at = |place: u64| {
        let mut moved = tokenizer.clone();
        renumber(&mut moved, |id| match id {
            0 => place,
            id if id <= place => id - 1,
            id => id,
        });
        moved["added_tokens"][0]["id"] = json!(place);
        moved
    };
    for given in [without, at(299), at(120), tokenizer.clone()] {
        let found = vocabulary_of(&given);
        assert_eq!(found.types(), want.types());
        for line in LINES {
            let [a, b] = [&found, &want]
                .map(|vocabulary| vocabulary.subwords().expect("subwords").encode(line));
            assert_eq!(a, b, "{line:?}");
        }
    }
}

#[apply(test)]
fn lossy_tokenizer_encodes_lines_as_bytes() {
    let mut tokenizer = small_tokenizer(300);
    tokenizer["normalizer"] =
        json!({"type": "Replace", "pattern": {"String": "boys"}, "content": "girls"});
    // A token that absorbs the white space beside it.
    let mark = json!({
        "id": 300, "content": "<mark>", "single_word": false, "lstrip": true, "rstrip": true,
        "normalized": false, "special": false
    });
    tokenizer["added_tokens"]
        .as_array_mut()
        .expect("tokens")
        .push(mark);
    let vocabulary = vocabulary_of(&tokenizer);
    let subwords = vocabulary.subwords().expect("subwords");
    for (line, is_spelt) in [
        ("the boys run", true),
        ("a  <mark> b", true),
        ("a<mark>b", false),
        ("the girls run", false),
    ] {
        let ids = subwords.encode(line);
        assert_eq!(ids.len() == line.len(), is_spelt, "{line:?}: {ids:?}");
        assert_eq!(text_of(&vocabulary, ids), line);
    }
}

pub const TRAIN: &str =
    "train --train train.txt --device cpu --unit bpe --hidden 9 --epochs 2 --batch 4 --bptt 6";

/// A workbench with a small text in `train.txt` and a model of 300 subwords in `model`.
pub fn with_subwords() -> Workbench {
    let workbench = Workbench::new();
    // The words towards the end differ, so a tenth of the subwords is not a tenth of the words.
    let strange: String = (0..40)
        .map(|number| format!("q{number}xz zvq{}\n", number * 7919))
        .collect();
    workbench.write("train.txt", small_text() + &strange);
    workbench
        .run(&format!("{TRAIN} --vocab-size 300"))
        .succeeds();
    workbench
}
