//! `elman completions`, `elman man` and `elman presets`.

use std::process::{Command, Stdio};

use crate::command::Workbench;
use crate::harness::{apply, test};

#[apply(test)]
fn shells_complete_commands_and_flags() {
    let workbench = Workbench::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = workbench
            .run(&format!("completions {shell}"))
            .succeeds()
            .stdout;
        for word in ["train", "rescore", "bptt-block", "best-small"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        workbench.write(&format!("{shell}.txt"), script);
    }
    // A shell that is installed reads its script.
    let mut bash = Command::new("bash");
    bash.args(["-n", "bash.txt"])
        .current_dir(workbench.path(""))
        .stdin(Stdio::null());
    if let Ok(output) = bash.output() {
        assert!(output.status.success(), "{output:?}");
    }
    workbench
        .run("completions tcsh")
        .fails(2, &["tcsh", "bash", "zsh", "fish"]);
    workbench.run("completions").fails(2, &["<SHELL>"]);
}

#[apply(test)]
fn manual_pages_describe_every_command() {
    let workbench = Workbench::new();
    let page = workbench.run("man").succeeds().stdout;
    assert!(
        page.contains(".TH elman 1") && page.contains("elman\\-train(1)"),
        "{page}"
    );
    let page = workbench.run("man train").succeeds().stdout;
    assert!(
        page.contains(".TH elman-train 1") && page.contains("\\-\\-bptt\\-block"),
        "{page}"
    );
    workbench
        .run("man trian")
        .fails(2, &["elman man trian", "train", "compare"]);
    workbench.run("man --out pages").succeeds();
    let mut files: Vec<_> = std::fs::read_dir(workbench.path("pages"))
        .expect("a directory")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let help = workbench.run("--help").succeeds().stdout;
    let commands = elman::cli::command();
    let mut expected: Vec<_> = commands
        .get_subcommands()
        .map(|command| format!("elman-{}.1", command.get_name()))
        .collect();
    expected.push("elman.1".to_owned());
    expected.sort();
    assert_eq!(files, expected, "{help}");
    assert_eq!(
        String::from_utf8_lossy(&workbench.read("pages/elman-train.1")),
        page
    );
    workbench
        .run("man --out pages")
        .fails(1, &["elman.1", "--force"]);
    workbench.run("man --out pages --force").succeeds();
}

#[apply(test)]
fn presets_are_listed_and_printed() {
    let workbench = Workbench::with_model();
    let list = workbench.run("presets").succeeds().stdout;
    let json = workbench.run("presets --json").succeeds().json();
    let presets = json["presets"].as_array().expect("an array");
    assert!(presets.len() > 5, "{json}");
    for preset in presets {
        let name = preset["name"].as_str().expect("a name");
        let description = preset["description"].as_str().expect("a description");
        assert!(
            list.contains(&format!("{name}\n  {description}\n")),
            "{name}"
        );
        let file = workbench.run(&format!("presets {name}")).succeeds().stdout;
        assert_eq!(preset["flags"].as_str(), Some(file.as_str()), "{name}");
    }
    // What is printed is a file of flags.
    let file = workbench.run("presets ptb-small").succeeds().stdout;
    workbench.write("mine.toml", file);
    let train = "train --train train.txt --device cpu --config mine.toml --hidden 6 --embedding 5";
    workbench
        .run(&format!("{train} --epochs 1 --out mine"))
        .succeeds();
    workbench
        .run("presets ptb-smal")
        .fails(2, &["ptb-smal", "ptb-small"]);
}
