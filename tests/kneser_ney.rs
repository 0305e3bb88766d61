//! Kneser-Ney models against the formulas, and rejected texts.

use std::fs;

use elman::ngram::{DiscountOrigin, History, KneserNey, KneserNeyOptions, NgramModel};

use crate::harness::{apply, test};
use crate::ngram::{Desk, Random, agree};
use crate::reference::arpa;

/// A random text, the model estimated from it, and the formulas.
fn estimated(
    order: usize,
    min_counts: &[u32],
    random: &mut Random,
) -> (NgramModel, arpa::KneserNey) {
    // <s> and </s> may each be in the vocabulary, at any index; the last type never occurs.
    let mut types: Vec<String> = (0..2 + random.below(9))
        .map(|number| format!("w{number}"))
        .collect();
    types.extend(["<unk>", "never"].map(str::to_owned));
    let occurring: Vec<String> = types[..types.len() - 1].to_vec();
    for token in ["</s>", "<s>"] {
        if random.below(2) == 0 {
            types.insert(random.below(types.len()), token.to_owned());
        }
    }
    let sentences: Vec<Vec<String>> = (0..1 + random.below(60))
        .map(|_| {
            let word = |random: &mut Random| {
                occurring[random
                    .below(occurring.len())
                    .min(random.below(occurring.len()))]
                .clone()
            };
            (0..random.below(9)).map(|_| word(random)).collect()
        })
        .collect();
    let mut text = KneserNey::new(KneserNeyOptions {
        order,
        min_counts: min_counts.to_vec(),
        ..KneserNeyOptions::default()
    })
    .expect("options");
    for sentence in &sentences {
        let ids = sentence.iter().map(|word| {
            types
                .iter()
                .position(|token| token == word)
                .expect("a type") as u32
        });
        text.add_sentence(&ids.collect::<Vec<_>>())
            .expect("there is room");
    }
    let estimate = text.estimate(&types).expect("a model");
    assert!(
        types
            .iter()
            .enumerate()
            .all(|(id, token)| estimate.model.id(token) == Some(id as u32))
    );
    let start = estimate.model.id("<s>").expect("a context");
    assert_eq!(estimate.model.log10_prob(&History::default(), start), -99.0);
    let all: Vec<String> = (0..estimate.model.vocab_size())
        .map(|id| estimate.model.token(id as u32).to_owned())
        .collect();
    let least: Vec<u64> = min_counts.iter().map(|&count| count.into()).collect();
    let reference = arpa::KneserNey::new(order, &least, &all, &sentences);
    for (found, expected) in estimate.discounts.iter().zip(&reference.discounts) {
        assert!(
            found
                .values
                .iter()
                .zip(expected)
                .all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{found:?} {expected:?}"
        );
    }
    (estimate.model, reference)
}

/// Histories of up to four words, most of which occur.
fn random_history(model: &NgramModel, random: &mut Random) -> (History, Vec<String>) {
    let (mut history, mut words) = (History::default(), Vec::new());
    if random.below(3) > 0 {
        (history, words) = (model.sentence_start(), vec!["<s>".to_owned()]);
    }
    for _ in 0..random.below(5) {
        let id = random
            .below(model.vocab_size())
            .min(random.below(model.vocab_size())) as u32;
        if !["<s>", "</s>"].contains(&model.token(id)) {
            words.push(model.token(id).to_owned());
            history = model.advance(&history, Some(id));
        }
    }
    (history, words)
}

#[apply(test)]
fn estimates_equal_the_formulas() {
    let mut random = Random(6);
    for round in 0..120 {
        let min_counts = [&[][..], &[], &[2], &[1, 2], &[2, 3, 5]][round / 6 % 5];
        let (model, reference) = estimated(1 + round % 6, min_counts, &mut random);
        for _ in 0..40 {
            let (history, words) = random_history(&model, &mut random);
            let id = random.below(model.vocab_size()) as u32;
            if model.token(id) != "<s>" {
                let (found, expected) = (
                    model.log10_prob(&history, id),
                    reference.probability(&words, model.token(id)).log10(),
                );
                assert!(
                    (found - expected).abs() < 2e-6,
                    "round {round}: {words:?} {}: {found}, {expected}",
                    model.token(id)
                );
            }
        }
    }
}

#[apply(test)]
fn distributions_sum_to_one() {
    let mut random = Random(7);
    for round in 0..60 {
        let min_counts = [&[][..], &[2, 3]][round % 2];
        let (model, _) = estimated(1 + round % 5, min_counts, &mut random);
        for _ in 0..50 {
            let (history, words) = random_history(&model, &mut random);
            let types = (0..model.vocab_size() as u32).filter(|&id| model.token(id) != "<s>");
            let sum: f64 = types
                .map(|id| 10_f64.powf(model.log10_prob(&history, id)))
                .sum();
            assert!((sum - 1.0).abs() < 1e-5, "round {round}: {words:?}: {sum}");
        }
    }
}

#[apply(test)]
fn estimates_are_reproducible() {
    let desk = Desk::new();
    let vocabulary: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let mut random = Random(8);
    let mut sentences: Vec<Vec<u32>> = (0..300)
        .map(|_| {
            (0..random.below(12))
                .map(|_| random.below(50) as u32)
                .collect()
        })
        .collect();
    let mut files = Vec::new();
    for _ in 0..2 {
        let mut text = KneserNey::new(KneserNeyOptions {
            order: 4,
            ..KneserNeyOptions::default()
        })
        .expect("an order");
        sentences
            .iter()
            .for_each(|sentence| text.add_sentence(sentence).expect("there is room"));
        let model = text.estimate(&vocabulary).expect("a model").model;
        for name in ["model", "model.gz"] {
            model.write(&desk.path(name)).expect("a written model");
            files.push(fs::read(desk.path(name)).expect("a file"));
        }
        // Sentences are independent, so their order does not matter.
        sentences.reverse();
    }
    assert!(files[0] == files[2] && files[1] == files[3]);
}

#[apply(test)]
fn estimates_survive_a_round_trip() {
    let desk = Desk::new();
    let (model, _) = estimated(4, &[], &mut Random(4));
    model.write(&desk.path("one")).expect("a written model");
    let again = NgramModel::read(&desk.path("one")).expect("a model");
    again.write(&desk.path("other")).expect("a written model");
    let texts = ["one", "other"].map(|name| fs::read_to_string(desk.path(name)).expect("a file"));
    assert!(texts[0] == texts[1]);
    assert_eq!(
        again.bytes(),
        NgramModel::read(&desk.path("other"))
            .expect("a model")
            .bytes()
    );
    agree(&model, &arpa::Arpa::read(&texts[0]), &mut Random(5), "");
}

#[apply(test)]
fn rejected_texts() {
    let vocabulary = ["a", "</s>", "b"].map(str::to_owned);
    let begin = |options| KneserNey::new(options).map_err(|error| error.to_string());
    let default = KneserNeyOptions::default;
    assert!(
        begin(KneserNeyOptions {
            order: 0,
            ..default()
        })
        .expect_err("no order")
        .contains("`order` = 0")
    );
    assert!(
        begin(KneserNeyOptions {
            order: 65,
            ..default()
        })
        .expect_err("no order")
        .contains("1 to 64")
    );
    assert!(
        begin(KneserNeyOptions {
            min_counts: vec![2, 1],
            ..default()
        })
        .expect_err("falling")
        .contains("2 to 1")
    );
    let refuse = |words: &[u32], vocabulary: &[String], part: &str| {
        let mut text = begin(default()).expect("an order");
        text.add_sentence(words).expect("there is room");
        let error = text
            .estimate(vocabulary)
            .map(|_| ())
            .expect_err(part)
            .to_string();
        assert!(error.contains(part), "{error}");
    };
    refuse(&[0, 3], &vocabulary, "word id 3");
    refuse(&[4, 0], &vocabulary, "word id 4");
    let error = begin(default())
        .expect("an order")
        .add_sentence(&[0, u32::MAX])
        .expect_err("no word")
        .to_string();
    assert!(error.contains("word id 4294967295"), "{error}");
    refuse(&[0, 1], &vocabulary, "\"</s>\" inside a sentence");
    refuse(
        &[0],
        &["a", "b", "a"].map(str::to_owned),
        "\"a\": it occurs twice",
    );
    assert!(
        begin(default())
            .expect("an order")
            .estimate(&vocabulary)
            .is_err(),
        "there is no sentence"
    );
    // The smallest text: one empty sentence.
    let mut text = begin(default()).expect("an order");
    text.add_sentence(&[]).expect("there is room");
    let estimate = text.estimate(&vocabulary).expect("a model");
    assert!(
        estimate
            .discounts
            .iter()
            .all(|discounts| discounts.origin == DiscountOrigin::Fixed)
    );
    // Memory limits: the words fit in 12 bytes each or do not; then their n-grams do not.
    let mut text = begin(KneserNeyOptions {
        memory: 12 * 5,
        ..default()
    })
    .expect("an order");
    text.add_sentence(&[0, 2, 0]).expect("there is room");
    let error = text
        .add_sentence(&[])
        .expect_err("there is no room")
        .to_string();
    assert!(
        error.contains("7 words") && error.contains("60 bytes") && error.contains("order 5"),
        "{error}"
    );
    let error = text
        .estimate(&vocabulary)
        .map(|_| ())
        .expect_err("there is no room")
        .to_string();
    assert!(
        error.contains("5 words") && error.contains("n-grams so far"),
        "{error}"
    );
    // 14 n-grams of 20 bytes each, and 4 n-grams of one order of 32 bytes more during its
    // estimation.
    let smallest = |memory| {
        let mut text = begin(KneserNeyOptions {
            memory,
            ..default()
        })
        .expect("an order");
        text.add_sentence(&[0, 2, 0]).expect("there is room");
        text.estimate(&vocabulary)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let error = smallest(14 * 20 + 4 * 32 - 1).expect_err("there is no room");
    assert!(
        error.contains("14 n-grams") && error.contains("407 bytes"),
        "{error}"
    );
    smallest(14 * 20 + 4 * 32).expect("there is room");
}
