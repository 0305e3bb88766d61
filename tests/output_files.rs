//! Files that commands write: several processes at once, and what killed processes left.

use std::process::Stdio;

use crate::command::Workbench;
use crate::harness::{apply, test};

/// The names of files that begin with a point.
fn hidden_files(workbench: &Workbench) -> Vec<String> {
    let entries = std::fs::read_dir(workbench.path("")).expect("a directory");
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect()
}

const COMMANDS: [&str; 3] = [
    "export --onnx --model model --out FILE --force",
    "export --vectors output --model model --out FILE --force",
    "ngram --text train.txt --order 3 --out FILE --force",
];

#[apply(test)]
fn processes_write_one_file_at_once() {
    let workbench = Workbench::with_model();
    for line in COMMANDS {
        workbench.run(&line.replace("FILE", "alone")).succeeds();
        let children: Vec<_> = (0..6)
            .map(|_| {
                let mut command = workbench.command(&line.replace("FILE", "file"));
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().expect("it starts")
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {errors}");
        }
        assert!(workbench.read("file") == workbench.read("alone"), "{line}");
        assert!(hidden_files(&workbench).is_empty(), "{line}");
    }
}

#[apply(test)]
fn files_of_killed_processes_are_removed() {
    let workbench = Workbench::with_model();
    for line in COMMANDS {
        workbench.write(".file.abcDEF.new", "half");
        // Another file of the user.
        workbench.write(".file.new", "precious");
        workbench.run(&line.replace("FILE", "file")).succeeds();
        assert_eq!(hidden_files(&workbench), [".file.new"], "{line}");
        assert_eq!(workbench.read(".file.new"), b"precious", "{line}");
    }
}

#[apply(test)]
#[ignore_unless(cfg!(unix))]
fn standard_output_can_be_the_file() {
    let workbench = Workbench::with_model();
    let ngram = "ngram --text train.txt --order 2 --out";
    workbench.run(&format!("{ngram} lm.arpa")).succeeds();
    let run = workbench.run(&format!("{ngram} /dev/stdout")).succeeds();
    assert!(run.stdout.as_bytes() == workbench.read("lm.arpa"));
}
