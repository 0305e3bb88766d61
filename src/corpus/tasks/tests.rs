//! Tests of the texts and of the exact properties of the tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn task(name: &str) -> &'static Task {
    TASKS
        .iter()
        .find(|task| task.name == name)
        .expect("a row of the table")
}

fn lines(task: &Task, size: usize, examples: usize) -> Vec<Vec<String>> {
    let drawn = task.draw(size, examples, 5).expect("drawn");
    assert_eq!(drawn.text.lines().count(), examples);
    drawn
        .text
        .lines()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

#[test]
fn a_seed_determines_the_text() {
    for (name, size, first) in [
        ("copy", 3, "e d h a b _ _ _ ? e d h a b"),
        ("adding", 7, "4 +0 1 2 +1 1 4 = 1"),
        ("binary-addition", 4, "10 1 01 1 11 0 00 1 0"),
    ] {
        let text = task(name).draw(size, 3, 1).expect("drawn").text;
        assert_eq!(text.lines().next(), Some(first), "{name}");
        assert_eq!(text, task(name).draw(size, 3, 1).expect("drawn").text);
        assert!(
            task(name)
                .draw(size, 5, 1)
                .expect("drawn")
                .text
                .starts_with(&text),
            "{name}: a longer text starts with a shorter one"
        );
        assert_ne!(text, task(name).draw(size, 3, 2).expect("drawn").text);
    }
}

#[test]
fn copy_repeats_the_letters() {
    for delay in [1, 2, 7, 53] {
        for words in lines(task("copy"), delay, 200) {
            assert_eq!(words.len(), copy::words(delay));
            let (letters, rest) = words.split_at(5);
            assert!(
                letters
                    .iter()
                    .all(|letter| ("a"..="h").contains(&letter.as_str()) && letter.len() == 1)
            );
            assert_eq!(rest[..delay], vec!["_"; delay]);
            assert_eq!(rest[delay], "?");
            assert_eq!(rest[delay + 1..], *letters);
        }
    }
}

#[test]
fn adding_sums_the_marked_digits() {
    for delay in [2, 3, 7, 20, 53] {
        for words in lines(task("adding"), delay, 200) {
            let (digits, answer) = words.split_at(delay);
            let marked = |half: &[String]| -> Vec<u32> {
                half.iter()
                    .filter_map(|word| word.strip_prefix('+'))
                    .map(|digit| digit.parse().expect("a digit"))
                    .collect()
            };
            let (first, second) = digits.split_at(delay / 2);
            let [[first], [second]] = [marked(first), marked(second)]
                .map(|marked| <[u32; 1]>::try_from(marked).expect("one mark"));
            assert_eq!(answer, ["=".to_owned(), (first + second).to_string()]);
            assert!(
                digits
                    .iter()
                    .all(|digit| digit.parse::<u32>().is_ok_and(|digit| digit < 5)),
                "{digits:?}"
            );
        }
    }
}

#[test]
fn binary_addition_computes_the_sum() {
    for bits in [1, 2, 8, 53] {
        for words in lines(task("binary-addition"), bits, 200) {
            assert_eq!(words.len(), binary_addition::words(bits));
            let number = |bit: &dyn Fn(usize) -> u8, bits: usize| -> u64 {
                (0..bits).map(|i| u64::from(bit(i) == b'1') << i).sum()
            };
            let first = number(&|i| words[2 * i].as_bytes()[0], bits);
            let second = number(&|i| words[2 * i].as_bytes()[1], bits);
            let sum = number(
                &|i| words[(2 * i + 1).min(2 * bits)].as_bytes()[0],
                bits + 1,
            );
            assert_eq!(first + second, sum, "{words:?}");
        }
    }
}

/// Draws all examples of small tasks and checks how many there are, that they are equally likely,
/// that the recalled words follow from all words before them, and their conditional entropy given
/// only the word before them.
#[test]
fn entropies_match_the_drawn_examples() {
    for (name, size) in [
        ("copy", 1),
        ("adding", 2),
        ("adding", 3),
        ("adding", 4),
        ("binary-addition", 1),
        ("binary-addition", 2),
        ("binary-addition", 3),
        ("binary-addition", 5),
    ] {
        let task = task(name);
        let expected = (task.entropy)(size).exp();
        let text = task
            .draw(size, 20 * expected.round() as usize, 3)
            .expect("drawn")
            .text;
        let mut counts = BTreeMap::<Vec<&str>, f64>::new();
        text.lines()
            .for_each(|line| *counts.entry(line.split(' ').collect()).or_default() += 1.0);
        let found = counts.len() as f64;
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{name} {size}: {found} examples, not {expected}"
        );
        let chi_square: f64 = counts
            .values()
            .map(|count| (count - 20.0).powi(2) / 20.0)
            .sum();
        assert!(
            (chi_square - found).abs() < 6.0 * (2.0 * found).sqrt(),
            "{name} {size}: not equally likely, {chi_square} of {found}"
        );

        let mut nats = 0.0;
        for position in (task.recalled)(size) {
            let distinct = |length: usize| {
                counts
                    .keys()
                    .map(|words| &words[..length])
                    .collect::<BTreeSet<_>>()
                    .len()
            };
            assert_eq!(
                distinct(position),
                distinct(position + 1),
                "{name} {size}: word {position} does not follow from those before it"
            );
            let mut previous = BTreeMap::new();
            let mut pairs = BTreeMap::new();
            for words in counts.keys() {
                *previous.entry(words[position - 1]).or_insert(0.0) += 1.0 / found;
                *pairs
                    .entry([words[position - 1], words[position]])
                    .or_insert(0.0) += 1.0 / found;
            }
            nats += pairs
                .iter()
                .map(|(pair, share)| share * f64::ln(previous[pair[0]] / share))
                .sum::<f64>();
        }
        let expected_nats = (task.nats_without_memory)(size);
        assert!(
            (nats - expected_nats).abs() < 1e-9,
            "{name} {size}: {nats} nats without memory, not {expected_nats}"
        );
    }
}

#[test]
fn probabilities_match_the_entropy() {
    for task in TASKS {
        let drawn = task.draw(task.default_size, 6, 1).expect("drawn");
        let exact = -(task.entropy)(task.default_size) / LN_10;
        assert_eq!(drawn.log10_probabilities, [exact; 6]);
        let perplexity = ((task.entropy)(task.default_size)
            / ((task.words)(task.default_size) + 1) as f64)
            .exp();
        assert!(
            (drawn.perplexity_of_last(6) - perplexity).abs() < 1e-12 * perplexity,
            "{}",
            task.name
        );
    }
}

#[test]
fn documented_figures_are_exact() {
    for (name, figure) in [
        ("copy", 10.397),
        ("adding", 2.079),
        ("binary-addition", 5.242),
    ] {
        let exact = (task(name).nats_without_memory)(task(name).default_size);
        assert!((exact - figure).abs() < 5e-4, "{name}: {exact}");
    }
}

#[test]
fn invalid_sizes_are_rejected() {
    for task in TASKS {
        for (size, examples) in [
            (task.min_size - 1, 1),
            (task.min_size, 0),
            (usize::MAX, 1),
            (usize::MAX, usize::MAX),
            (5, MAX_WORDS),
        ] {
            let error = task.draw(size, examples, 1).expect_err("rejected");
            assert!(matches!(error, Error::InvalidConfig { .. }), "{error}");
        }
        task.draw(task.min_size, 1, 1)
            .expect("the minimum size is valid");
    }
}
