//! The inputs of the fuzz targets in `fuzz/seeds`, among them those that once made a reader fail,
//! are read as the fuzzer reads them. See `fuzz/run.sh`.

#[path = "../fuzz/src/targets/mod.rs"]
pub mod targets;

use std::ops::Range;
use std::path::PathBuf;

use libtest_mimic::Trial;

use self::targets::{Bench, TARGETS, Target};
use crate::allocations;
use crate::harness::{apply, test, trial, trials};

fn directory(target: &Target) -> PathBuf {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    seeds.join(target.name)
}

/// Reads the valid files and every seed of a target. With `ELMAN_WRITE_SEEDS=1`, the valid files
/// become seeds first.
fn read_seeds(target: &Target) {
    let bench = Bench::new().expect("valid files");
    let read = bench.read_valid(target);
    read.unwrap_or_else(|error| panic!("{}: a valid file is refused: {error}", target.name));
    let directory = directory(target);
    if std::env::var_os("ELMAN_WRITE_SEEDS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(&directory).expect("a directory");
        for (name, content) in bench.seeds(target) {
            std::fs::write(directory.join(name), content).expect("written");
        }
    }
    for (name, _) in bench.seeds(target) {
        let path = directory.join(name);
        assert!(path.exists(), "{} is missing", path.display());
    }
    for entry in std::fs::read_dir(&directory).expect("a directory") {
        let path = entry.expect("a seed").path();
        let input = std::fs::read(&path).expect("a seed");
        let is_read = bench.read(target, &input);
        assert!(is_read, "{} names no file of the target", path.display());
    }
}

/// Numbers that break what computes with them.
const NUMBERS: [&str; 9] = [
    "0",
    "-1",
    "65536",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "1e-320",
    "1e308",
    "1e999",
];

/// Where the numbers of a text are.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let mut numbers = Vec::new();
    let mut start = 0;
    for part in text
        .as_bytes()
        .chunk_by(|&one, &other| is_part(one) == is_part(other))
    {
        let end = start + part.len();
        if part.first().copied().is_some_and(is_part) && part.iter().any(u8::is_ascii_digit) {
            numbers.push(start..end);
        }
        start = end;
    }
    numbers
}

/// Reads the valid files of a target with each number replaced by others.
fn replace_numbers(target: &Target) {
    let bench = Bench::new().expect("valid files");
    for (name, content) in bench.seeds(target) {
        let Ok(text) = String::from_utf8(content) else {
            continue;
        };
        let start = text.find('\n').map_or(0, |end| end + 1);
        // The ids of a tokenizer are alike.
        let is_long = text.len() > 4096;
        let places = numbers(&text[start..]).into_iter();
        for place in places.step_by(if is_long { 50 } else { 1 }) {
            let (before, after) = (&text[..start + place.start], &text[start + place.end..]);
            for number in NUMBERS {
                let input = format!("{before}{number}{after}");
                let read = || bench.read(target, input.as_bytes());
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
                assert!(caught.is_ok(), "{name}: {number} at byte {}", place.start);
            }
        }
    }
}

#[apply(trials)]
fn seeds() -> Vec<Trial> {
    let trials_of = |target: &'static Target| {
        let name = format!("fuzz_seeds::{}", target.name);
        [
            trial(format!("{name}::seeds"), move || read_seeds(target)),
            trial(format!("{name}::numbers"), move || replace_numbers(target)),
        ]
    };
    TARGETS.iter().flat_map(trials_of).collect()
}

/// Every target is run, and every folder of seeds is that of a target.
#[apply(test)]
fn targets_scripts_and_folders_agree() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let script = include_str!("../fuzz/run.sh");
    let line = format!("all=({})", names.join(" "));
    assert!(script.contains(&line), "fuzz/run.sh lacks {line}");
    names.sort_unstable();
    for folder in ["seeds", "dictionaries"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz")
            .join(folder);
        let entries = std::fs::read_dir(path).expect("a directory").flatten();
        let found = entries.map(|entry| entry.path().file_stem().unwrap_or_default().to_owned());
        let mut found: Vec<_> = found.collect();
        found.sort();
        assert_eq!(found, names, "fuzz/{folder}");
    }
}
