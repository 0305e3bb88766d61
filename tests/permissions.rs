//! Files and directories without permission, and directories in the place of files: the message
//! names the path, the rule and what to do, and nothing is lost.
//!
//! Permissions do not apply to root: as root, the program runs as another user, by `setpriv`.
//! Without it these tests are ignored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

/// Makes `setpriv` start a program as a user who owns nothing.
const OTHER_USER: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
const TRAIN: &str = "train --device cpu --threads 1 --hidden 8 --epochs 1 --batch 4 --bptt 5";
/// What every message about permissions says.
const DENIED: [&str; 2] = ["Permission denied", "hint: change the permissions"];

/// Whether this process is root's.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;

    let file = tempfile::tempfile().expect("a temporary file");
    file.metadata().is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Whether permissions can be taken from the program.
fn has_permissions() -> bool {
    let as_other_user = || {
        Command::new("setpriv")
            .args(OTHER_USER)
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
    };
    cfg!(unix) && (!is_root() || as_other_user())
}

/// Sets the permissions of a file or a directory.
#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions set");
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

/// A workbench with texts, models and directories, some of which the program may not use.
struct Restricted {
    workbench: Workbench,
    /// The program, where another user can start it.
    program: PathBuf,
    is_root: bool,
}

impl Restricted {
    /// - `sealed`, a model, `sealed-text`, a prepared text, and `sealed.*` may not be read.
    /// - `locked` may not be searched; it has `model` and `prepared`.
    /// - `fixed`, an empty directory, may not be written.
    /// - `open`, an empty directory, may be written.
    fn new() -> Self {
        let workbench = Workbench::with_model();
        let path = |name: &str| workbench.path(name);
        for line in [
            "prepare train.txt --out prepared",
            "ngram --text train.txt --order 2 --out lm.arpa",
            "export --vectors output --model model --out vectors.txt",
        ] {
            workbench.run(line).succeeds();
        }
        workbench.write("flags.toml", "hidden = 8\n");
        for name in ["train.txt", "lm.arpa", "vectors.txt", "flags.toml"] {
            let sealed = format!("sealed.{name}");
            workbench.write(&sealed, workbench.read(name));
            set_mode(&path(&sealed), 0);
        }
        for name in ["locked", "fixed", "open"] {
            fs::create_dir(path(name)).expect("a directory made");
        }
        for (name, to) in [
            ("model", "sealed"),
            ("model", "locked/model"),
            ("prepared", "sealed-text"),
            ("prepared", "locked/prepared"),
        ] {
            workbench.copy(name, to);
        }
        for (name, mode) in [
            ("", 0o755),
            ("sealed", 0),
            ("sealed-text", 0),
            ("locked", 0),
            ("fixed", 0o555),
            ("open", 0o777),
        ] {
            set_mode(&path(name), mode);
        }
        let program = path("elman");
        let built = Path::new(env!("CARGO_BIN_EXE_elman"));
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).expect("copied");
        }
        let is_root = is_root();
        Self {
            workbench,
            program,
            is_root,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workbench.path(name)
    }

    /// Runs the program without root's permissions.
    fn run(&self, line: &str) -> Run {
        let mut command = match self.is_root {
            true => {
                let mut command = Command::new("setpriv");
                command.args(OTHER_USER).arg(&self.program);
                command
            }
            false => Command::new(&self.program),
        };
        let output = command
            .args(line.split_whitespace())
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .output();
        Run::new(line, output.expect("the program starts"))
    }

    /// The files that can be read here, by their paths.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.path("")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path == self.program {
                    continue;
                }
                match path.is_dir() {
                    true => directories.push(path),
                    false => drop(fs::read(&path).map(|content| files.insert(path, content))),
                }
            }
        }
        files
    }

    /// Checks that a command fails with a message of all `parts`, and neither changes nor leaves a
    /// file.
    fn refuses(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        self.run(line).fails(1, parts);
        assert!(self.files() == before, "elman {line}: other files");
    }
}

impl Drop for Restricted {
    /// Everything can be removed again.
    fn drop(&mut self) {
        for name in ["sealed", "sealed-text", "locked", "fixed"] {
            set_mode(&self.path(name), 0o755);
        }
    }
}

#[apply(test)]
#[ignore_unless(has_permissions())]
fn what_may_not_be_read() {
    let restricted = Restricted::new();
    for (line, path) in [
        (
            "eval --device cpu --text sealed.train.txt",
            "sealed.train.txt",
        ),
        (
            "eval --device cpu --text train.txt --model sealed",
            "sealed/",
        ),
        (
            "eval --device cpu --text train.txt --model locked/model",
            "locked/model",
        ),
        (
            "eval --device cpu --text train.txt --arpa sealed.lm.arpa",
            "sealed.lm.arpa",
        ),
        (
            "eval --device cpu --text train.txt --lm-prob sealed.train.txt",
            "sealed.train.txt",
        ),
        ("score --device cpu sealed.train.txt", "sealed.train.txt"),
        (
            "rescore --device cpu --ids none sealed.train.txt",
            "sealed.train.txt",
        ),
        ("generate --device cpu --model locked/model", "locked/model"),
        ("inspect sealed", "sealed/"),
        ("inspect locked/model", "locked/model"),
        ("report sealed --out open/page.html", "sealed/"),
        ("report locked/model --out open/page.html", "locked/model"),
        (
            "report model --text sealed.train.txt --out open/page.html",
            "sealed.train.txt",
        ),
        (
            "export --onnx --model sealed --out open/model.onnx",
            "sealed/",
        ),
        (
            "ngram --order 2 --text sealed.train.txt --out open/lm",
            "sealed.train.txt",
        ),
        (
            "ngram --arpa sealed.lm.arpa --test train.txt",
            "sealed.lm.arpa",
        ),
        (
            "prepare sealed.train.txt --out open/prepared",
            "sealed.train.txt",
        ),
        (
            "prepare train.txt --valid sealed.train.txt --out open/prepared",
            "sealed.train.txt",
        ),
        (
            "prepare train.txt --model locked/model --out open/prepared",
            "locked/model",
        ),
        (
            "import --from rnnlm sealed.train.txt --out open/model",
            "sealed.train.txt",
        ),
        (
            "import --from pytorch sealed.train.txt --vocab model/vocab.txt --out open/model",
            "sealed.train.txt",
        ),
        (
            "compare train.txt --models sealed.flags.toml --out open/models",
            "sealed.flags",
        ),
        (
            "compare train.txt --models locked/model --out open/models",
            "locked/model",
        ),
        (
            "compare sealed.train.txt --models best --out open/models",
            "sealed.train.txt",
        ),
        ("train --resume sealed", "sealed"),
        ("train --resume locked/model", "locked/model"),
        ("train --config sealed.flags.toml", "sealed.flags.toml"),
        ("train --config locked/model", "locked/model"),
    ] {
        restricted.refuses(line, &[&[path][..], &DENIED].concat());
    }
    for (flags, path) in [
        ("--train sealed.train.txt", "sealed.train.txt"),
        ("--train sealed-text", "sealed-text"),
        ("--train locked/prepared", "locked/prepared"),
        (
            "--train train.txt --valid sealed.train.txt",
            "sealed.train.txt",
        ),
        (
            "--train train.txt --vocab sealed.train.txt",
            "sealed.train.txt",
        ),
        (
            "--train train.txt --unit bpe --tokenizer sealed.train.txt",
            "sealed.train.txt",
        ),
        (
            "--train train.txt --embedding 12 --vectors sealed.vectors.txt",
            "sealed.vectors.txt",
        ),
        (
            "--train train.txt --cache-above 0 --cache-dir locked/cache",
            "locked/cache",
        ),
    ] {
        let line = format!("{TRAIN} {flags} --out open/model");
        restricted.refuses(&line, &[&[path][..], &DENIED].concat());
    }
}

#[apply(test)]
#[ignore_unless(has_permissions())]
fn what_may_not_be_written() {
    let restricted = Restricted::new();
    for (line, path) in [
        (
            "ngram --order 2 --text train.txt --out fixed/lm",
            "fixed/lm",
        ),
        (
            "ngram --order 2 --text train.txt --out locked/lm",
            "locked/lm",
        ),
        (
            "export --onnx --model model --out fixed/model.onnx",
            "fixed/model.onnx",
        ),
        (
            "export --vectors input --model model --out fixed/vectors",
            "fixed/vectors",
        ),
        ("report model --out fixed/page.html", "fixed/page.html"),
        ("report model --out locked/page.html", "locked/page.html"),
        ("report model --json fixed/data.json", "fixed/data.json"),
        (
            "check --device cpu --report fixed/report.txt",
            "fixed/report.txt",
        ),
        ("prepare train.txt --out fixed/prepared", "fixed/"),
        ("prepare train.txt --out locked/prepared", "locked/prepared"),
        ("man --out fixed/man", "fixed/man"),
        ("man --out fixed", "fixed/elman.1"),
        (
            "import --from rnnlm train.txt --out locked/model",
            "locked/model",
        ),
        (
            "train --resume model --epochs 3 --device cpu",
            "model/.lock",
        ),
    ] {
        restricted.refuses(line, &[&[path][..], &DENIED].concat());
    }
    for (flags, path) in [
        ("--out fixed/model", "fixed/model"),
        ("--out locked/model", "locked/model"),
        ("--out model --force", "model/.lock"),
        (
            "--out open/model --cache-above 0 --cache-dir fixed/cache",
            "fixed/cache",
        ),
    ] {
        let line = format!("{TRAIN} --train train.txt {flags}");
        restricted.refuses(&line, &[&[path][..], &DENIED].concat());
    }
    let line = format!("{TRAIN} --train train.txt --out open/model --tensorboard fixed/events");
    restricted.refuses(&line, &[&["fixed/events"][..], &DENIED].concat());
}

/// The log is written before the run, and an older checkpoint before a save.
#[apply(test)]
#[ignore_unless(has_permissions())]
fn runs_that_may_not_write_some_files_lose_nothing() {
    let restricted = Restricted::new();
    restricted.workbench.copy("model", "run");
    let path = |name: &str| restricted.path(name);
    set_mode(&path("run"), 0o777);
    set_mode(&path("run/log.jsonl"), 0o444);
    let resume = "train --resume run --epochs 3 --device cpu --threads 1";
    let anew = format!("{TRAIN} --train train.txt --out run --force");
    for line in [resume, &anew] {
        restricted.refuses(line, &[&["run/log.jsonl"][..], &DENIED].concat());
    }
    set_mode(&path("run/log.jsonl"), 0o666);
    set_mode(&path("run/checkpoints"), 0o555);
    let model = restricted.workbench.read("run/model.safetensors");
    let run = restricted
        .run(&format!("{resume} --rescue-dir open/rescue"))
        .fails(
            1,
            &[
                "run/checkpoints",
                "Permission denied",
                "open/rescue",
                "--resume",
            ],
        );
    assert!(restricted.workbench.read("run/model.safetensors") == model);
    let rescue = fs::read_dir(path("open/rescue")).expect("a directory");
    let rescued: Vec<_> = rescue.flatten().map(|entry| entry.path()).collect();
    assert_eq!(rescued.len(), 1, "{}", run.stderr);
    let inspect = format!("inspect {} --json", rescued[0].display());
    let inspect = restricted.run(&inspect).succeeds().json();
    assert_eq!(inspect["training"]["progress"]["epochs"], 3);
    // With permission, the run continues where it was.
    set_mode(&path("run/checkpoints"), 0o777);
    restricted.run(resume).succeeds();
    let [found, want] = [path("run"), rescued[0].clone()]
        .map(|directory| fs::read(directory.join("model.safetensors")).expect("a model"));
    assert!(found == want, "the models differ");
}

#[apply(test)]
fn directories_in_the_place_of_files_and_files_in_that_of_directories() {
    let workbench = Workbench::with_model();
    workbench.write("file", small_text());
    fs::create_dir(workbench.path("dir")).expect("a directory made");
    for line in [
        "eval --device cpu --text dir",
        "eval --device cpu --text file --arpa dir",
        "eval --device cpu --text file --lm-prob dir",
        "score --device cpu dir",
        "rescore --device cpu --ids none dir",
        "ngram --order 2 --text dir --out page",
        "ngram --order 2 --text file --out dir",
        "ngram --arpa dir --test file",
        "export --onnx --model model --out dir",
        "report model --text dir --out page",
        "report model --out dir",
        "report model --json dir",
        "check --device cpu --report dir",
        "prepare dir --out new",
        "prepare file --valid dir --out new",
        "import --from rnnlm dir --out new",
        "import --from pytorch dir --vocab file --out new",
        "compare file --recipe dir --out new",
        "train --device cpu --train dir --out new",
        "train --device cpu --train file --valid dir --out new",
        "train --device cpu --train file --vocab dir --out new",
        "train --device cpu --train file --vectors dir --embedding 200 --out new",
        "train --device cpu --train file --unit bpe --tokenizer dir --out new",
    ] {
        let run = workbench.run(line).fails(1, &["dir"]);
        let message = run.stderr.to_lowercase();
        assert!(message.contains("is a directory"), "{line}: {message}");
        assert!(message.contains("give "), "{line}: {message}");
    }
    for line in [
        "eval --device cpu --text file --model file",
        "generate --device cpu --model file",
        "inspect file",
        "report file --out page",
        "export --onnx --model file --out page",
        "prepare file --out file",
        "prepare file --out file/new",
        "import --from rnnlm file --out file",
        "man --out file",
        "man --out file/new",
        "ngram --order 2 --text file --out file/new",
        "train --device cpu --train file --out file",
        "train --device cpu --train file --out file/new",
        "train --device cpu --train file --init file --out new",
        "train --device cpu --train file --tensorboard file --out new",
        "train --device cpu --train file --cache-above 0 --cache-dir file --out new",
        "train --resume file",
    ] {
        let run = workbench.run(line).fails(1, &["file"]);
        let message = run.stderr.to_lowercase();
        let rules = ["not a directory", "it is a file", "file exists"];
        assert!(
            rules.iter().any(|rule| message.contains(rule)),
            "{line}: {message}"
        );
        let fixes = ["give ", "correct the path"];
        assert!(
            fixes.iter().any(|fix| message.contains(fix)),
            "{line}: {message}"
        );
    }
    assert_eq!(workbench.read("file"), small_text().as_bytes());
}
