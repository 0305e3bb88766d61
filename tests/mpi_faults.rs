//! Ranks of a training that die or hang, and signals to ranks and to their launcher: the job ends
//! with an exit code other than 0 and a message that names the rank, the last checkpoint is
//! complete, and the run continues on fewer ranks.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::environment::{RandomSeed, slow_tests};
use super::mpi::{Program, TRAIN, has_mpi, on, send, workbench};
use super::mpi_jobs::{Job, has_faults, host, wait_until};
use crate::command::{Run, Workbench};
use crate::harness::{apply, test};

/// A run without an end, which saves often. Its batch is divisible by 4 and by 3.
fn endless(out: &str) -> String {
    let train = TRAIN.replace("--batch 8", "--batch 12");
    format!(
        "{train} --hidden 9 --schedule constant --epochs 100000 --save-every 7 --out {out} \
         --rank-timeout 2s"
    )
}

/// Whether the directory of a run has a checkpoint.
fn is_saved(workbench: &Workbench, out: &str) -> bool {
    workbench.path(out).join("training.safetensors").exists()
}

fn wait_for_checkpoint(workbench: &Workbench, out: &str) {
    wait_until("the run is saved", || is_saved(workbench, out));
}

/// Checks that a checkpoint is complete, and continues its run on three ranks.
fn resume_on_three(workbench: &Workbench, out: &str) {
    let inspect = workbench.run(&format!("inspect {out} --json"));
    let epochs = inspect.succeeds().json()["training"]["progress"]["epochs"]
        .as_u64()
        .expect("a number");
    let eval = format!("eval --model {out} --device cpu --threads 1 --text train.txt");
    workbench.run(&eval).succeeds();
    let resume = format!("train --device cpu --threads 1 --resume {out} --epochs");
    on(workbench, 3, &format!("{resume} {}", epochs + 1)).succeeds();
}

/// Expects one error, of a rank that hangs, and a run that can continue.
fn expect_hang(workbench: &Workbench, out: &str, rank: usize, run: Run) {
    let name = format!("error: rank {rank} on {} (process ", host());
    let run = run.fails(1, &[&name, "not answered for 2 s (--rank-timeout)"]);
    let errors = run.stderr.matches("error: ").count();
    assert_eq!(errors, 1, "one rank writes: {}", run.stderr);
    let hints = run.stderr.matches("is complete: elman train --resume");
    assert_eq!(hints.count(), 1, "one rank writes: {}", run.stderr);
    resume_on_three(workbench, out);
}

/// A rank waits for ever in the middle of a run.
#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_that_hangs_is_named() {
    let workbench = workbench();
    for hung in [0, 2] {
        let out = format!("hang-{hung}");
        let train = endless(&out);
        let programs = [
            Program::new(hung, &train),
            Program::with_faults(&train, "hang@150"),
            Program::new(3 - hung, &train),
        ];
        let programs = programs.into_iter().filter(|program| program.ranks > 0);
        let job = Job::start(&workbench, &programs.collect::<Vec<_>>());
        expect_hang(&workbench, &out, hung, job.end());
    }
}

/// A process is stopped, as if its host did not answer.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_rank_that_is_stopped_is_named() {
    let workbench = workbench();
    let job = Job::start(&workbench, &[Program::new(4, &endless("stopped"))]);
    wait_for_checkpoint(&workbench, "stopped");
    send("-STOP", job.ranks[1]);
    let stopped = Instant::now();
    let run = job.end();
    let seconds = stopped.elapsed().as_secs();
    assert!(seconds < 20, "noticed after {seconds} s");
    expect_hang(&workbench, "stopped", 1, run);
}

/// A rank that is late, but not later than the limit, is waited for.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_rank_that_is_late_is_waited_for() {
    let workbench = workbench();
    let train = endless("late").replace("--rank-timeout 2s", "--rank-timeout 0");
    for (out, seconds, train) in [("late", 7, train), ("in-time", 3, endless("in-time"))] {
        let mut job = Job::start(&workbench, &[Program::new(2, &train)]);
        wait_for_checkpoint(&workbench, out);
        send("-STOP", job.ranks[1]);
        // In the second run, within the time for answers.
        sleep(Duration::from_secs(seconds));
        send("-CONT", job.ranks[1]);
        sleep(Duration::from_secs(5));
        let state = job.launcher.try_wait().expect("a status");
        assert!(state.is_none(), "{out}: it ended");
        send("-USR1", job.launcher.id());
        let run = job.end();
        assert!(run.stderr.contains("saved in "), "{out}: {}", run.stderr);
    }
}

/// Pseudo-random numbers below a limit.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One of four ranks is killed at twenty moments, from its start on.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn a_rank_is_killed_at_random_moments() {
    let workbench = workbench();
    let seed = RandomSeed::new();
    let mut random = Random(seed.0);
    let mut saved = 0;
    for kill in 0..20 {
        let out = format!("killed-{kill}");
        let rank = random.below(4) as usize;
        let job = Job::start(&workbench, &[Program::new(4, &endless(&out))]);
        // Most runs have saved; in some, a rank dies while it starts.
        if kill % 5 > 0 {
            wait_for_checkpoint(&workbench, &out);
        }
        sleep(Duration::from_micros(random.below(800_000)));
        send("-KILL", job.ranks[rank]);
        let run = job.end();
        let what = format!("seed {}, kill {kill} of rank {rank}", seed.0);
        assert!(run.code != Some(0), "{what}: {}", run.stderr);
        let of_launcher = run
            .stderr
            .contains(&format!("process rank {rank} with PID"));
        assert!(
            of_launcher && run.stderr.contains(&format!("on node {}", host())),
            "{what}: {}",
            run.stderr
        );
        let own = ["ended by SIGTERM", "error: "].map(|text| run.stderr.matches(text).count());
        assert!(own[0] <= 1 && own[1] == 0, "{what}: {}", run.stderr);
        let exists = is_saved(&workbench, &out);
        assert!(
            exists || !run.stderr.contains("is complete"),
            "{what}: {}",
            run.stderr
        );
        if exists {
            saved += 1;
            resume_on_three(&workbench, &out);
        }
    }
    assert!(saved >= 10, "seed {}: {saved} runs had saved", seed.0);
}

/// The first rank is killed in the middle of a save.
#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_is_killed_while_it_saves() {
    let workbench = workbench();
    for fault in ["die-before-save@3", "die-in-save@3"] {
        let train = endless(fault);
        let programs = [Program::with_faults(&train, fault), Program::new(3, &train)];
        let run = Job::start(&workbench, &programs).end();
        assert!(run.code != Some(0), "{fault}: {}", run.stderr);
        assert!(
            run.stderr.contains("process rank 0 with PID"),
            "{}",
            run.stderr
        );
        resume_on_three(&workbench, fault);
    }
}

/// A rank fails with an error while the others wait for it, or dies, or panics.
#[apply(test)]
#[ignore_unless(has_faults())]
fn a_rank_that_fails_ends_all() {
    let workbench = workbench();
    for (fault, parts) in [
        ("device@150", ["error: rank 1 on ", "the device was lost"]),
        ("die@150", ["process rank 1 with PID", "on node "]),
        ("panic@150", ["error: rank 1 on ", " panicked:"]),
    ] {
        let train = endless(fault);
        let programs = [
            Program::new(1, &train),
            Program::with_faults(&train, fault),
            Program::new(2, &train),
        ];
        let run = Job::start(&workbench, &programs).end();
        assert!(run.code != Some(0), "{fault}: {}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "{fault}: {}", run.stderr);
        }
        resume_on_three(&workbench, fault);
    }
}

/// The launcher passes SIGUSR1 on to all ranks, and a terminal of the first rank sends it SIGINT:
/// the run is saved once. The launcher answers SIGTERM and SIGINT with SIGKILL for the ranks.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn signals_save_once_or_not_at_all() {
    let workbench = workbench();
    for (signal, to_launcher, saves) in [
        ("-USR1", true, true),
        ("-INT", false, true),
        ("-TERM", true, false),
        ("-INT", true, false),
    ] {
        let out = format!("signal{signal}-{to_launcher}");
        // Without other saves than those of epochs.
        let train = endless(&out).replace("--save-every 7", "");
        let job = Job::start(&workbench, &[Program::new(4, &train)]);
        wait_for_checkpoint(&workbench, &out);
        let receiver = match to_launcher {
            true => job.launcher.id(),
            false => job.ranks[0],
        };
        send(signal, receiver);
        let run = job.end();
        assert!(run.code != Some(0), "{out}: {}", run.stderr);
        let saved = run.stderr.matches("saved in ").count();
        assert_eq!(saved, usize::from(saves), "{out}: {}", run.stderr);
        let announced = run.stderr.matches("interrupted: saving").count();
        assert_eq!(announced, usize::from(saves), "{out}: {}", run.stderr);
        resume_on_three(&workbench, &out);
    }
}

/// Ranks whose launcher was killed do not stay.
#[apply(test)]
#[ignore_unless(has_mpi() && slow_tests())]
fn ranks_end_after_their_launcher() {
    let workbench = workbench();
    let mut job = Job::start(&workbench, &[Program::new(4, &endless("orphans"))]);
    wait_for_checkpoint(&workbench, "orphans");
    job.launcher.kill().expect("killed");
    job.launcher.wait().expect("a status");
    let is_running = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    wait_until("the ranks end", || !job.ranks.iter().any(is_running));
    resume_on_three(&workbench, "orphans");
}
