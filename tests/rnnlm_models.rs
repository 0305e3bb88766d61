//! rnnlm models: against rnnlm's own output, against the reference, and rejected files.

use crate::command::{ListedToken, Run, Workbench};
use crate::compare::{Tolerance, assert_close};
use crate::environment::{has_shared, shared};
use crate::harness::{apply, test};
use crate::reference::generator::Generator;
use crate::reference::kernels::Activation;
use crate::reference::masks::Masks;
use crate::reference::network::{Architecture, Network, Window};
use crate::reference::outputs::{Direct, Output};

/// Models trained with rnnlm, which are not part of the repository.
const SHARED: &str = "rnnlm-models";

/// Imports an rnnlm model.
fn import(workbench: &Workbench, file: &str, out: &str) -> Run {
    workbench.run(&format!("import --from rnnlm {file} --out {out}"))
}

/// rnnlm's output for the text with a model.
fn expected(model: &str) -> String {
    let path = shared(SHARED).join(format!("{model}.expected.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a listing with rnnlm's.
fn assert_as_rnnlm(model: &str, found: &[ListedToken]) {
    let expected: Vec<ListedToken> = expected(model)
        .lines()
        .filter_map(ListedToken::parse)
        .collect();
    assert_eq!((found.len(), expected.len()), (4535, 4535), "{model}");
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(
            (found.index, &found.word),
            (expected.index, &expected.word),
            "{model}, token {place}"
        );
    }
    let probabilities = |tokens: &[ListedToken]| {
        tokens
            .iter()
            .map(|token| token.probabilities[0])
            .collect::<Vec<_>>()
    };
    assert_close(
        model,
        &probabilities(found),
        &probabilities(&expected),
        Tolerance {
            absolute: 1e-5,
            relative: 0.0,
        },
    );
}

/// The number after a title in a summary.
fn summary_value(text: &str, title: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(title))
        .unwrap_or_else(|| panic!("no {title:?} in {text}"));
    line.trim()
        .parse()
        .unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn rnnlm_agrees_with_eval() {
    let workbench = Workbench::new();
    let text = shared(SHARED).join("test.txt");
    for (model, perplexity) in [("plain", "58.00"), ("direct", "57.97")] {
        import(
            &workbench,
            &shared(SHARED)
                .join(format!("{model}.rnnlm"))
                .display()
                .to_string(),
            model,
        )
        .succeeds();
        let run = workbench
            .run(&format!(
                "eval --model {model} --device cpu --format rnnlm --text {}",
                text.display()
            ))
            .succeeds();
        assert_as_rnnlm(model, &run.tokens());
        assert_eq!(
            format!("{:.2}", summary_value(&run.stdout, "PPL net:")),
            perplexity
        );
        let [ours, theirs] = [&run.stdout, &expected(model)]
            .map(|text| summary_value(text, "test log probability:"));
        assert!((ours - theirs).abs() < 1e-3, "{model}: {ours} and {theirs}");
    }
}

#[apply(test)]
#[ignore_unless(has_shared(SHARED))]
fn rnnlm_agrees_with_score() {
    let workbench = Workbench::new();
    import(
        &workbench,
        &shared(SHARED).join("direct.rnnlm").display().to_string(),
        "direct",
    )
    .succeeds();
    let text = shared(SHARED).join("test.txt");
    let run = workbench
        .run(&format!(
            "score --model direct --device cpu --format rnnlm {}",
            text.display()
        ))
        .succeeds();
    assert_as_rnnlm("direct", &run.tokens());
}

/// A network with everything that an rnnlm file contains.
struct TestModel {
    network: Network,
    independent: bool,
    /// The hidden layer's state.
    state: Vec<f64>,
}

/// The sizes of a generated model, in the order of [`CASES`].
struct Case {
    /// The number of words in each class; some are empty.
    classes: &'static [usize],
    hidden: usize,
    compression: usize,
    direct: Option<Direct>,
    independent: bool,
    is_binary: bool,
}

const CASES: &[Case] = &[
    Case {
        classes: &[9],
        hidden: 1,
        compression: 0,
        direct: None,
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[1, 3, 7],
        hidden: 5,
        compression: 0,
        direct: None,
        independent: false,
        is_binary: true,
    },
    Case {
        classes: &[2, 0, 3, 0, 4],
        hidden: 6,
        compression: 0,
        direct: None,
        independent: true,
        is_binary: false,
    },
    Case {
        classes: &[2, 2, 5],
        hidden: 4,
        compression: 3,
        direct: None,
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[1, 1, 1, 1],
        hidden: 3,
        compression: 7,
        direct: None,
        independent: true,
        is_binary: true,
    },
    Case {
        classes: &[2, 4, 4],
        hidden: 5,
        compression: 0,
        direct: direct(320, 1),
        independent: false,
        is_binary: true,
    },
    Case {
        classes: &[2, 4, 0, 4],
        hidden: 5,
        compression: 0,
        direct: direct(64, 4),
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[3, 0, 5],
        hidden: 4,
        compression: 2,
        direct: direct(960, 6),
        independent: true,
        is_binary: true,
    },
    Case {
        classes: &[0, 3, 5, 0],
        hidden: 4,
        compression: 0,
        direct: direct(32, 20),
        independent: true,
        is_binary: false,
    },
];

const fn direct(size: usize, order: usize) -> Option<Direct> {
    Some(Direct { size, order })
}

impl TestModel {
    /// Draws the parameters; those of a text file have four decimals.
    fn new(case: &Case, seed: u64) -> Self {
        let architecture = Architecture {
            activation: Activation::RnnlmSigmoid,
            vocab_size: case.classes.iter().sum(),
            hidden_sizes: vec![case.hidden],
            compression_size: case.compression,
            output: Output::Class {
                sizes: case.classes.to_vec(),
                direct: case.direct,
            },
            ..Architecture::default()
        };
        let mut network = Network::new(architecture, seed, 2.0);
        let mut state: Vec<f64> = network.random_states(seed + 1, 1, 0.5)[0]
            .iter()
            .map(|value| value + 0.5)
            .collect();
        if !case.is_binary {
            let four_decimals = |value: &mut f64| {
                *value = f64::from(format!("{value:.4}").parse::<f32>().expect("a number"));
            };
            network
                .parameters
                .values_mut()
                .flatten()
                .for_each(four_decimals);
            state.iter_mut().for_each(four_decimals);
        }
        Self {
            network,
            independent: case.independent,
            state,
        }
    }

    fn vocab_size(&self) -> usize {
        self.network.architecture.vocab_size
    }

    /// The word with an index. `<unk>` is a word like any other.
    fn word(&self, number: usize) -> String {
        ["</s>", "<unk>"]
            .get(number)
            .map_or_else(|| format!("w{number}"), |&word| word.to_owned())
    }

    /// The file as rnnlm would write it.
    fn file(&self, is_binary: bool) -> Vec<u8> {
        let a = &self.network.architecture;
        let Output::Class { sizes, direct } = &a.output else {
            panic!("rnnlm has classes")
        };
        let (words, hidden, classes) = (a.vocab_size, a.hidden_sizes[0], sizes.len());
        let mut head = format!(
            "version: 10\nfile format: {}\n\ntraining data file: train: one.txt\nvalidation data \
             file: valid.txt\n\n\
             last probability of validation data: -123.456\nnumber of finished iterations: 7\n\
             input layer size: {}\nhidden layer size: {hidden}\n\
             compression layer size: {}\noutput layer size: {}\ndirect connections: {}\ndirect \
             order: {}\nbptt: 5\nbptt block: 10\n\
             vocabulary size: {words}\nclass size: {classes}\nold classes: 0\nindependent \
             sentences mode: {}\n\
             starting learning rate: 0.100000\n\n\nVocabulary:\n",
            u8::from(is_binary),
            words + hidden,
            a.compression_size,
            words + classes,
            direct.map_or(0, |direct| direct.size),
            direct.map_or(3, |direct| direct.order),
            u8::from(self.independent),
        );
        let of_classes = sizes
            .iter()
            .enumerate()
            .flat_map(|(class, &size)| std::iter::repeat_n(class, size));
        for (number, class) in of_classes.enumerate() {
            head += &format!(
                "{number:6}\t{:10}\t{}\t{class}\n",
                100 - number,
                self.word(number)
            );
        }
        let of = |name: &str| {
            self.network
                .parameters
                .get(name)
                .map_or(&[][..], Vec::as_slice)
        };
        let rows = of("rnn.weight_ih_l0")
            .chunks_exact(words)
            .zip(of("rnn.weight_hh_l0").chunks_exact(hidden));
        let input: Vec<f64> = rows
            .flat_map(|(from_words, from_state)| [from_words, from_state].concat())
            .collect();
        let output = [of("decoder.weight"), of("decoder.class_weight")].concat();
        let (compression, last) = if a.compression_size > 0 {
            ("\n\nWeights 1->c:", "\n\nWeights c->2:")
        } else {
            ("", "\n\nWeights 1->2:")
        };
        let mut file = head.into_bytes();
        for (title, numbers) in [
            ("\nHidden layer activation:", self.state.as_slice()),
            ("\nWeights 0->1:", &input),
            (compression, of("compression.weight")),
            (last, &output),
            ("\nDirect connections:", of("direct.weight")),
        ] {
            if is_binary {
                file.extend(
                    numbers
                        .iter()
                        .flat_map(|&number| (number as f32).to_le_bytes()),
                );
            } else if !title.is_empty() {
                file.extend(format!("{title}\n").bytes());
                file.extend(
                    numbers
                        .iter()
                        .flat_map(|number| format!("{number:.4}\n").into_bytes()),
                );
            }
        }
        file
    }

    /// Lines of its words and of unknown ones, as text and as tokens with line endings.
    fn text(&self, seed: u64) -> (String, Vec<Option<usize>>) {
        let mut generator = Generator::new(seed);
        let (mut text, mut tokens) = (String::new(), Vec::new());
        for _ in 0..60 {
            for _ in 0..generator.below(9) {
                let token = Some(1 + generator.below(self.vocab_size()))
                    .filter(|&token| token < self.vocab_size());
                text += &format!(
                    "{} ",
                    token.map_or("unheard".to_owned(), |token| self.word(token))
                );
                tokens.push(token);
            }
            text.push('\n');
            tokens.push(Some(0));
        }
        (text, tokens)
    }

    /// The probability of every token by the reference; 0 for an unknown one.
    fn probabilities(&self, tokens: &[Option<usize>]) -> Vec<f64> {
        let inputs = std::iter::once(Some(0))
            .chain(tokens.iter().copied())
            .take(tokens.len())
            .collect();
        let independent = self.independent.then_some(1.0);
        let window = Window {
            time_steps: tokens.len(),
            batch: 1,
            inputs,
            targets: tokens.to_vec(),
            independent,
            masks: Masks::default(),
        };
        let found = self
            .network
            .forward(&window, std::slice::from_ref(&self.state), 1.0)
            .log_probabilities;
        found
            .iter()
            .zip(tokens)
            .map(|(log, token)| if token.is_some() { log.exp() } else { 0.0 })
            .collect()
    }
}

#[apply(test)]
fn generated_models_match_the_reference() {
    let workbench = Workbench::new();
    // rnnlm's exponential has about 17 exact bits of an f32.
    let tolerance = Tolerance {
        absolute: 1e-9,
        relative: 3e-4,
    };
    for (number, case) in CASES.iter().enumerate() {
        let made = TestModel::new(case, 10 + number as u64);
        workbench.write("made.rnnlm", made.file(case.is_binary));
        let (out, what) = (format!("model-{number}"), format!("case {number}"));
        let run = import(&workbench, "made.rnnlm", &out).succeeds();
        assert_eq!(
            run.stderr.contains("four decimals"),
            !case.is_binary,
            "{}",
            run.stderr
        );
        let (text, tokens) = made.text(number as u64);
        workbench.write("text.txt", text);
        let want = made.probabilities(&tokens);
        let indices: Vec<i64> = tokens
            .iter()
            .map(|token| token.map_or(-1, |token| token as i64))
            .collect();
        let eval = format!("eval --model {out} --device cpu --text text.txt --format rnnlm");
        let score = format!("score --model {out} --device cpu --format rnnlm text.txt");
        for command in [Some(eval), case.independent.then_some(score)]
            .into_iter()
            .flatten()
        {
            let found = workbench.run(&command).succeeds().tokens();
            assert_eq!(
                found.iter().map(|token| token.index).collect::<Vec<_>>(),
                indices,
                "{what}"
            );
            let found: Vec<f64> = found.iter().map(|token| token.probabilities[0]).collect();
            assert_close(&what, &found, &want, tolerance);
        }
    }
}

#[apply(test)]
fn every_command_accepts_an_imported_model() {
    let workbench = Workbench::new();
    let case = &CASES[6];
    let made = TestModel::new(case, 3);
    workbench.write("made.rnnlm", made.file(false));
    import(&workbench, "made.rnnlm", "model").succeeds();
    let (text, _) = made.text(5);
    workbench.write("text.txt", text);
    // Lines scored consecutively are the text, including n-grams across line endings.
    let sum: f64 = workbench
        .run("score text.txt --carry --device cpu --json")
        .succeeds()
        .numbers("log10_prob")
        .iter()
        .sum();
    let eval = workbench
        .run("eval --text text.txt --device cpu --json")
        .succeeds()
        .number("log10_prob");
    assert!((sum - eval).abs() < 1e-5 * eval.abs(), "{sum} and {eval}");
    // Sentences inside a text do not start from the state of separately scored lines.
    workbench
        .run("eval --text text.txt --device cpu --independent")
        .fails(
            2,
            &["--independent", "begins a text with a state", "elman score"],
        );
    workbench
        .run("generate --sentences 3 --device cpu")
        .succeeds();
    workbench.run("inspect").succeeds();
    import(&workbench, "made.rnnlm", "model").fails(1, &["model", "--force"]);
    workbench
        .run("import --from rnnlm made.rnnlm --out model --force")
        .succeeds();
    // Out-of-vocabulary words are skipped, unless they become <unk>.
    workbench.write("odd.txt", "w2 unheard\n");
    let eval = |flags: &str| {
        workbench
            .run(&format!("eval --device cpu --text odd.txt --json {flags}"))
            .succeeds()
    };
    for (flags, tokens, unknown) in [
        ("", 2.0, 1.0),
        ("--unknown skip", 2.0, 1.0),
        ("--unknown unk", 3.0, 0.0),
    ] {
        let run = eval(flags);
        assert_eq!(
            (run.number("tokens"), run.number("oov")),
            (tokens, unknown),
            "{flags}"
        );
    }
}

/// A model for each kind of file, with every optional part of a file.
fn whole_files() -> [(TestModel, Vec<u8>); 2] {
    [(6, false), (7, true)].map(|(case, is_binary)| {
        let made = TestModel::new(&CASES[case], 4);
        let file = made.file(is_binary);
        (made, file)
    })
}

/// Demands that the file is rejected with this message, and that nothing is left behind.
fn rejected(workbench: &Workbench, file: impl AsRef<[u8]>, parts: &[&str]) {
    workbench.write("bad.rnnlm", file);
    import(workbench, "bad.rnnlm", "new").fails(1, &[&["bad.rnnlm"], parts].concat());
    assert!(
        !workbench.path("new").exists(),
        "a refused import leaves a directory behind"
    );
}

/// The offset at which a part of a file starts.
fn place(file: &[u8], part: &str) -> usize {
    file.windows(part.len())
        .position(|window| window == part.as_bytes())
        .unwrap_or_else(|| panic!("no {part:?}"))
}

#[apply(test)]
fn truncated_files() {
    let workbench = Workbench::new();
    let [(_, text), (_, binary)] = whole_files();
    for file in [&text, &binary] {
        for (length, parts) in [
            (0, &["not a model of rnnlm"][..]),
            (4, &["not a model of rnnlm"]),
            (
                place(file, "hidden layer size"),
                &["ends before its vocabulary", "cut short"],
            ),
            (place(file, "w3\t"), &["word 3"]),
            (place(file, "     4\t"), &["word 4 of", "cut short"]),
        ] {
            rejected(&workbench, &file[..length], parts);
        }
    }
    for (length, parts) in [
        (
            place(&text, "Hidden layer"),
            &["the hidden layer's state", "cut short"][..],
        ),
        (
            place(&text, "Weights 0->1") - 9,
            &["the hidden layer's state"],
        ),
        (
            place(&text, "Weights 0->1") + 40,
            &["the end of the weights 0->1", "cut short"],
        ),
        (
            place(&text, "Weights 1->2") + 40,
            &["the weights to the output layer", "cut short"],
        ),
        (
            place(&text, "Direct connections"),
            &["the direct connections", "cut short"],
        ),
        (text.len() - 8, &["the direct connections"]),
        // The last number has lost digits.
        (
            text.len() - 2,
            &["the end of the direct connections", "cut short"],
        ),
    ] {
        rejected(&workbench, &text[..length], parts);
    }
    let numbers = binary.len() - 4 * 960;
    for (length, parts) in [
        (
            numbers - 1,
            &["the weights to the output layer", "cut short"][..],
        ),
        (numbers, &["the direct connections"]),
        (
            binary.len() - 1,
            &["the end of the direct connections", "cut short"],
        ),
    ] {
        rejected(&workbench, &binary[..length], parts);
    }
}

#[apply(test)]
fn rejected_files() {
    let workbench = Workbench::new();
    let [(_, text), (_, binary)] = whole_files();
    let whole = String::from_utf8(text).expect("UTF-8");
    let number = whole.lines().last().expect("a number").to_owned();
    for (good, bad, parts) in [
        (
            "version: 10",
            "version: 9",
            &["version 9", "reads version 10"][..],
        ),
        (
            "version: 10",
            "version: 11",
            &["version 11", "reads version 10"],
        ),
        ("version: 10", "version: ten", &["`version:`", "\"ten\""]),
        ("version: 10", "revision: 10", &["not a model of rnnlm"]),
        (
            "file format: 0",
            "file format: 2",
            &["file format 2", "0 (text) or 1 (binary)"],
        ),
        (
            "input layer size: 15",
            "input layer size: 16",
            &["an input layer of 16", "do not make a network", "copy"],
        ),
        (
            "output layer size: 14",
            "output layer size: 13",
            &["an output layer of 13", "do not make a network"],
        ),
        (
            "hidden layer size: 5\n",
            "",
            &["`hidden layer size:`", "not a model of rnnlm"],
        ),
        (
            "class size: 4",
            "class size: -4",
            &["`class size:`", "\"-4\""],
        ),
        ("\tw3\t1", "\tw3\t2", &["word 4", "ascend"]),
        ("\tw3\t", "\tw2\t", &["word 3", "w2", "twice"]),
        ("\tw9\t3", "\tw9\t4", &["word 9", "below 4"]),
        ("     3\t", "     4\t", &["word 3", "count up"]),
        (
            "\tw3\t1",
            "\tw3",
            &["word 3", "a count, a word and a class"],
        ),
        ("</s>", "<eos>", &["first word is not </s>"]),
        (
            &format!("{number}\n"),
            "nan\n",
            &["NaN is among them", "finite", "-alpha"],
        ),
        (&format!("{number}\n"), "-inf\n", &["-inf is among them"]),
        (
            &format!("{number}\n"),
            "one\n",
            &["\"one\" is not a number"],
        ),
    ] {
        assert!(whole.contains(good), "{good:?}");
        rejected(&workbench, whole.replace(good, bad), parts);
    }
    rejected(
        &workbench,
        format!("{whole}0.1234\n"),
        &["8 bytes follow the values"],
    );
    rejected(
        &workbench,
        [&binary[..], &[0, 0, 0, 0]].concat(),
        &["4 bytes follow the values"],
    );
    rejected(
        &workbench,
        [&binary[..binary.len() - 4], &f32::NAN.to_le_bytes()].concat(),
        &["NaN is among them"],
    );
    rejected(
        &workbench,
        whole.replace("w4", "w\u{0}4").replace('\u{0}', "\t"),
        &["word 4", "a count, a word and a class"],
    );
    let mut bytes = whole.clone().into_bytes();
    let word = place(&bytes, "w4");
    bytes[word] = 0xff;
    rejected(&workbench, bytes, &["word 4", "UTF-8"]);
    rejected(
        &workbench,
        crate::command::small_text(),
        &["not a model of rnnlm", "rnnlm -train"],
    );
    rejected(
        &workbench,
        [0x80, 0, 0, 0, 0xff].repeat(50),
        &["not a model of rnnlm"],
    );
    // Sizes beyond any memory.
    let huge = whole
        .replace("vocabulary size: 10", "vocabulary size: 1000000000000000")
        .replace("input layer size: 15", "input layer size: 1000000000000005");
    let many = huge
        .replace("class size: 4", "class size: 1000000000000000")
        .replace(
            "output layer size: 14",
            "output layer size: 2000000000000000",
        );
    rejected(
        &workbench,
        huge.replace(
            "output layer size: 14",
            "output layer size: 1000000000000004",
        ),
        &["1000000000000000 words"],
    );
    rejected(&workbench, many, &["1000000000000000 words"]);
    let wide = whole
        .replace(
            "hidden layer size: 5",
            "hidden layer size: 1000000000000000",
        )
        .replace("input layer size: 15", "input layer size: 1000000000000010");
    rejected(&workbench, wide, &["the hidden layer's state"]);
    rejected(
        &workbench,
        whole.replace(
            "compression layer size: 0",
            "compression layer size: 1000000000000000",
        ),
        &["the weights 1->c"],
    );
    import(&workbench, "missing.rnnlm", "new").fails(1, &["missing.rnnlm", "because"]);
}

#[apply(test)]
fn rejected_flags() {
    let workbench = Workbench::new();
    workbench.write("made.rnnlm", whole_files()[0].1.clone());
    for flag in [
        "--vocab made.rnnlm",
        "--unit char",
        "--activation tanh",
        "--initial-state 0.5",
    ] {
        let name = flag.split(' ').next().unwrap_or(flag);
        workbench
            .run(&format!("import --from rnnlm made.rnnlm --out new {flag}"))
            .fails(2, &[name, "determines this itself", "Omit it"]);
    }
    workbench
        .run("import --from rnnlm made.rnnlm")
        .fails(2, &["--out"]);
    assert!(!workbench.path("new").exists());
}
