//! `elman report`: figures are those of other commands, activities those of PyTorch, pages complete
//! in one file, bad input rejected.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use super::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

/// A workbench with a model, a text, and a report on them in `report.html` and `report.json`.
fn with_report() -> (Workbench, String, Value) {
    let workbench = Workbench::with_model();
    workbench.write(
        "text.txt",
        "the boy runs\n\nthe dog sings and the boy sees xyzzy\n".repeat(9),
    );
    let report = "report model --text text.txt --excerpt 60 --out report.html --json report.json";
    workbench.run(&format!("{report} --device cpu")).succeeds();
    let page = String::from_utf8(workbench.read("report.html")).expect("UTF-8");
    let json = serde_json::from_slice(&workbench.read("report.json")).expect("JSON");
    (workbench, page, json)
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[apply(test)]
fn figures_are_those_of_eval() {
    let (workbench, page, json) = with_report();
    let eval = "eval --model model --text text.txt --device cpu";
    let summary = workbench.run(&format!("{eval} --json")).succeeds();
    let model = &json["text"]["models"][0]["reading"];
    for key in ["perplexity", "entropy_bits", "log10_prob", "tokens", "oov"] {
        assert_eq!(number(&model[key]), summary.number(key), "{key}");
    }
    // The page has the digits that the command prints.
    let printed = workbench.run(eval).succeeds().stdout;
    for name in ["perplexity ", "entropy ", "log10 probability "] {
        let line = printed
            .lines()
            .find(|line| line.starts_with(name))
            .expect(name);
        let figure = line
            .trim_start_matches(name)
            .split_whitespace()
            .next()
            .expect("a figure");
        assert!(
            page.contains(&format!("<td>{figure}</td>")),
            "{name} {figure}"
        );
    }
    let tokens = workbench
        .run(&format!("{eval} --format rnnlm"))
        .succeeds()
        .tokens();
    let excerpt = model["excerpt"].as_array().expect("tokens");
    assert_eq!(excerpt.len(), 60);
    for (reading, token) in excerpt.iter().zip(&tokens) {
        let want = -token.probabilities[0].log2();
        let bits = reading["bits"].as_f64();
        assert!(bits.is_none() == token.is_unknown(), "{reading} {token:?}");
        assert!(
            bits.is_none_or(|bits| (bits - want).abs() < 1e-4),
            "{reading} {token:?}"
        );
        let likeliest = reading["likeliest"].as_array().expect("tokens");
        assert_eq!(likeliest.len(), 5);
        let probabilities: Vec<_> = likeliest
            .iter()
            .map(|it| number(&it["probability"]))
            .collect();
        assert!(
            probabilities.is_sorted_by(|a, b| a >= b),
            "{probabilities:?}"
        );
        if bits.is_some() && likeliest[0]["token"] == token.word.as_str() {
            assert!(
                (probabilities[0] - token.probabilities[0]).abs() < 1e-6,
                "{reading}"
            );
        }
    }
    let share: f64 = model["bands"]
        .as_array()
        .expect("bands")
        .iter()
        .map(|it| number(&it["share"]))
        .sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
}

#[apply(test)]
fn curves_are_those_of_the_log() {
    let (workbench, page, json) = with_report();
    let run = &json["runs"][0];
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    let records: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let epochs: Vec<_> = records
        .iter()
        .filter(|it| it.get("window").is_none())
        .collect();
    assert_eq!(
        run["epochs"].as_array().expect("epochs").len(),
        epochs.len()
    );
    let mut elapsed = 0.0;
    for (found, record) in run["epochs"].as_array().expect("epochs").iter().zip(epochs) {
        for key in [
            "epoch",
            "train_loss",
            "valid_loss",
            "valid_perplexity",
            "seconds",
        ] {
            assert_eq!(found[key], record[key], "{key}");
        }
        elapsed += number(&record["seconds"]);
        assert!(
            (number(&found["elapsed"]) - elapsed).abs() < 1e-9,
            "{found}"
        );
    }
    let tokens = |epoch: &Value| number(&epoch["train_tokens"]);
    let last = run["epochs"]
        .as_array()
        .and_then(|it| it.last())
        .expect("an epoch");
    assert_eq!(
        number(&last["tokens"]),
        records.iter().map(tokens).sum::<f64>()
    );
    let update = &last["last_update"];
    assert_eq!(update, &records.last().expect("an epoch")["last_update"]);
    for name in ["rnn.weight_hh_l0", "decoder.weight"] {
        let change = &update["parameters"][name];
        let ratio = format!("{:.2e}", number(&change["update_ratio"]));
        assert!(
            page.contains(&format!("<td>{ratio}</td>")),
            "{name}: {ratio}"
        );
    }
    for chart in ["Update-to-weight ratio", "Saturation"] {
        assert!(
            page.contains(&format!("<figcaption>{chart}</figcaption>")),
            "{chart}"
        );
    }
    assert!(page.contains("elman train --unit word"), "the recipe");
    assert_eq!(run["floor"], Value::Null, "the text is not built in");
}

#[apply(test)]
fn the_built_in_corpus_has_a_floor() {
    let workbench = Workbench::new();
    let train = "train --device cpu --hidden 4 --epochs 1 --batch 64 --bptt 16 --json";
    let want = workbench.run(train).succeeds().number("grammar_perplexity");
    let json = workbench.run("report model --json -").succeeds().json();
    assert_eq!(number(&json["runs"][0]["floor"]["perplexity"]), want);
    assert_eq!(json["text"], Value::Null);
    assert!(
        json["words"][0]["neighbors"]
            .as_array()
            .is_some_and(|it| it.len() == 40)
    );
}

#[apply(test)]
fn an_ngram_model_is_a_floor() {
    let workbench = Workbench::with_model();
    let report = "report model --kneser-ney --json -";
    let json = workbench.run(report).succeeds().json();
    let floor = &json["runs"][0]["floor"];
    assert_eq!(floor["name"], "Kneser-Ney 5");
    // The built-in grammar has a perplexity of about 18.
    let perplexity = number(&floor["perplexity"]);
    assert!((10.0..80.0).contains(&perplexity), "{perplexity}");
    std::fs::remove_file(workbench.path("train.txt")).expect("removed");
    workbench.run(report).fails(1, &["train.txt"]);
}

#[apply(test)]
fn an_ngram_model_is_compared() {
    let workbench = Workbench::with_model();
    let ngram = "ngram --text train.txt --vocab model/vocab.txt --order 3 --out kn3.arpa";
    workbench.run(ngram).succeeds();
    workbench.write("text.txt", "the boy runs\nthe dog sees the boy\n");
    let report = "report model --text text.txt --device cpu --arpa kn3.arpa";
    workbench
        .run(&format!("{report} --out report.html --json report.json"))
        .succeeds();
    let json: Value = serde_json::from_slice(&workbench.read("report.json")).expect("JSON");
    let found = &json["text"]["ngram"];
    let eval = "eval --model model --text text.txt --device cpu --arpa kn3.arpa --lambda 0 --json";
    let want = workbench.run(eval).succeeds();
    for key in ["perplexity", "log10_prob", "tokens"] {
        let (found, want) = (number(&found[key]), want.number(key));
        assert!(
            (found - want).abs() <= 1e-9 * want.abs(),
            "{key}: {found}, not {want}"
        );
    }
    assert!(
        found["excerpt"].as_array().is_some_and(|it| it.len() == 10),
        "{found}"
    );
    let page = String::from_utf8(workbench.read("report.html")).expect("UTF-8");
    assert!(page.contains("Surprisal by kn3.arpa minus that by model"));
    workbench
        .run("report model --arpa kn3.arpa --out new.html")
        .fails(2, &["--text"]);
}

#[apply(test)]
fn a_page_is_complete_and_refers_to_nothing_else() {
    let (_, page, _) = with_report();
    for section in ["run", "reading", "units", "memory", "words"] {
        assert!(
            page.contains(&format!("<h2 id=\"{section}\">")),
            "{section}"
        );
    }
    for outside in ["http:", "https:", "src=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(
        page.contains("&lt;unk&gt;") || !page.contains("<unk>"),
        "types are escaped"
    );
    let numbers = page.replace("Number.isNaN", "");
    assert!(!numbers.contains("NaN"), "values are finite");
    assert!(page.len() < 1_000_000, "{}", page.len());
}

#[apply(test)]
fn two_models_are_compared() {
    let workbench = Workbench::with_model();
    let other = "train --train train.txt --device cpu --cell lstm --layers 2 --hidden 6 --epochs 1";
    workbench
        .run(&format!("{other} --batch 4 --bptt 5 --out other"))
        .succeeds();
    let report = "report model other --text train.txt --excerpt 30 --device cpu";
    workbench
        .run(&format!("{report} --out two.html --json two.json"))
        .succeeds();
    let page = String::from_utf8(workbench.read("two.html")).expect("UTF-8");
    assert!(page.contains("Surprisal by other minus that by model"));
    let json: Value = serde_json::from_slice(&workbench.read("two.json")).expect("JSON");
    let models = json["text"]["models"].as_array().expect("models");
    let layers = |index: usize| models[index]["memory"]["layers"].as_array().map(Vec::len);
    assert_eq!((layers(0), layers(1)), (Some(1), Some(2)));
    assert!(
        models[1]["units"]["units"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
    );
}

#[apply(test)]
fn long_runs_have_small_pages() {
    let workbench = Workbench::with_model();
    let mut log = String::new();
    for epoch in 1..=1000 {
        for window in [5, 10, 15, 20] {
            let loss = 3.0 + 1.0 / f64::from(epoch * 20 + window);
            let record = json!({
                "epoch": epoch, "window": window, "loss": loss, "gradient_norm": 0.5, "lr": 0.1,
                "tokens_per_second": 9000,
            });
            writeln!(log, "{record}").expect("memory");
        }
        let loss = 3.0 + 1.0 / f64::from(epoch);
        let record = json!({
            "epoch": epoch, "train_loss": loss, "valid_loss": loss, "valid_perplexity": loss.exp(),
            "lr": 0.1, "tokens_per_second": 9000, "seconds": 1.5, "rolled_back": false,
        });
        writeln!(log, "{record}").expect("memory");
    }
    log.push_str("{\"epoch\":1001,\"win");
    workbench.write("model/log.jsonl", log);
    workbench.run("report model --out report.html").succeeds();
    let page = String::from_utf8(workbench.read("report.html")).expect("UTF-8");
    assert!(page.len() < 200_000, "{}", page.len());
    assert!(
        page.contains("The last line of the log is incomplete"),
        "what was skipped"
    );
    for lacking in [
        "records without numbers of tokens",
        "saturation of 1000 epoch(s)",
    ] {
        assert!(page.contains(lacking), "{lacking}");
    }
    assert!(
        page.contains("lowest validation loss"),
        "the best epoch has a row"
    );
}

#[apply(test)]
fn bad_input_is_rejected() {
    let (workbench, ..) = with_report();
    let fails = |arguments: &str, code, parts: &[&str]| {
        let run = workbench.run(&format!("report {arguments}"));
        run.fails(code, parts);
    };
    fails(
        "model --out report.html",
        1,
        &["report.html", "it exists", "--force"],
    );
    fails(
        "model --json report.json",
        1,
        &["report.json", "it exists", "--json"],
    );
    workbench
        .run("report model --out report.html --force")
        .succeeds();
    fails("model", 2, &["--out"]);
    fails("--out new.html", 2, &["<DIR>"]);
    fails("nothing --out new.html", 1, &["nothing", "not a directory"]);
    fails(
        "model --out new.html --json new.html",
        2,
        &["the same file"],
    );
    let text = "model --text text.txt --device cpu --out new.html";
    fails(
        &format!("{text} --excerpt 2001"),
        2,
        &["--excerpt 2001", "2000"],
    );
    fails(&format!("{text} --excerpt 0"), 2, &["--excerpt 0"]);
    fails("model --text no.txt --out new.html", 1, &["no.txt"]);

    workbench.copy_model("unlogged");
    std::fs::remove_file(workbench.path("unlogged/log.jsonl")).expect("removed");
    fails(
        "unlogged --out new.html",
        1,
        &["unlogged", "log.jsonl", "--text"],
    );
    let described = "report unlogged --text text.txt --device cpu --out unlogged.html";
    workbench.run(described).succeeds();
    let page = String::from_utf8(workbench.read("unlogged.html")).expect("UTF-8");
    assert!(
        page.contains("There is no log.jsonl"),
        "what is missing is said"
    );

    workbench.copy_model("damaged");
    workbench.write(
        "damaged/log.jsonl",
        "{\"epoch\":1,\"window\":2}\nnonsense\n",
    );
    fails("damaged --out new.html", 1, &["log.jsonl, line 2"]);

    let other = "train --train text.txt --device cpu --hidden 4 --epochs 1 --batch 2 --bptt 3";
    workbench.run(&format!("{other} --out other")).succeeds();
    let both = "model other --device cpu --out new.html";
    fails(
        &format!("{both} --text text.txt"),
        1,
        &["vocabulary of other", "model", "same"],
    );
    assert!(!workbench.path("new.html").exists(), "nothing was written");
    workbench.run(&format!("report {both}")).succeeds();
    let page = String::from_utf8(workbench.read("new.html")).expect("UTF-8");
    assert!(page.contains("different units or vocabularies"), "a note");
}

/// The activities of an LSTM's units are the outputs of PyTorch's layers.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn activities_are_those_of_pytorch() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train =
        "train --train train.txt --device cpu --cell lstm --layers 2 --embedding 5 --hidden 6";
    workbench
        .run(&format!("{train} --epochs 2 --batch 4 --bptt 5"))
        .succeeds();
    let text: Vec<String> = small_text().lines().take(9).map(str::to_owned).collect();
    workbench.write("text.txt", text.join("\n") + "\n");
    let report = "report model --text text.txt --device cpu --json -";
    let json = workbench.run(report).succeeds().json();
    let script = format!(
        "{}/tests/pytorch/activations.py",
        env!("CARGO_MANIFEST_DIR")
    );
    let output = Command::new(python())
        .args(["-B", &script, "model", "text.txt"])
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    let theirs = Run::new("(python activations.py)", output)
        .succeeds()
        .json();
    let units = json["text"]["models"][0]["units"]["units"]
        .as_array()
        .expect("units");
    assert!(units.len() > 5, "units of both layers");
    for unit in units {
        let index = |key: &str| unit[key].as_u64().expect("an index") as usize;
        let layer = &theirs[index("layer")];
        let excerpt = unit["excerpt"].as_array().expect("values");
        // No step reads the last token of a text.
        assert_eq!(excerpt.len() + 1, layer.as_array().expect("tokens").len());
        for (position, found) in excerpt.iter().enumerate() {
            let want = number(&layer[position][index("unit")]);
            assert!(
                (number(found) - want).abs() < 1e-5,
                "{position}: {found}, not {want}"
            );
        }
    }
}

/// The log of a run whose epochs took long has texts of the model; the page shows some of them.
#[apply(test)]
fn pages_show_how_a_model_grows() {
    let workbench = Workbench::with_model();
    let mut log = String::new();
    for epoch in 1..=30 {
        let record = json!({
            "epoch": epoch, "train_loss": 3.0, "valid_loss": 3.0, "valid_perplexity": 20.1,
            "lr": 0.1, "tokens_per_second": 9000, "seconds": 60, "rolled_back": false,
            "sample": format!("<b>after {epoch} epochs"),
        });
        writeln!(log, "{record}").expect("memory");
    }
    workbench.write("model/log.jsonl", log);
    workbench.run("report model --out report.html").succeeds();
    let page = String::from_utf8(workbench.read("report.html")).expect("UTF-8");
    for epoch in [1, 30] {
        let text = format!("<dt>Epoch {epoch}</dt><dd><pre>&#60;b&#62;after {epoch} epochs");
        assert!(page.contains(&text), "{text}");
    }
    assert_eq!(page.matches("<dt>Epoch ").count(), 12);
}
