//! Several processes in one checkpoint directory: readers beside a run, two runs, and runs that are
//! killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use elman::Checkpoint;
use libtest_mimic::Trial;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::command::{Workbench, small_text};
use crate::environment::{RandomSeed, slow_tests};
use crate::harness::{apply, ignore_unless, test, trial, trials};

/// The files of a checkpoint that are the same in every run.
const REPEATABLE: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "training.safetensors",
    "vocab.txt",
];
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The names and contents of all files in a directory, except for older checkpoints.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.file_name() != Some("checkpoints".as_ref()));
    let named = files.map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (
            name.into_owned(),
            std::fs::read(&path).expect("a file read"),
        )
    });
    named.collect()
}

fn start(workbench: &Workbench, arguments: &str) -> Child {
    workbench
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

/// A run in `model` that does not end by itself, with a first checkpoint.
fn endless_run(workbench: &Workbench) -> Child {
    workbench.write("train.txt", small_text());
    let mut child = start(
        workbench,
        "train --train train.txt --device cpu --hidden 12 --epochs 1000000 --schedule constant \
         --batch 4 --bptt 5",
    );
    while !workbench.path("model/training.json").exists() {
        assert!(is_alive(&mut child), "it ended by itself");
        std::thread::sleep(POLL_INTERVAL);
    }
    child
}

fn is_alive(child: &mut Child) -> bool {
    child.try_wait().expect("its state").is_none()
}

fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("its state");
}

/// What the three commands that read a model say about `model` in a directory.
fn read_all(workbench: &Workbench, model: &str) -> [String; 3] {
    [
        format!("inspect {model} --json"),
        format!("eval --model {model} --text train.txt --device cpu --threads 1 --json"),
        format!("score --model {model} lines.txt --device cpu --threads 1"),
    ]
    .map(|arguments| workbench.run(&arguments).succeeds().stdout)
}

/// Between the moment at which a save is decided and the one at which all files have their names,
/// readers see the new files and leave the directory as it is.
#[apply(test)]
fn readers_do_not_complete_a_save() {
    let workbench = Workbench::with_model();
    workbench.write("lines.txt", "the boy runs\n");
    workbench.copy_model("old");
    workbench
        .run("train --resume model --device cpu --epochs 3")
        .succeeds();
    let new = read_all(&workbench, "model");
    assert_ne!(read_all(&workbench, "old"), new);

    // The journal is written, and some of the files are renamed.
    let files = [
        "model.safetensors",
        "config.json",
        "vocab.txt",
        "training.safetensors",
        "training.json",
        "manifest.json",
    ];
    for (index, file) in files.iter().enumerate() {
        let name = if index < 2 {
            format!("old/{file}")
        } else {
            format!("old/.{file}.new")
        };
        workbench.write(&name, workbench.read(&format!("model/{file}")));
    }
    workbench.write("old/.journal", files.join("\n") + "\n-tokenizer.json");
    let before = contents(&workbench.path("old"));
    assert_eq!(read_all(&workbench, "old"), new);
    assert!(
        contents(&workbench.path("old")) == before,
        "a reader has changed the directory"
    );

    // The next writer completes the save.
    workbench
        .run("train --resume old --device cpu --epochs 3")
        .succeeds();
    assert_eq!(read_all(&workbench, "old"), new);
    let (old, model) = (workbench.path("old"), workbench.path("model"));
    let names = |directory: &Path| contents(directory).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&old), names(&model));
}

/// Two models that do not fit together replace each other; a reader sees one or the other.
#[apply(test)]
fn reader_sees_the_files_of_one_save() {
    let workbench = Workbench::with_model();
    workbench.write("small.txt", "a b c\n".repeat(100));
    workbench
        .run("train --train small.txt --device cpu --hidden 5 --epochs 1 --batch 4 --out other")
        .succeeds();
    let models =
        ["model", "other"].map(|name| Checkpoint::read(&workbench.path(name)).expect("a model"));
    let directory = workbench.path("both");
    models[0].write(&directory).expect("written");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for model in models.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                model.write(&directory).expect("written");
            }
        });
        let read: Vec<_> = (0..300).map(|_| Checkpoint::read(&directory)).collect();
        done.store(true, Ordering::Relaxed);
        for checkpoint in read {
            let checkpoint = checkpoint.expect("a checkpoint");
            assert!(models.contains(&checkpoint), "a mixture of two models");
        }
    });
}

#[apply(test)]
fn directory_has_one_writer() {
    let workbench = Workbench::with_model();
    std::fs::rename(workbench.path("model"), workbench.path("other")).expect("renamed");
    let run = endless_run(&workbench);
    let process = format!("process {} ", run.id());
    // Windows does not read a locked file.
    let named = if cfg!(unix) { &process } else { "process" };
    for writer in [
        "train --resume model --device cpu",
        "train --train train.txt --out model --force --device cpu --hidden 5 --epochs 1",
        "import --from pytorch other/model.safetensors --vocab other/vocab.txt --out model --force",
    ] {
        workbench.run(writer).fails(1, &["model: ", named]);
    }
    // Nothing was changed: the run goes on, and can be resumed when it is dead.
    let epochs = || {
        workbench.run("inspect --json").succeeds().json()["training"]["progress"]["epochs"]
            .as_u64()
            .expect("a number")
    };
    let before = epochs();
    while epochs() == before {
        std::thread::sleep(POLL_INTERVAL);
    }
    kill(run);
    let line = format!("train --resume model --device cpu --epochs {}", epochs());
    workbench.run(&line).succeeds();
    assert!(!workbench.path("model/.lock").exists());
}

#[apply(test)]
fn run_killed_before_its_first_checkpoint_starts_anew() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    std::fs::create_dir(workbench.path("model")).expect("created");
    for name in [
        ".lock",
        ".model.safetensors.new",
        "..journal.new",
        "log.jsonl",
    ] {
        workbench.write(&format!("model/{name}"), "half");
    }
    workbench
        .run("train --train train.txt --device cpu --hidden 5 --epochs 1")
        .succeeds();
    let names: Vec<_> = contents(&workbench.path("model")).into_keys().collect();
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with('.')), "{names:?}");
}

/// The epochs in the log, without the times that they took.
fn logged_epochs(workbench: &Workbench, model: &str) -> Vec<Value> {
    let log = workbench.read(&format!("{model}/log.jsonl"));
    String::from_utf8(log)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a whole line"))
        .filter(|record: &Value| record.get("valid_loss").is_some())
        .map(without_times)
        .collect()
}

fn without_times(mut record: Value) -> Value {
    let fields = record.as_object_mut().expect("an object");
    fields.remove("seconds");
    fields.remove("tokens_per_second");
    record
}

#[apply(test)]
fn log_of_a_resumed_run_has_every_epoch() {
    let workbench = Workbench::with_model();
    let interval = |epoch: u32, window: u32| {
        format!("{{\"epoch\":{epoch},\"window\":{window},\"loss\":1.5}}\n")
    };
    // The second epoch is missing. The run repeats what comes after it. The last line is not whole.
    let first = workbench.read("model/log.jsonl");
    let first = String::from_utf8(first).expect("UTF-8");
    let first = first.lines().next().expect("an epoch");
    let log = [
        interval(1, 9),
        format!("{first}\n"),
        interval(2, 8),
        interval(3, 7),
        "{\"epoch\":3,\"win".to_owned(),
    ];
    workbench.write("model/log.jsonl", log.concat());
    workbench
        .run("train --resume model --device cpu --epochs 4")
        .succeeds();
    let log = String::from_utf8(workbench.read("model/log.jsonl")).expect("UTF-8");
    assert!(
        log.starts_with(&format!("{}{first}\n{}", interval(1, 9), interval(2, 8))),
        "{log}"
    );
    assert!(!log.contains(interval(3, 7).trim()), "{log}");
    let training: Value =
        serde_json::from_slice(&workbench.read("model/training.json")).expect("JSON");
    let history = training["progress"]["history"].as_array().expect("epochs");
    let history: Vec<_> = history.iter().cloned().map(without_times).collect();
    assert_eq!(history.len(), 4);
    assert_eq!(logged_epochs(&workbench, "model"), history);
}

#[apply(trials)]
fn killed_runs() -> Vec<Trial> {
    let short = trial("live_runs::killed_run_is_read_and_resumed", || {
        killed_run_is_read_and_resumed(6, 3);
    });
    let long = trial("live_runs::run_is_killed_two_hundred_times", || {
        killed_run_is_read_and_resumed(500, 200);
    });
    let mut trials = vec![short];
    trials.extend(ignore_unless(slow_tests(), vec![long]));
    trials
}

/// A run is killed at random moments and resumed, while its model is read all the time. Every read
/// succeeds, and the run ends like one that was never killed.
fn killed_run_is_read_and_resumed(epochs: u64, kills: u64) {
    let seed = RandomSeed::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write("lines.txt", "the boy runs\nthe dogs bark\n");
    let new_run = format!(
        "train --train train.txt --device cpu --threads 1 --hidden 32 --epochs {epochs} \
         --schedule constant --optimizer adam --lr 0.01 --batch 2 --bptt 5 --save-every 5"
    );
    let started = std::time::Instant::now();
    workbench.run(&format!("{new_run} --out whole")).succeeds();
    let epoch = started.elapsed() / u32::try_from(epochs).expect("few epochs");

    let done = AtomicBool::new(false);
    let (reads, killed) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&workbench, &done));
        let mut killed = 0;
        for life in 0..kills {
            let mut run = start(&workbench, next_run(&workbench, &new_run));
            let saved = saved_epochs(&workbench);
            // A share of the epochs that are left, so that the run lives through all kills. Where
            // the machine is slow to kill, the last ones may find a run that is complete.
            let share = (epochs - saved.min(epochs)) / (kills - life);
            let target = saved + random.random_range(0..=share);
            while is_alive(&mut run) && saved_epochs(&workbench) < target {
                std::thread::sleep(POLL_INTERVAL);
            }
            std::thread::sleep(epoch.mul_f64(random.random_range(0.0..1.0)));
            killed += u64::from(is_alive(&mut run));
            kill(run);
            assert_log_has_saved_epochs(&workbench);
        }
        let last = workbench.run(next_run(&workbench, &new_run));
        done.store(true, Ordering::Relaxed);
        last.succeeds();
        (reader.join().expect("every read succeeds"), killed)
    });
    assert!(reads > 0 && killed > 0, "{reads} reads, {killed} kills");

    for file in REPEATABLE {
        assert!(
            workbench.read(&format!("model/{file}")) == workbench.read(&format!("whole/{file}")),
            "{file} differs"
        );
    }
    let names = ["model", "whole"].map(|name| contents(&workbench.path(name)).into_keys());
    let [found, expected] = names.map(Iterator::collect::<Vec<_>>);
    assert_eq!(found, expected);
    let [found, expected] = ["model", "whole"].map(|name| logged_epochs(&workbench, name));
    assert_eq!(found.len() as u64, epochs);
    assert_eq!(found, expected);
}

/// Also before a killed run is resumed, its log has every epoch of its checkpoint.
fn assert_log_has_saved_epochs(workbench: &Workbench) {
    let log = std::fs::read(workbench.path("model/log.jsonl")).unwrap_or_default();
    let log = String::from_utf8(log).expect("UTF-8");
    // The last line may not be whole.
    let records = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let epochs: Vec<u64> = records
        .filter(|record: &Value| record.get("valid_loss").is_some())
        .map(|record| record["epoch"].as_u64().expect("a number"))
        .collect();
    let saved: Vec<u64> = (1..=saved_epochs(workbench)).collect();
    assert!(epochs.starts_with(&saved), "{epochs:?} of {saved:?}");
}

/// Reads the model again and again. Returns the number of reads.
fn read_until(workbench: &Workbench, done: &AtomicBool) -> usize {
    let mut reads = 0;
    loop {
        let is_last = done.load(Ordering::Relaxed);
        // Training state and model are there from the first save on.
        if workbench.path("model/training.json").exists() {
            read_all(workbench, "model");
            reads += 3;
        } else {
            std::thread::sleep(POLL_INTERVAL);
        }
        if is_last {
            return reads;
        }
    }
}

/// The arguments that resume the run in `model`, or start it where it was killed before its first
/// checkpoint.
fn next_run<'a>(workbench: &Workbench, new_run: &'a str) -> &'a str {
    let saved = ["training.json", ".journal"]
        .iter()
        .any(|name| workbench.path("model").join(name).exists());
    if saved {
        "train --resume model --device cpu --threads 1 --save-every 5"
    } else {
        new_run
    }
}

/// The completed epochs of the checkpoint in `model`; 0 if there is none yet.
fn saved_epochs(workbench: &Workbench) -> u64 {
    let Ok(json) = std::fs::read(workbench.path("model/training.json")) else {
        return 0;
    };
    let training: Value = serde_json::from_slice(&json).expect("JSON");
    training["progress"]["epochs"].as_u64().expect("a number")
}
