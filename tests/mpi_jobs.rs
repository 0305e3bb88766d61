//! Jobs that `mpirun` starts, for trials that kill, stop or signal their processes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::environment::slow_tests;
use super::mpi::{Program, has_mpi, launcher};
use crate::command::{Run, Workbench};

/// The longest time that a job takes to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs with faults need the feature `fault-injection`.
pub fn has_faults() -> bool {
    has_mpi() && cfg!(feature = "fault-injection") && slow_tests()
}

/// What a job has written to a stream so far.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Reads a stream to its end.
    fn read(&self, mut stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let written = self.0.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 12];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                written.lock().expect("bytes").extend(&buffer[..count]);
            }
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("bytes")).into_owned()
    }
}

/// A job that the launcher has started.
pub struct Job {
    pub launcher: Child,
    /// The standard input of the first rank.
    pub input: ChildStdin,
    pub ranks: Vec<u32>,
    output: Written,
    errors: Written,
    readers: [JoinHandle<()>; 2],
    line: String,
}

impl Job {
    /// Starts a job, and waits until it has as many processes as there are ranks.
    pub fn start(workbench: &Workbench, programs: &[Program<'_>]) -> Self {
        let mut launcher = launcher(workbench, programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mpirun starts");
        let [output, errors] = [Written::default(), Written::default()];
        let readers = [
            output.read(launcher.stdout.take().expect("a pipe")),
            errors.read(launcher.stderr.take().expect("a pipe")),
        ];
        let count: usize = programs.iter().map(|program| program.ranks).sum();
        let mut ranks = Vec::new();
        wait_until("the ranks start", || {
            ranks = children(launcher.id());
            ranks.len() == count
        });
        Self {
            input: launcher.stdin.take().expect("a pipe"),
            launcher,
            ranks,
            output,
            errors,
            readers,
            line: programs[0].arguments.to_owned(),
        }
    }

    /// Waits until the job has printed something.
    pub fn wait_for_output(&self) {
        wait_until("the job prints", || !self.output.text().is_empty());
    }

    /// Waits until the job ends.
    pub fn end(mut self) -> Run {
        drop(self.input);
        wait_until("the job ends", || {
            self.launcher.try_wait().expect("a status").is_some()
        });
        let status = self.launcher.wait().expect("a status");
        for reader in self.readers {
            reader.join().expect("all is read");
        }
        Run {
            line: self.line,
            code: status.code(),
            stdout: self.output.text(),
            stderr: self.errors.text(),
        }
    }
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// The processes that another one has started, in the order of their numbers.
pub fn children(parent: u32) -> Vec<u32> {
    let output = Command::new("pgrep")
        .args(["-P", &parent.to_string()])
        .output()
        .expect("pgrep runs");
    BufReader::new(&output.stdout[..])
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

/// The name of this host, as MPI knows it.
pub fn host() -> String {
    let output = Command::new("uname").arg("-n").output().expect("uname");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
