//! Subwords: texts are decoded unchanged, tokenizers are reproducible, checkpoints keep them, and
//! models of different units are compared.

use elman::corpus::{Corpus, Limits, Subwords, TextSource, TextWriter, Tokens, Unit, Vocabulary};
use serde_json::{Value, json};

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

/// Lines that are easily lost or changed by a tokenizer.
const LINES: [&str; 14] = [
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

fn read(text: &str, limits: Limits) -> Corpus {
    Corpus::read(TextSource::Memory(text.as_bytes()), None, Unit::Bpe, limits).expect("a corpus")
}

fn limits(vocab_size: usize) -> Limits {
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

fn same(a: &Tokens, b: &Tokens) {
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
fn small_tokenizer(size: usize) -> Value {
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
fn renumber(tokenizer: &mut Value, number: impl Fn(u64) -> u64) {
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

const TRAIN: &str =
    "train --train train.txt --device cpu --unit bpe --hidden 9 --epochs 2 --batch 4 --bptt 6";

/// A workbench with a small text in `train.txt` and a model of 300 subwords in `model`.
fn with_subwords() -> Workbench {
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

#[apply(test)]
fn train_eval_score_generate() {
    let workbench = with_subwords();
    let vocabulary = String::from_utf8(workbench.read("model/vocab.txt")).expect("UTF-8");
    assert_eq!(
        (vocabulary.lines().next(), vocabulary.lines().count()),
        (Some("</s>"), 300)
    );
    assert!(
        workbench
            .run("inspect")
            .succeeds()
            .stdout
            .contains("subwords, vocabulary 300")
    );
    // `score` reads each line as a separate text and drops its byte order mark.
    let lines: Vec<_> = LINES
        .into_iter()
        .filter(|line| !line.starts_with('\u{feff}'))
        .collect();
    workbench.write("lines.txt", lines.join("\n"));
    for text in ["train.txt", "lines.txt"] {
        let eval = workbench
            .run(&format!("eval --text {text} --device cpu --json"))
            .succeeds();
        assert_eq!(eval.number("oov"), 0.0);
        let scores = workbench
            .run(&format!(
                "score {text} --carry --per-token --json --device cpu"
            ))
            .succeeds()
            .json();
        let sum: f64 = scores["log10_prob"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(Value::as_f64)
            .sum();
        assert!(
            (sum - eval.number("log10_prob")).abs() <= 1e-6 * sum.abs(),
            "{text}: {sum} and {}",
            eval.stdout
        );
        let tokens: f64 = scores["tokens"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(Value::as_f64)
            .sum();
        assert_eq!(tokens, eval.number("tokens"));
    }
    let text = workbench
        .run("generate --sentences 4 --device cpu")
        .succeeds()
        .stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
    // At a high temperature, a model generates bytes that are not valid characters: text is still
    // written, the same as in JSON.
    for prompt in ["the boys ru", "漢", "first line\nsecond li"] {
        let run = |more: &str| {
            let mut command = workbench.command(&format!(
                "generate --tokens 200 --temperature 9 --device cpu {more}--prompt"
            ));
            command.arg(prompt).output().expect("it runs").stdout
        };
        let plain = String::from_utf8(run("")).expect("text");
        assert!(plain.starts_with(prompt), "{plain:?}");
        let json: Value = serde_json::from_slice(&run("--json ")).expect("JSON");
        assert_eq!(
            json["text"].as_str().map(str::trim_end),
            Some(plain.trim_end())
        );
        assert_eq!(json["tokens"].as_array().map(Vec::len), Some(200));
    }
}

#[apply(test)]
fn runs_are_resumed_and_repeated_with_their_subwords() {
    let workbench = with_subwords();
    let tokenizer = workbench.read("model/tokenizer.json");
    workbench
        .run("train --resume model --device cpu --epochs 3")
        .succeeds();
    workbench
        .run(&format!(
            "{} --vocab-size 300 --out whole",
            TRAIN.replace("--epochs 2", "--epochs 3")
        ))
        .succeeds();
    assert!(
        workbench.read("model/model.safetensors") == workbench.read("whole/model.safetensors"),
        "a resumed run is another one"
    );
    // Repeated with other words in the text: the subwords come from the model, not from the text.
    workbench.write("other.txt", "quite other words than those\n".repeat(300));
    let run = workbench
        .run("train --config model --train other.txt --device cpu --epochs 1 --out again")
        .succeeds();
    assert!(
        run.stderr.contains("--tokenizer=model/tokenizer.json"),
        "{}",
        run.stderr
    );
    workbench
        .run("train --config model --device cpu --epochs 3 --out same")
        .succeeds();
    for model in ["whole", "again", "same"] {
        assert!(
            workbench.read(&format!("{model}/tokenizer.json")) == tokenizer,
            "{model} has another tokenizer"
        );
    }
    assert!(
        workbench.read("same/model.safetensors") == workbench.read("model/model.safetensors"),
        "a repeated run is another one"
    );
    // A run with a given tokenizer resumes with it even if the file is gone.
    workbench.write("given.json", &tokenizer);
    workbench
        .run(&format!("{TRAIN} --tokenizer given.json --out given"))
        .succeeds();
    std::fs::remove_file(workbench.path("given.json")).expect("removed");
    workbench
        .run("train --resume given --device cpu --epochs 3")
        .succeeds();
    workbench
        .run("train --resume model --vocab-size 301")
        .fails(2, &["--vocab-size 301", "--vocab-size 300"]);
    workbench
        .run("train --resume model --tokenizer again/tokenizer.json")
        .fails(2, &["--tokenizer again", "without --tokenizer"]);
    workbench
        .run("train --resume model --min-count 5")
        .fails(2, &["--min-count 5", "--min-count 2"]);
    workbench
        .run("train --resume model --vocab-size 300 --device cpu")
        .succeeds();
    // Flags on the command line take precedence.
    let run = workbench
        .run("train --config model --device cpu --epochs 1 --vocab-size 280 --out small")
        .succeeds();
    assert!(run.stderr.contains("without --tokenizer"), "{}", run.stderr);
    assert_eq!(
        workbench.run("inspect --json small").succeeds().json()["config"]["vocab_size"],
        280
    );
    workbench
        .run("train --config model --device cpu --epochs 1 --unit char --out characters")
        .succeeds();
    // Training another unit in the same directory removes the tokenizer.
    workbench
        .run("train --train train.txt --device cpu --hidden 4 --epochs 1 --out small --force")
        .succeeds();
    assert!(!workbench.path("small/tokenizer.json").exists());
}

#[apply(test)]
fn rejected_tokenizers() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let good = small_tokenizer(300);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = good.clone();
        change(&mut tokenizer);
        tokenizer.to_string()
    };
    let model = |kind: Value| changed(&|tokenizer| tokenizer["model"] = kind.clone());
    let cases: [(String, &[&str]); 12] = [
        ("no json".to_owned(), &["wrong.json", "not JSON"]),
        (good.to_string()[..2000].to_owned(), &["not JSON", "EOF"]),
        ("{}".to_owned(), &["not a tokenizer.json", "byte-level BPE"]),
        ("[1, 2]".to_owned(), &["not a tokenizer.json"]),
        (
            model(json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"})),
            &["WordLevel", "requires BPE"],
        ),
        (
            model(json!({
                "type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
                "continuing_subword_prefix": "##", "max_input_chars_per_word": 9
            })),
            &["WordPiece"],
        ),
        (
            model(
                json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}),
            ),
            &["no token", "0x00", "byte-level"],
        ),
        (
            changed(&|tokenizer| renumber(tokenizer, |id| if id > 200 { id + 1 } else { id })),
            &["no token has 201", "0 to 299"],
        ),
        (
            changed(&|tokenizer| tokenizer["model"]["dropout"] = json!(0.5)),
            &["dropout is 0.5", "null"],
        ),
        (
            changed(&|tokenizer| tokenizer["normalizer"] = json!({"type": "Lowercase"})),
            &["decodes to", "normalizer"],
        ),
        (
            changed(&|tokenizer| tokenizer["normalizer"] = json!({"type": "NFC"})),
            &["decodes to", "normalizer"],
        ),
        (
            changed(&|tokenizer| tokenizer["pre_tokenizer"]["add_prefix_space"] = json!(true)),
            &["decodes to", "add_prefix_space"],
        ),
    ];
    for (json, parts) in cases {
        workbench.write("wrong.json", json);
        workbench
            .run(&format!("{TRAIN} --tokenizer wrong.json --out new"))
            .fails(1, parts);
    }
    workbench.write("wrong.json", b"\xff\xfe");
    workbench
        .run(&format!("{TRAIN} --tokenizer wrong.json --out new"))
        .fails(1, &["wrong.json", "not JSON"]);
    workbench
        .run(&format!("{TRAIN} --tokenizer missing.json --out new"))
        .fails(1, &["missing.json", "because"]);
    assert!(!workbench.path("new").join("model.safetensors").exists());
}

#[apply(test)]
fn rejected_flags() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("given.json", small_tokenizer(300).to_string());
    for (flags, parts) in [
        (
            "--unit bpe --vocab-size 256",
            &["--vocab-size 256", "257", "byte"][..],
        ),
        ("--unit bpe --vocab-size 0", &["--vocab-size 0", "257"]),
        (
            "--tokenizer given.json",
            &["--tokenizer given.json", "unit is word", "--unit bpe"],
        ),
        (
            "--unit char --tokenizer given.json",
            &["unit is char", "--unit bpe"],
        ),
        (
            "--unit bpe --tokenizer given.json --vocab-size 300",
            &["--vocab-size with --tokenizer given.json"],
        ),
        (
            "--unit bpe --tokenizer given.json --min-count 3",
            &["--min-count with --tokenizer given.json"],
        ),
    ] {
        workbench
            .run(&format!(
                "train --device cpu --train train.txt --out new {flags}"
            ))
            .fails(2, parts);
    }
    workbench.write("latin.txt", b"good line\nbad \xff line\n");
    workbench
        .run("train --device cpu --unit bpe --out new --train latin.txt")
        .fails(1, &["latin.txt, line 2, byte 5 (0xff)"]);
}

#[apply(test)]
fn damaged_checkpoints() {
    let workbench = with_subwords();
    let eval = "eval --device cpu --text train.txt --model";
    workbench.copy_model("without");
    std::fs::remove_file(workbench.path("without/tokenizer.json")).expect("removed");
    workbench
        .run(&format!("{eval} without"))
        .fails(1, &["without/tokenizer.json", "it is missing", "Restore"]);
    workbench.copy_model("other");
    workbench.write("other/tokenizer.json", small_tokenizer(300).to_string());
    workbench
        .run(&format!("{eval} other"))
        .fails(1, &["other/tokenizer.json", "its subword", "vocab.txt"]);
    let text = String::from_utf8(workbench.read("train.txt")).expect("UTF-8");
    let longer = read(&text, limits(310)).vocabulary;
    workbench.write(
        "other/tokenizer.json",
        longer.subwords().expect("subwords").json(),
    );
    workbench.run(&format!("{eval} other")).fails(
        1,
        &["other/tokenizer.json", "310 subwords", "vocab.txt 300"],
    );
    workbench.copy_model("half");
    let half = workbench.read("half/tokenizer.json");
    workbench.write("half/tokenizer.json", &half[..half.len() / 2]);
    workbench
        .run(&format!("{eval} half"))
        .fails(1, &["half/tokenizer.json", "not JSON"]);
    workbench.copy_model("swapped");
    let vocabulary = String::from_utf8(workbench.read("swapped/vocab.txt")).expect("UTF-8");
    let mut lines: Vec<_> = vocabulary.lines().collect();
    lines.swap(7, 8);
    workbench.write("swapped/vocab.txt", lines.join("\n") + "\n");
    workbench
        .run(&format!("{eval} swapped"))
        .fails(1, &["swapped/tokenizer.json", "subword 7", "vocab.txt"]);
    // Resuming requires the identical file.
    workbench.copy_model("spaced");
    let spaced = String::from_utf8(workbench.read("spaced/tokenizer.json")).expect("UTF-8") + "\n";
    workbench.write("spaced/tokenizer.json", spaced);
    workbench.run(&format!("{eval} spaced")).succeeds();
    workbench
        .run("train --resume spaced --device cpu --epochs 3")
        .fails(1, &["spaced/tokenizer.json", "changed"]);
}

#[apply(test)]
fn units_compare_by_words_and_characters() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let mut sizes = Vec::new();
    for unit in ["word", "char", "byte", "bpe --vocab-size 300"] {
        let out = unit.split(' ').next().expect("a name");
        let train = "train --train train.txt --valid train.txt --device cpu --hidden 6 --epochs 1 \
            --batch 4 --bptt 5 --out";
        workbench
            .run(&format!("{train} {out} --unit {unit}"))
            .succeeds();
        let eval = workbench
            .run(&format!(
                "eval --model {out} --text train.txt --device cpu --json"
            ))
            .succeeds();
        let (words, characters) = (eval.number("words"), eval.number("characters"));
        let nats = eval.number("tokens") * eval.number("perplexity").ln();
        for (key, want) in [
            ("word_perplexity", (nats / words).exp()),
            ("character_perplexity", (nats / characters).exp()),
            ("bits_per_character", nats / characters / 2_f64.ln()),
        ] {
            assert!(
                (eval.number(key) / want - 1.0).abs() < 1e-9,
                "{unit}: {key} is {}, not {want}",
                eval.number(key)
            );
        }
        // Per token of its own unit it is the perplexity.
        let own = match out {
            "word" => "word_perplexity",
            "bpe" => "perplexity",
            _ => "character_perplexity",
        };
        assert!((eval.number(own) / eval.number("perplexity") - 1.0).abs() < 1e-9);
        let text = workbench
            .run(&format!("eval --model {out} --text train.txt --device cpu"))
            .succeeds()
            .stdout;
        assert!(
            text.contains("per word") && text.contains("per character"),
            "{text}"
        );
        sizes.push((words, characters));
    }
    let text = small_text();
    let words = text
        .lines()
        .map(|line| line.split_whitespace().count() + 1)
        .sum::<usize>();
    assert_eq!(sizes, [(words as f64, text.chars().count() as f64); 4]);
}

#[apply(test)]
fn models_without_a_common_unit_are_not_compared() {
    let workbench = Workbench::with_model();
    workbench
        .run("train --train train.txt --min-count 20 --device cpu --hidden 5 --epochs 1 --out cut")
        .succeeds();
    workbench.write("odd.txt", "the xylophone runs\n");
    workbench.write(
        "bytes.bin",
        (0..=255_u8).cycle().take(256 * 12).collect::<Vec<_>>(),
    );
    workbench
        .run(
            "train --train bytes.bin --unit byte --device cpu --hidden 5 --epochs 1 --batch \
        2 --bptt 6 --out bytes",
        )
        .succeeds();
    for (model, text, words, reason) in [
        ("model", "odd.txt", json!(4), "1 unknown token(s)"),
        ("cut", "odd.txt", json!(4), "as <unk>"),
        ("bytes", "bytes.bin", Value::Null, "not UTF-8"),
    ] {
        let eval = workbench
            .run(&format!(
                "eval --model {model} --text {text} --device cpu --json"
            ))
            .succeeds()
            .json();
        for key in [
            "word_perplexity",
            "character_perplexity",
            "bits_per_character",
        ] {
            assert_eq!(eval[key], Value::Null, "{model}: {key}");
        }
        assert_eq!(eval["words"], words);
        assert!(
            eval["incomparable"]
                .as_str()
                .is_some_and(|said| said.contains(reason)),
            "{eval}"
        );
        let plain = workbench
            .run(&format!("eval --model {model} --text {text} --device cpu"))
            .succeeds()
            .stdout;
        assert!(
            plain.contains(reason) && !plain.contains("per word  "),
            "{plain}"
        );
    }
}
