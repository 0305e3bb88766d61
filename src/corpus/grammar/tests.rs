//! Tests of the notation, the sampler, the inside algorithm and the built-in grammar.

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::*;

fn english() -> Grammar {
    Grammar::builtin().expect("the built-in grammar parses")
}

fn split(sentence: &str) -> Vec<&str> {
    sentence.split_whitespace().collect()
}

#[test]
fn builtin_grammar_has_a_few_hundred_sorted_words() {
    let grammar = english();
    let words = grammar.words();
    assert!((220..=320).contains(&words.len()), "{} words", words.len());
    assert!(words.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        words
            .iter()
            .all(|word| word.chars().all(|c| c.is_ascii_lowercase()))
    );
    // A word that occurs in two categories could make the grammar ambiguous.
    let mut uses = vec![0; words.len()];
    for category in &grammar.categories {
        for alternative in &category.alternatives {
            if let [Symbol::Word(word)] = alternative.symbols[..] {
                uses[word] += 1;
            }
        }
    }
    let twice: Vec<_> = words
        .iter()
        .zip(uses)
        .filter(|(_, uses)| *uses > 1)
        .collect();
    assert_eq!(twice, [(&"the".to_owned(), 2)]);
}

#[test]
fn sampled_sentences_have_one_derivation_of_the_same_probability() {
    let grammar = english();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..2_000 {
        let sentence = grammar.sample(&mut random);
        assert_eq!(grammar.derivations(&sentence.words), 1, "{sentence}");
        let inside = grammar
            .log10_probability(&sentence.words)
            .expect("it has a derivation");
        let drawn = sentence.log10_probability;
        assert!(
            (inside - drawn).abs() <= 1e-9 * drawn.abs(),
            "{sentence}: {inside} {drawn}"
        );
    }
}

#[test]
fn grammatical_sentences_have_one_derivation() {
    let grammar = english();
    for sentence in [
        "the dogs who the cat chases bark",
        "the boy who sees girls runs",
        "mary says that the boys run",
        "john and mary sleep",
        "the girls near the dog laugh",
        "the boy who the girls who the man sees chase often sleeps",
        "the books which the boy reads fall"
            .replace("reads", "finds")
            .as_str(),
        "today the child who thinks that the king draws paints a picture",
        "the letter which the doctors steal burns",
        "dogs hunt",
        "dogs hunt cats",
    ] {
        assert_eq!(grammar.derivations(&split(sentence)), 1, "{sentence}");
        assert!(
            grammar
                .log10_probability(&split(sentence))
                .is_some_and(|log| log < 0.0)
        );
    }
}

#[test]
fn ungrammatical_sentences_have_no_derivation() {
    let grammar = english();
    for sentence in [
        // Agreement in number.
        "the dog bark",
        "the dogs who the cat chases barks",
        "the dogs who the cat chase bark",
        "the boy who sees girls run",
        "the boy who see girls runs",
        "the girls near the dog laughs",
        "john and mary sleeps",
        "mary says that the boys runs",
        "the boy who the girls who the man sees chase often sleep",
        "every dogs bark",
        // A missing object, or two objects.
        "the boys chase",
        "the boys sleep the girl",
        "the dogs who the cat chases mary bark",
        "the dogs who the cat hears mary bark",
        "the dogs who the cat sleeps bark",
        "mary says",
        // Animate and inanimate nouns.
        "the boys chase the lamp",
        "the boys hold the girl",
        "the lamp sleeps",
        "the lamp who falls burns",
        // Incomplete, unknown words, empty.
        "the dogs who the cat chases",
        "the zebra barks",
        "",
    ] {
        assert_eq!(grammar.derivations(&split(sentence)), 0, "{sentence}");
        assert_eq!(
            grammar.log10_probability(&split(sentence)),
            None,
            "{sentence}"
        );
    }
}

#[test]
fn expectations_match_sample_means() {
    let grammar = english();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let count = 40_000;
    let (mut words, mut log10_probability) = (0, 0.0);
    for _ in 0..count {
        let sentence = grammar.sample(&mut random);
        words += sentence.words.len();
        log10_probability += sentence.log10_probability;
    }
    let mean = words as f64 / f64::from(count);
    let expected = grammar.expected_length();
    // The standard deviation of a length is about 4.5, so that of this mean is about 0.02.
    assert!((mean - expected).abs() < 0.1, "{mean} {expected}");
    assert!((6.0..9.0).contains(&expected), "{expected}");
    let perplexity = 10f64.powf(-log10_probability / (words as f64 + f64::from(count)));
    assert!(
        (perplexity / grammar.perplexity() - 1.0).abs() < 0.01,
        "{perplexity}"
    );
}

#[test]
fn expectations_of_small_grammars_are_exact() {
    // m = 2 + m / 4 for B, and A adds one word; B is expanded 4/3 times on average.
    let grammar = Grammar::parse("A -> x B\nB -> y z [3] | y z B").expect("it is valid");
    let length = 1.0 + 8.0 / 3.0;
    assert!((grammar.expected_length() - length).abs() < 1e-12);
    let entropy = -(0.75 * f64::log10(0.75) + 0.25 * f64::log10(0.25)) * 4.0 / 3.0;
    assert!((grammar.perplexity() - 10f64.powf(entropy / (length + 1.0))).abs() < 1e-12);
    // Eight equally likely words and a certain boundary.
    let grammar = Grammar::parse("A -> a | b | c | d | e | f | g | h").expect("it is valid");
    assert!((grammar.perplexity() - 8f64.sqrt()).abs() < 1e-12);
}

#[test]
fn the_seed_determines_the_sentences() {
    let grammar = english();
    let draw = |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..50)
            .map(|_| grammar.sample(&mut random).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn frequencies_follow_the_weights() {
    let grammar = Grammar::parse("A -> x [5] | y [3] | z z [2]").expect("it is valid");
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut counts = HashMap::new();
    for _ in 0..20_000 {
        *counts
            .entry(grammar.sample(&mut random).to_string())
            .or_insert(0) += 1;
    }
    for (sentence, share) in [("x", 0.5), ("y", 0.3), ("z z", 0.2)] {
        // Four standard deviations of 20,000 draws are below 0.015.
        assert!(
            (f64::from(counts[sentence]) / 20_000.0 - share).abs() < 0.015,
            "{counts:?}"
        );
        let log10 = grammar
            .log10_probability(&split(sentence))
            .expect("it has a derivation");
        assert!((log10 - f64::log10(share)).abs() < 1e-12);
    }
    assert_eq!(counts.len(), 3);
}

#[test]
fn derivations_and_probabilities_add_up_in_an_ambiguous_grammar() {
    // n words have Catalan(n - 1) bracketings, each of probability 0.25^(n-1) 0.75^n.
    let grammar = Grammar::parse("A -> A A | x [3]").expect("it is valid");
    for (count, ways) in [(1, 1), (2, 1), (3, 2), (4, 5), (5, 14), (12, 58_786)] {
        let sentence = vec!["x"; count];
        assert_eq!(grammar.derivations(&sentence), ways);
        let each = 0.25f64.log10() * (count - 1) as f64 + 0.75f64.log10() * count as f64;
        let log10 = grammar
            .log10_probability(&sentence)
            .expect("it has a derivation");
        assert!((log10 - each - (ways as f64).log10()).abs() < 1e-12);
    }
    assert_eq!(grammar.derivations(&["x"; 60]), u64::MAX);
    // Chains of categories that do not follow the order of the text, and alternatives of four
    // symbols.
    let text = "A -> B | w x y z\nB -> C | D\nC -> D\nD -> x y z | B z [0.5] # and B again";
    let grammar = Grammar::parse(text);
    assert!(matches!(grammar, Ok(ref valid) if valid.derivations(&["x", "y", "z"]) == 2));
    assert!(matches!(grammar, Ok(ref valid) if valid.derivations(&["w", "x", "y", "z"]) == 1));
    assert!(matches!(grammar, Ok(ref valid) if valid.derivations(&["x", "y", "z", "z"]) == 4));
}

#[test]
fn invalid_grammars_are_reported() {
    let name = |name: &str| name.to_owned();
    let weight = |line, value: &str| GrammarError::Weight {
        line,
        value: name(value),
        category: name("A"),
    };
    let category = |line, text: &str| GrammarError::CategoryName {
        line,
        name: name(text),
    };
    let not_a_rule = |line, text: &str| GrammarError::NotARule {
        line,
        text: name(text),
    };
    let empty = |line| GrammarError::EmptyAlternative {
        line,
        category: name("A"),
    };
    for (text, error) in [
        ("", GrammarError::Empty),
        ("# nothing\n\n", GrammarError::Empty),
        ("A -> x\nhello there", not_a_rule(2, "hello there")),
        ("| x\nA -> y", not_a_rule(1, "| x")),
        ("A -> x B -> y", not_a_rule(1, "A -> x B -> y")),
        ("a -> x", category(1, "a")),
        ("A B -> x", category(1, "A B")),
        (" -> x", category(1, "")),
        ("A -> ", empty(1)),
        ("A -> x\n| y |", empty(2)),
        ("A -> [2]", empty(1)),
        ("A -> x [0]", weight(1, "[0]")),
        ("A -> x\n| y [-2]", weight(2, "[-2]")),
        ("A -> x [NaN]", weight(1, "[NaN]")),
        ("A -> x [inf]", weight(1, "[inf]")),
        ("A -> x [1e-9]", weight(1, "[1e-9]")),
        ("A -> x [2", weight(1, "[2")),
        ("A -> x [2] y", weight(1, "[2]")),
        ("A -> x[2]", weight(1, "x[2]")),
        (
            "A -> x\n\nA -> y",
            GrammarError::DuplicateCategory {
                line: 3,
                name: name("A"),
                first_line: 1,
            },
        ),
        (
            "A -> x\n| B",
            GrammarError::UndefinedCategory {
                line: 2,
                name: name("B"),
            },
        ),
        (
            "A -> x\nB -> y B | z",
            GrammarError::UnreachableCategory {
                line: 2,
                name: name("B"),
                start: name("A"),
            },
        ),
        (
            "A -> x | B\nB -> C\nC -> B | y",
            GrammarError::Cycle {
                line: 2,
                name: name("B"),
            },
        ),
        (
            "A -> A [1] | x [9]",
            GrammarError::Cycle {
                line: 1,
                name: name("A"),
            },
        ),
    ] {
        let found = Grammar::parse(text).expect_err(text);
        assert_eq!(found, error, "{text}");
        assert!(!found.to_string().is_empty());
    }
}

#[test]
fn grammars_with_infinite_sentences_are_rejected() {
    for (text, line, expected) in [
        ("A -> x A A [3] | y [2]", 1, 1.2),
        ("A -> A A | x", 1, 1.0),
        ("A -> x B\nB -> y B", 2, 1.0),
        ("A -> x | y B\nB -> A A A A A A | z", 2, 1.5),
    ] {
        match Grammar::parse(text) {
            Err(GrammarError::Endless {
                line: found,
                offspring,
                ..
            }) => {
                assert_eq!(found, line, "{text}");
                assert!((offspring - expected).abs() < 1e-9, "{text}: {offspring}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}
