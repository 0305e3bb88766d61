//! ARPA files of other programs: `<UNK>`, interpolated models of IRSTLM, and words with characters
//! that Unicode calls white space.

use elman::ngram::{History, NgramModel};

use super::ngram::{Desk, Random, agree};
use super::ngram_errors::rejected;
use crate::command::Workbench;
use crate::harness::{apply, test};
use crate::reference::arpa::{Arpa, ngram};

/// A model with `<unk>` in capitals.
const CAPITALS: &str = "\\data\\\nngram 1=6\nngram 2=5\n\n\\1-grams:\n-99\t<s>\t-0.3\n\
    -0.7\t</s>\n-0.6\tthe\t-0.2\n-0.8\tdog\t-0.25\n-0.9\tsings\t-0.1\n-1.5\t<UNK>\t-0.4\n\n\
    \\2-grams:\n-0.2\t<s> the\n-0.3\tthe dog\n-0.4\tdog sings\n-0.1\tsings </s>\n\
    -0.35\t<UNK> sings\n\n\\end\\\n";

#[apply(test)]
fn unknown_word_in_any_letter_case() {
    let workbench = Workbench::new();
    workbench.write("text.txt", "the dog sings\nthe fox sings\n\nfox\n");
    for unknown in ["<UNK>", "<unk>", "<Unk>"] {
        workbench.write("lm.arpa", CAPITALS.replace("<UNK>", unknown));
        let run = workbench
            .run("ngram --arpa lm.arpa --test text.txt --json")
            .succeeds();
        // KenLM's values.
        assert!((run.number("log10_prob") + 7.25).abs() < 1e-5, "{unknown}");
        let counts = (run.number("tokens"), run.number("oov"));
        assert_eq!(counts, (11.0, 0.0), "{unknown}");
    }
    // A network reads the same file.
    workbench.write("train.txt", "the dog sings\nthe fox sings\n".repeat(20));
    workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --batch 2 --bptt 4")
        .succeeds();
    let probabilities = |unknown: &str| {
        workbench.write("lm.arpa", CAPITALS.replace("<UNK>", unknown));
        workbench
            .run("eval --device cpu --text text.txt --arpa lm.arpa --format rnnlm")
            .succeeds()
            .tokens()
    };
    let small = probabilities("<unk>");
    assert!(small.iter().all(|token| token.probabilities[1] > 0.0));
    assert_eq!(probabilities("<UNK>"), small);
    // An n-gram model of nothing but the unknown word.
    let only = "\\data\\\nngram 1=2\n\\1-grams:\n-0.5 <UNK>\n-0.25 </s>\n\\end\\\n";
    workbench.write("only.arpa", only);
    let run = workbench
        .run("ngram --arpa only.arpa --test text.txt --json")
        .succeeds();
    assert!((run.number("log10_prob") + 7.0 * 0.5 + 4.0 * 0.25).abs() < 1e-5);
}

#[apply(test)]
fn several_unknown_words() {
    let both = CAPITALS
        .replace("ngram 1=6", "ngram 1=7")
        .replace("-0.6\tthe", "-3\t<unk>\n-0.6\tthe");
    let model = Desk::new().read(&both);
    assert_eq!(model.unknown(), model.id("<unk>"));
    assert!(
        model
            .id("<UNK>")
            .is_some_and(|id| Some(id) != model.unknown())
    );
}

/// A model of IRSTLM. Its values above order 1 are discounted frequencies.
const INTERPOLATED: &str = "iARPA\n\\data\\\nngram 1= 4\nngram 2= 3\n\n\\1-grams:\n\
    -99\t<s>\t-0.477121\n-0.397940\t</s>\n-0.522879\ta\t-0.477121\n-0.522879\tb\t-0.477121\n\n\
    \\2-grams:\n-0.176091\t<s> a\n-0.176091\ta b\n-0.176091\tb </s>\n\n\\end\\\n";

#[apply(test)]
fn interpolated_model() {
    let workbench = Workbench::new();
    workbench.write("text.txt", "a b\na b\nb\n");
    let measure = |text: &str| {
        workbench.write("lm.arpa", text);
        workbench
            .run("ngram --arpa lm.arpa --test text.txt --json")
            .succeeds()
            .number("perplexity")
    };
    assert!((measure(INTERPOLATED) - 1.655_913_9).abs() < 1e-6);
    // Only the first word of the file decides.
    for plain in ["", "An\niARPA\n", "iARPA2\n"] {
        let text = INTERPOLATED.replacen("iARPA\n", plain, 1);
        assert!((measure(&text) - 1.901_426_9).abs() < 1e-6, "{plain:?}");
    }
    for interpolated in ["iARPA \n", "\u{feff}iARPA\n", "\n iARPA 2\r\n"] {
        let text = INTERPOLATED.replacen("iARPA\n", interpolated, 1);
        assert!(
            (measure(&text) - 1.655_913_9).abs() < 1e-6,
            "{interpolated:?}"
        );
    }
}

/// p(word | history) by IRSTLM's rule.
fn interpolated(arpa: &Arpa, history: &[String], word: &str) -> f64 {
    let Some((_, shorter)) = history.split_first() else {
        return 10_f64.powf(arpa.ngrams[&ngram(word)].0);
    };
    let weight = arpa.ngrams.get(history).map_or(0.0, |values| values.1);
    let lower = 10_f64.powf(weight) * interpolated(arpa, shorter, word);
    let own = arpa.ngrams.get(&[history, &ngram(word)].concat());
    lower + own.map_or(0.0, |values| 10_f64.powf(values.0))
}

#[apply(test)]
fn random_interpolated_models() {
    let desk = Desk::new();
    let mut random = Random(3);
    for _ in 0..40 {
        let words = ["</s>", "<s>", "a", "b", "c"];
        let mut sections = [words.map(str::to_owned).to_vec(), Vec::new(), Vec::new()];
        for (length, section) in [(2, 5), (3, 12)] {
            for _ in 0..section {
                let draw = (0..length).map(|_| words[random.below(words.len())]);
                let drawn = draw.collect::<Vec<_>>().join(" ");
                if !sections[length - 1].contains(&drawn) {
                    sections[length - 1].push(drawn);
                }
            }
        }
        let mut text = "iARPA\n\\data\\\n".to_owned();
        for (section, length) in sections.iter().zip(1..) {
            text += &format!("ngram {length}={}\n", section.len());
        }
        for (section, length) in sections.iter().zip(1..) {
            text += &format!("\\{length}-grams:\n");
            for words in section {
                let value = -1.0 - random.below(3000) as f64 / 1000.0;
                let weight = match length {
                    3 => String::new(),
                    _ => format!("\t{}", -0.5 - random.below(1000) as f64 / 1000.0),
                };
                text += &format!("{value}\t{words}{weight}\n");
            }
        }
        text += "\\end\\\n";
        let (model, arpa) = (desk.read(&text), Arpa::read(&text));
        for history in ["", "a", "b a", "<s> a", "c c"].map(ngram) {
            let ids = history.iter().map(|word| model.id(word));
            let state = ids.fold(History::default(), |state, id| model.advance(&state, id));
            for word in ["a", "b", "c", "</s>"] {
                let found = model.log10_prob(&state, model.id(word).expect("a word"));
                let want = interpolated(&arpa, &history, word).log10();
                assert!((found - want).abs() < 1e-5, "{history:?} {word}\n{text}");
            }
        }
        // The written file is a plain one.
        model.write(&desk.path("plain")).expect("a written model");
        let plain = std::fs::read_to_string(desk.path("plain")).expect("a file");
        agree(&model, &Arpa::read(&plain), &mut random, &text);
    }
}

#[apply(test)]
fn rejected_headers() {
    let desk = Desk::new();
    let probabilities = INTERPOLATED.replace("-0.176091\ta b", "-0.01\ta b");
    rejected(
        &desk.write("plain", &probabilities),
        &[
            "plain: the 2-gram \"a b\"",
            "iARPA",
            "1.07",
            "compile-lm",
            "--text=yes",
        ],
    );
    let quantized = INTERPOLATED.replacen("iARPA", "qARPA 2 256 256", 1);
    rejected(
        &desk.write("quantized", quantized),
        &["quantized, line 1", "qARPA", "quantize-lm"],
    );
}

/// Words with characters that Unicode calls white space and ARPA files do not.
const WORDS: [&str; 6] = [
    "10\u{a0}000",
    "x\u{2028}y",
    "v\u{b}w",
    "n\u{85}m",
    "z\u{200d}w",
    "ideo\u{3000}graph",
];

#[apply(test)]
fn words_with_unicode_spaces() {
    let desk = Desk::new();
    let mut text = format!("\\data\\\nngram 1={}\n\\1-grams:\n", WORDS.len() + 2);
    text += "-99\t<s>\n-0.5\t</s>\n";
    for (word, tenths) in WORDS.iter().zip(10..) {
        text += &format!("-{}.{}\t{word}\n", tenths / 10, tenths % 10);
    }
    text += "\\end\\\n";
    let model = desk.read(&text);
    for word in WORDS {
        assert!(model.id(word).is_some(), "{word:?}");
    }
    model.write(&desk.path("again")).expect("a written model");
    let again = NgramModel::read(&desk.path("again")).expect("a model");
    assert_eq!(again.vocab_size(), WORDS.len() + 2);
    let edges = "\\data\\\nngram 1=2\n\\1-grams:\n-1\t\u{a0}\n-1\t</s>\u{c}\n\\end\\\n";
    let model = desk.read(edges);
    assert!(model.id("\u{a0}").is_some() && model.id("</s>\u{c}").is_some());

    let workbench = Workbench::new();
    workbench.write("lm.arpa", text);
    let lines = WORDS.join("\n") + "\n";
    workbench.write("text.txt", &lines);
    let run = workbench
        .run("ngram --arpa lm.arpa --test text.txt --json")
        .succeeds();
    assert_eq!((run.number("tokens"), run.number("oov")), (12.0, 0.0));
    assert!((run.number("log10_prob") + 7.5 + 3.0).abs() < 1e-5);
    // A model of such a text is read back with the same words.
    workbench
        .run("ngram --text text.txt --order 1 --out made.arpa")
        .succeeds();
    let made = NgramModel::read(&workbench.path("made.arpa")).expect("a model");
    for word in WORDS {
        assert!(made.id(word).is_some(), "{word:?}");
    }
}
