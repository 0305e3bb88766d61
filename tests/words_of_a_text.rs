//! What a text's words and sentences are is the same for every command: which characters separate
//! words, sentence tags, byte order marks, and texts of one long line.

use super::rescoring::{assert_near, of_lists, rescore, scored};
use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

const TRAIN: &str = "train --device cpu --hidden 6 --epochs 1 --batch 4 --bptt 5";

/// Words with characters that Unicode calls white space, or that end lines in some programs.
const ODD: [&str; 5] = [
    "a\u{a0}b",
    "x\u{2028}y",
    "n\u{85}m",
    "i\u{3000}g\u{a0}",
    "v\u{b}w",
];

/// A workbench with a text in which every odd word occurs, and a model trained on it.
fn odd_workbench() -> Workbench {
    let workbench = Workbench::new();
    let lines = ODD.map(|word| format!("the {word} runs\n"));
    workbench.write("odd.txt", lines.concat());
    workbench.write("train.txt", small_text() + &lines.concat());
    workbench
        .run(&format!("{TRAIN} --train train.txt --valid odd.txt"))
        .succeeds();
    workbench
}

fn eval(workbench: &Workbench, flags: &str) -> Run {
    workbench
        .run(&format!("eval --device cpu --json {flags}"))
        .succeeds()
}

#[apply(test)]
fn only_space_tab_return_and_newline_separate_words() {
    let workbench = odd_workbench();
    let vocabulary = String::from_utf8(workbench.read("model/vocab.txt")).expect("UTF-8");
    let escaped = [
        "a\u{a0}b",
        "x\\u2028y",
        "n\\u0085m",
        "i\u{3000}g\u{a0}",
        "v\\u000bw",
    ];
    for word in escaped {
        assert!(vocabulary.lines().any(|line| line == word), "{word}");
    }
    let whole = eval(&workbench, "--text odd.txt --independent");
    assert_eq!((whole.number("tokens"), whole.number("oov")), (20.0, 0.0));
    assert_eq!(whole.number("words"), 20.0);
    let lines = ODD.map(|word| format!("the {word}\truns \r"));
    let lines = lines.each_ref().map(String::as_str);
    let scores = scored(&workbench, &lines, "");
    let sum: f64 = scores.iter().sum();
    assert_near("score", &[sum], &[whole.number("log10_prob")]);
    let lists = lines.map(|line| format!("u {line}\n"));
    workbench.write("lists.txt", lists.concat());
    let run = rescore(&workbench, "--json").succeeds();
    assert_near("rescore", &of_lists(&run, "log10_prob"), &scores);
    let mut generate = workbench.command("generate --device cpu --tokens 1 --prompt");
    let output = generate.arg(ODD.join(" ")).output().expect("it starts");
    let run = Run::new("generate", output).succeeds();
    assert!(
        !run.stderr.contains("not in the vocabulary"),
        "{}",
        run.stderr
    );
    // The words of a text that is given as the vocabulary.
    workbench
        .run(&format!(
            "{TRAIN} --train train.txt --vocab odd.txt --out given"
        ))
        .succeeds();
    let given = eval(&workbench, "--model given --text odd.txt");
    assert_eq!(given.number("oov"), 0.0);
}

#[apply(test)]
fn words_of_an_arpa_file_are_found_in_a_text() {
    let workbench = Workbench::new();
    let unigrams: String = ODD[1..]
        .iter()
        .map(|word| format!("-1\t{word}\n"))
        .collect();
    workbench.write(
        "odd.arpa",
        format!(
            "\\data\\\nngram 1=8\nngram 2=2\n\n\\1-grams:\n-99\t<s>\t-0.25\n-0.5\t</s>\n\
             -0.5\tthe\t-0.125\n-1\ta\u{a0}b\t-0.25\n{unigrams}\n\\2-grams:\n-0.25\t<s> the\n\
             -0.375\tthe a\u{a0}b\n\n\\end\\\n"
        ),
    );
    workbench.write("test.txt", format!("the {}\n", ODD.join("\n")));
    let run = workbench
        .run("ngram --arpa odd.arpa --test test.txt --json")
        .succeeds();
    // -0.25 - 0.375 - (0.25 + 0.5) for the first line, -(0.25 + 1) - 0.5 for each of the others.
    assert_near("log10", &[run.number("log10_prob")], &[-1.375 - 4.0 * 1.75]);
    assert_eq!((run.number("tokens"), run.number("oov")), (11.0, 0.0));
}

#[apply(test)]
fn sentence_tags_around_a_line_are_dropped() {
    let workbench = Workbench::new();
    let plain = small_text();
    let sentences = plain.lines().count();
    let tagged = |start: &str, end: &str| {
        let lines = plain.lines().map(|line| format!("{start}{line}{end}\n"));
        lines.collect::<String>()
    };
    workbench.write("plain.txt", &plain);
    workbench.write("end.txt", tagged("", " </s>"));
    workbench.write("both.txt", tagged("<s> ", " </s> "));
    let note = |run: &Run, count: usize| {
        let want = format!("{count} sentence tag(s) are dropped");
        assert!(run.stderr.contains(&want), "{want}: {}", run.stderr);
    };
    for (name, tags) in [("plain", 0), ("end", sentences), ("both", 2 * sentences)] {
        let run = workbench
            .run(&format!("{TRAIN} --train {name}.txt --out {name}"))
            .succeeds();
        let counted = workbench
            .run(&format!(
                "ngram --text {name}.txt --order 3 --out {name}.arpa"
            ))
            .succeeds();
        let evaluated = eval(&workbench, &format!("--model plain --text {name}.txt"));
        let score = workbench
            .run(&format!("score {name}.txt --device cpu --model plain"))
            .succeeds();
        workbench.write(format!("{name}.out").as_str(), &score.stdout);
        workbench.write(format!("{name}.json").as_str(), &evaluated.stdout);
        if tags > 0 {
            [&run, &evaluated, &score, &counted]
                .into_iter()
                .for_each(|run| note(run, tags));
            for (file, same) in [
                (format!("{name}/vocab.txt"), "plain/vocab.txt"),
                (
                    format!("{name}/model.safetensors"),
                    "plain/model.safetensors",
                ),
                (format!("{name}.arpa"), "plain.arpa"),
                (format!("{name}.out"), "plain.out"),
            ] {
                assert!(workbench.read(&file) == workbench.read(same), "{file}");
            }
            for key in ["log10_prob", "tokens", "words"] {
                let plain = eval(&workbench, "--model plain --text plain.txt");
                assert_eq!(evaluated.number(key), plain.number(key), "{name}: {key}");
            }
        } else {
            assert!(!run.stderr.contains("sentence tag"), "{}", run.stderr);
        }
    }
    workbench.write("lists.txt", "u the boy runs\nu <s> the boy runs </s>\n");
    let run = rescore(&workbench, "--model plain --json").succeeds();
    let scores = of_lists(&run, "log10_prob");
    assert_eq!(scores[0], scores[1]);
    note(&run, 2);
}

#[apply(test)]
fn a_sentence_end_inside_a_line_ends_a_sentence() {
    let workbench = Workbench::with_model();
    workbench
        .run("ngram --text train.txt --order 3 --out lm.arpa")
        .succeeds();
    workbench.write(
        "inside.txt",
        "the boy runs </s> <s> mary runs </s>\n</s> runs\n",
    );
    workbench.write("lines.txt", "the boy runs\nmary runs\n\nruns\n");
    for flags in ["", "--independent", "--arpa lm.arpa"] {
        let inside = eval(&workbench, &format!("--text inside.txt {flags}"));
        let lines = eval(&workbench, &format!("--text lines.txt {flags}"));
        for key in ["log10_prob", "tokens", "words"] {
            assert_eq!(inside.number(key), lines.number(key), "{flags}: {key}");
        }
        assert!(
            inside.stderr.contains("2 </s> inside lines"),
            "{}",
            inside.stderr
        );
    }
    let ngram = |name: &str| {
        workbench
            .run(&format!("ngram --arpa lm.arpa --test {name}.txt --json"))
            .succeeds()
            .json()
    };
    assert_eq!(ngram("inside"), ngram("lines"));
    // A line and a hypothesis are the same words.
    let line = "the boy runs </s> <s> mary runs </s>";
    workbench.write("lists.txt", format!("u {line}\n"));
    for flags in ["", "--arpa lm.arpa"] {
        let score = scored(&workbench, &[line], flags);
        let run = rescore(&workbench, &format!("--json {flags}")).succeeds();
        assert_near(flags, &of_lists(&run, "log10_prob"), &score);
    }
}

#[apply(test)]
fn a_byte_order_mark_starts_a_file_and_not_a_line() {
    let workbench = Workbench::with_model();
    workbench.write("plain.txt", "the boy runs\nthe boy runs\n");
    workbench.write("marks.txt", "\u{feff}the boy runs\n\u{feff}the boy runs\n");
    workbench.write(
        "lists.txt",
        "\u{feff}u the boy runs\nu \u{feff}the boy runs\n",
    );
    let of = |name: &str| {
        let run = workbench
            .run(&format!("score {name} --device cpu --json"))
            .succeeds();
        (run.numbers("log10_prob"), run.numbers("oov"))
    };
    let ((plain, _), (marks, oov)) = (of("plain.txt"), of("marks.txt"));
    assert_eq!((marks[0], oov), (plain[0], vec![0.0, 1.0]));
    let whole = eval(&workbench, "--text marks.txt --independent");
    assert_eq!(whole.number("oov"), 1.0);
    let run = rescore(&workbench, "--json --unknown-penalty 0").succeeds();
    assert_near("rescore", &of_lists(&run, "log10_prob"), &marks);
}

#[apply(test)]
fn every_type_has_one_line_of_the_vocabulary_for_every_reader() {
    let workbench = Workbench::new();
    let line_ends = "\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
    workbench.write("train.txt", format!("a{line_ends}b\r c\n").repeat(40));
    workbench
        .run(&format!("{TRAIN} --train train.txt --unit char"))
        .succeeds();
    let vocabulary = String::from_utf8(workbench.read("model/vocab.txt")).expect("UTF-8");
    assert_eq!(vocabulary.matches('\n').count(), 14);
    let ends_line = |character| line_ends.contains(character) || character == '\r';
    assert!(!vocabulary.contains(ends_line), "{vocabulary:?}");
    let eval = |model: &str| eval(&workbench, &format!("--model {model} --text train.txt"));
    assert_eq!(eval("model").number("oov"), 0.0);
    // Earlier versions did not escape these two.
    workbench.copy_model("earlier");
    let earlier = vocabulary
        .replace("\\u2028", "\u{2028}")
        .replace("\\u2029", "\u{2029}");
    workbench.edit("earlier/vocab.txt", earlier);
    assert_eq!(eval("earlier").json(), eval("model").json());
}

#[apply(test)]
fn a_text_of_one_long_line_is_trained_to_the_end() {
    let workbench = Workbench::new();
    let words: Vec<String> = (0..9000)
        .map(|place: u32| format!("w{:03}", place.wrapping_mul(2_654_435_761) >> 23))
        .collect();
    workbench.write("line.txt", words.join(" "));
    let run = workbench
        .run(&format!("{TRAIN} --train line.txt --json"))
        .succeeds();
    assert_eq!(run.number("epochs"), 1.0);
    let sample = run.stdout.lines().skip_while(|line| *line != "sample:");
    let sample: Vec<&str> = sample
        .skip(1)
        .take_while(|line| *line != "try next:")
        .collect();
    let words = sample.join(" ").split(' ').count();
    assert!((1..=210).contains(&words), "{words} words");
}
