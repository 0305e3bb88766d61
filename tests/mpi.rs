//! `mpirun elman train`: the results of one process, files that a run on any number of ranks can
//! continue, and errors. `ranks` compares every optimizer, cell and output layer in threads.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::environment::{cpu_only, slow_tests};
use super::fine_tuning::losses;
use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

/// The largest relative difference of a loss from that of one process.
const TOLERANCE: f64 = 1e-4;

pub const TRAIN: &str = "train --train train.txt --device cpu --threads 1 --batch 8 --bptt 5";

/// Files that do not contain times.
const FILES: [&str; 3] = ["model.safetensors", "training.safetensors", "config.json"];

/// Whether the program has MPI, and its launcher is installed.
pub fn has_mpi() -> bool {
    cfg!(feature = "mpi") && Command::new("mpirun").arg("--version").output().is_ok()
}

/// A workbench with a short text.
pub fn workbench() -> Workbench {
    let workbench = Workbench::new();
    let text: Vec<String> = small_text().lines().take(150).map(str::to_owned).collect();
    workbench.write("train.txt", text.join("\n"));
    workbench
}

/// What some of the ranks run.
pub struct Program<'a> {
    pub ranks: usize,
    pub arguments: &'a str,
    /// The faults that happen on them.
    pub faults: &'a str,
    pub program: PathBuf,
}

impl<'a> Program<'a> {
    /// The program on some ranks.
    pub fn new(ranks: usize, arguments: &'a str) -> Self {
        Self {
            ranks,
            arguments,
            faults: "",
            program: env!("CARGO_BIN_EXE_elman").into(),
        }
    }

    /// The program on one rank, with these faults.
    pub fn with_faults(arguments: &'a str, faults: &'a str) -> Self {
        Self {
            faults,
            ..Self::new(1, arguments)
        }
    }
}

/// The launcher with command lines of the program, each for a number of ranks.
pub fn launcher(workbench: &Workbench, programs: &[Program<'_>]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args("--oversubscribe --allow-run-as-root --bind-to none".split(' '))
        // Ranks that wait leave the processors to the others.
        .args("--mca mpi_yield_when_idle 1".split(' '))
        .current_dir(workbench.path("."))
        .stdin(Stdio::null());
    for (index, program) in programs.iter().enumerate() {
        if index > 0 {
            command.arg(":");
        }
        command
            .args(["-n", &program.ranks.to_string()])
            .args(["-x", &format!("ELMAN_FAULTS={}", program.faults)])
            .arg(&program.program)
            .args(program.arguments.split_whitespace());
    }
    command
}

/// Runs the program on some ranks.
pub fn on(workbench: &Workbench, count: usize, arguments: &str) -> Run {
    let output = launcher(workbench, &[Program::new(count, arguments)]).output();
    Run::new(
        &format!("{arguments} on {count} ranks"),
        output.expect("mpirun starts"),
    )
}

/// Compares the losses of the epochs of two runs.
fn assert_equal_losses(workbench: &Workbench, what: &str, [run, one]: [&str; 2]) {
    for key in ["train_loss", "valid_loss"] {
        let [of_run, of_one] = [run, one].map(|out| losses(workbench, out, key));
        assert_eq!(of_run.len(), of_one.len(), "{what}: epochs");
        assert!(!of_one.is_empty(), "{what}: no epochs");
        for (loss, one) in of_run.into_iter().zip(of_one) {
            assert!(
                (loss - one).abs() <= TOLERANCE * one,
                "{what}: {key} {loss}, {one} on one rank"
            );
        }
    }
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn ranks_have_the_losses_of_one_process() {
    let workbench = workbench();
    for (index, (count, flags)) in [
        (
            2,
            "--cell lstm --hidden 9 --optimizer adam --lr 0.003 --dropout 0.2",
        ),
        (
            2,
            "--cell gru --hidden 9 --output class --classes 5 --optimizer sgd",
        ),
        (
            2,
            "--hidden 9 --output sampled --samples 20 --optimizer momentum --lr 0.02",
        ),
        (
            4,
            "--cell lstm --hidden 9 --embedding 6 --output adaptive --cutoffs 10,30",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let train = format!("{TRAIN} --epochs 2 {flags}");
        let [one, ranks, again] = ["one", "ranks", "again"].map(|name| format!("{name}-{index}"));
        workbench.run(&format!("{train} --out {one}")).succeeds();
        let run = on(&workbench, count, &format!("{train} --out {ranks}")).succeeds();
        assert_equal_losses(&workbench, &run.line, [&ranks, &one]);
        let lines = run.stderr.lines().filter(|line| line.starts_with("epoch"));
        assert_eq!(lines.count(), 2, "one rank writes: {}", run.stderr);
        on(&workbench, count, &format!("{train} --out {again}")).succeeds();
        for file in FILES {
            let [first, second] =
                [&ranks, &again].map(|out| workbench.read(&format!("{out}/{file}")));
            assert!(first == second, "{flags}: {file} of a second run differs");
        }
    }
}

/// A run moves from 1 to 2 to 4 ranks and back.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_run_resumes_on_other_numbers_of_ranks() {
    let workbench = workbench();
    let train = format!("{TRAIN} --cell lstm --hidden 9 --schedule constant");
    let whole = format!("{train} --epochs 4 --out whole");
    workbench.run(&whole).succeeds();
    let start = format!("{train} --epochs 1 --out moved");
    workbench.run(&start).succeeds();
    let resume = "train --device cpu --threads 1 --resume moved --epochs";
    for (epochs, count) in [(2, 2), (3, 4)] {
        on(&workbench, count, &format!("{resume} {epochs}")).succeeds();
    }
    on(&workbench, 3, &format!("{resume} 4")).fails(
        2,
        &["--resume on 3 ranks", "the 8 streams", "Start 2 or 4 ranks"],
    );
    workbench.run(&format!("{resume} 4")).succeeds();
    assert_equal_losses(&workbench, "moved", ["moved", "whole"]);
}

#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn what_ranks_cannot_do_is_an_error() {
    let workbench = workbench();
    let bad = |count, arguments: &str, code, parts: &[&str]| {
        let run = on(&workbench, count, arguments).fails(code, parts);
        let errors = run.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
    };
    let batch = format!("{TRAIN} --out bad --batch 10");
    bad(
        4,
        &batch,
        2,
        &["--batch 10", "4 ranks", "--batch 8", "--batch 12"],
    );
    bad(
        2,
        "corpus --sentences 2",
        2,
        &["2 ranks", "only train, eval, score"],
    );
    bad(
        2,
        &format!("{TRAIN} --out bad --dry-run"),
        2,
        &["--dry-run on 2 ranks"],
    );
    let input = TRAIN.replace("train.txt", "-");
    bad(
        2,
        &format!("{input} --out bad"),
        2,
        &["standard input", "every rank"],
    );
    bad(
        2,
        &format!("{TRAIN} --out bad --hidden none"),
        2,
        &["--hidden"],
    );
    bad(
        2,
        "train --train missing.txt --device cpu --out bad",
        1,
        &["missing.txt"],
    );
    std::fs::create_dir(workbench.path("full")).expect("a directory made");
    workbench.write("full/file", "something");
    bad(2, &format!("{TRAIN} --out full"), 1, &["full", "--force"]);
}

/// A run that would take minutes, after its first epoch; and the lines that follow.
fn start(workbench: &Workbench, out: &str) -> (Child, std::thread::JoinHandle<String>) {
    let arguments = format!("{TRAIN} --hidden 9 --schedule constant --epochs 100000 --out {out}");
    let mut run = launcher(workbench, &[Program::new(2, &arguments)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpirun starts");
    let stderr = run.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    lines
        .find(|line| line.starts_with("epoch  1 "))
        .expect("an epoch");
    let rest = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
    (run, rest)
}

/// Sends a signal to a process.
pub fn send(signal: &str, process: u32) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

/// mpirun passes SIGUSR1 on, on which the run saves; SIGTERM, after which it kills the ranks, ends
/// the run at once.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn one_signal_saves_and_the_other_does_not() {
    let workbench = workbench();
    for (signal, saves) in [("-USR1", true), ("-TERM", false)] {
        let (mut run, rest) = start(&workbench, signal.trim_start_matches('-'));
        let sent = Instant::now();
        send(signal, run.id());
        let status = run.wait().expect("mpirun ends");
        let lines = rest.join().expect("lines");
        assert!(!status.success(), "{signal}: {status}\n{lines}");
        assert!(
            sent.elapsed() < Duration::from_secs(60),
            "{signal} took long"
        );
        assert_eq!(lines.contains("saved in "), saves, "{signal}: {lines}");
        let out = signal.trim_start_matches('-');
        let epochs = losses(&workbench, out, "valid_loss").len() + 1;
        let resume = format!("train --device cpu --resume {out} --epochs {epochs}");
        workbench.run(&resume).succeeds();
    }
}

/// One adapter for two ranks, with the flag that allows it and without.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests() && !cpu_only())]
fn ranks_share_an_adapter_where_they_may() {
    let workbench = workbench();
    let adapter = &elman::device::adapters()[0].name;
    let word = adapter.split_whitespace().next().expect("a name");
    let train = TRAIN.replace("--device cpu", &format!("--device {word}"));
    let train = format!("{train} --hidden 9 --epochs 1 --bptt 20");
    if elman::device::adapters().len() == 1 {
        let parts = ["2 ranks on this host", "its own adapter", "--share-adapter"];
        on(&workbench, 2, &format!("{train} --out own")).fails(1, &parts);
    }
    let one = train.replace(&format!("--device {word}"), "--device cpu");
    workbench.run(&format!("{one} --out one")).succeeds();
    on(
        &workbench,
        2,
        &format!("{train} --out shared --share-adapter"),
    )
    .succeeds();
    assert_equal_losses(&workbench, "a shared adapter", ["shared", "one"]);
}

/// A program without MPI that a launcher starts several times would do the same work as often.
#[apply(test)]
#[ignore_unless(!cfg!(feature = "mpi"))]
fn a_program_without_mpi_refuses_several_ranks() {
    let workbench = workbench();
    for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"] {
        let run = |size| {
            let arguments = format!("{TRAIN} --epochs 1 --hidden 4 --out {variable}-{size}");
            let output = workbench.command(&arguments).env(variable, size).output();
            Run::new(&arguments, output.expect("the program starts"))
        };
        run("2").fails(1, &["2 processes", "no MPI", "--features mpi"]);
        run("1").succeeds();
    }
    for arguments in [
        "score train.txt",
        "rescore --ids none train.txt",
        "eval --text train.txt",
        "ngram --model model --out model.arpa",
        "compare train.txt --models small",
    ] {
        let mut command = workbench.command(arguments);
        let output = command.env("OMPI_COMM_WORLD_SIZE", "2").output();
        Run::new(arguments, output.expect("the program starts")).fails(1, &["no MPI"]);
    }
}
