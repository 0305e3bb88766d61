//! Networks of the reference in the files of rnnlm.

use crate::reference::generator::Generator;
use crate::reference::kernels::Activation;
use crate::reference::masks::Masks;
use crate::reference::network::{Architecture, Network, Window};
use crate::reference::outputs::{Direct, Output};
use crate::reference::penalties::Penalties;

/// A network with everything that an rnnlm file contains.
pub struct TestModel {
    pub network: Network,
    pub independent: bool,
    /// The hidden layer's state.
    pub state: Vec<f64>,
}

/// The sizes of a generated model, in the order of [`CASES`].
pub struct Case {
    /// The number of words in each class; some are empty.
    pub classes: &'static [usize],
    pub hidden: usize,
    pub compression: usize,
    pub direct: Option<Direct>,
    pub independent: bool,
    pub is_binary: bool,
}

pub const CASES: &[Case] = &[
    Case {
        classes: &[9],
        hidden: 1,
        compression: 0,
        direct: None,
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[1, 3, 7],
        hidden: 5,
        compression: 0,
        direct: None,
        independent: false,
        is_binary: true,
    },
    Case {
        classes: &[2, 0, 3, 0, 4],
        hidden: 6,
        compression: 0,
        direct: None,
        independent: true,
        is_binary: false,
    },
    Case {
        classes: &[2, 2, 5],
        hidden: 4,
        compression: 3,
        direct: None,
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[1, 1, 1, 1],
        hidden: 3,
        compression: 7,
        direct: None,
        independent: true,
        is_binary: true,
    },
    Case {
        classes: &[2, 4, 4],
        hidden: 5,
        compression: 0,
        direct: direct(320, 1),
        independent: false,
        is_binary: true,
    },
    Case {
        classes: &[2, 4, 0, 4],
        hidden: 5,
        compression: 0,
        direct: direct(64, 4),
        independent: false,
        is_binary: false,
    },
    Case {
        classes: &[3, 0, 5],
        hidden: 4,
        compression: 2,
        direct: direct(960, 6),
        independent: true,
        is_binary: true,
    },
    Case {
        classes: &[0, 3, 5, 0],
        hidden: 4,
        compression: 0,
        direct: direct(32, 20),
        independent: true,
        is_binary: false,
    },
];

pub const fn direct(size: usize, order: usize) -> Option<Direct> {
    Some(Direct { size, order })
}

impl TestModel {
    /// Draws the parameters; those of a text file have four decimals.
    pub fn new(case: &Case, seed: u64) -> Self {
        let architecture = Architecture {
            activation: Activation::RnnlmSigmoid,
            vocab_size: case.classes.iter().sum(),
            hidden_sizes: vec![case.hidden],
            compression_size: case.compression,
            output: Output::Class {
                sizes: case.classes.to_vec(),
                direct: case.direct,
            },
            ..Architecture::default()
        };
        let mut network = Network::new(architecture, seed, 2.0);
        let mut state: Vec<f64> = network.random_states(seed + 1, 1, 0.5)[0]
            .iter()
            .map(|value| value + 0.5)
            .collect();
        if !case.is_binary {
            let four_decimals = |value: &mut f64| {
                *value = f64::from(format!("{value:.4}").parse::<f32>().expect("a number"));
            };
            network
                .parameters
                .values_mut()
                .flatten()
                .for_each(four_decimals);
            state.iter_mut().for_each(four_decimals);
        }
        Self {
            network,
            independent: case.independent,
            state,
        }
    }

    pub fn vocab_size(&self) -> usize {
        self.network.architecture.vocab_size
    }

    /// The word with an index. `<unk>` is a word like any other.
    pub fn word(&self, number: usize) -> String {
        ["</s>", "<unk>"]
            .get(number)
            .map_or_else(|| format!("w{number}"), |&word| word.to_owned())
    }

    /// The file as rnnlm would write it.
    pub fn file(&self, is_binary: bool) -> Vec<u8> {
        let a = &self.network.architecture;
        let Output::Class { sizes, direct } = &a.output else {
            panic!("rnnlm has classes")
        };
        let (words, hidden, classes) = (a.vocab_size, a.hidden_sizes[0], sizes.len());
        let mut head = format!(
            "version: 10\nfile format: {}\n\ntraining data file: train: one.txt\nvalidation data \
             file: valid.txt\n\n\
             last probability of validation data: -123.456\nnumber of finished iterations: 7\n\
             input layer size: {}\nhidden layer size: {hidden}\n\
             compression layer size: {}\noutput layer size: {}\ndirect connections: {}\ndirect \
             order: {}\nbptt: 5\nbptt block: 10\n\
             vocabulary size: {words}\nclass size: {classes}\nold classes: 0\nindependent \
             sentences mode: {}\n\
             starting learning rate: 0.100000\n\n\nVocabulary:\n",
            u8::from(is_binary),
            words + hidden,
            a.compression_size,
            words + classes,
            direct.map_or(0, |direct| direct.size),
            direct.map_or(3, |direct| direct.order),
            u8::from(self.independent),
        );
        let of_classes = sizes
            .iter()
            .enumerate()
            .flat_map(|(class, &size)| std::iter::repeat_n(class, size));
        for (number, class) in of_classes.enumerate() {
            head += &format!(
                "{number:6}\t{:10}\t{}\t{class}\n",
                100 - number,
                self.word(number)
            );
        }
        let of = |name: &str| {
            self.network
                .parameters
                .get(name)
                .map_or(&[][..], Vec::as_slice)
        };
        let rows = of("rnn.weight_ih_l0")
            .chunks_exact(words)
            .zip(of("rnn.weight_hh_l0").chunks_exact(hidden));
        let input: Vec<f64> = rows
            .flat_map(|(from_words, from_state)| [from_words, from_state].concat())
            .collect();
        let output = [of("decoder.weight"), of("decoder.class_weight")].concat();
        let (compression, last) = if a.compression_size > 0 {
            ("\n\nWeights 1->c:", "\n\nWeights c->2:")
        } else {
            ("", "\n\nWeights 1->2:")
        };
        let mut file = head.into_bytes();
        for (title, numbers) in [
            ("\nHidden layer activation:", self.state.as_slice()),
            ("\nWeights 0->1:", &input),
            (compression, of("compression.weight")),
            (last, &output),
            ("\nDirect connections:", of("direct.weight")),
        ] {
            if is_binary {
                file.extend(
                    numbers
                        .iter()
                        .flat_map(|&number| (number as f32).to_le_bytes()),
                );
            } else if !title.is_empty() {
                file.extend(format!("{title}\n").bytes());
                file.extend(
                    numbers
                        .iter()
                        .flat_map(|number| format!("{number:.4}\n").into_bytes()),
                );
            }
        }
        file
    }

    /// Lines of its words and of unknown ones, as text and as tokens with line endings.
    pub fn text(&self, seed: u64) -> (String, Vec<Option<usize>>) {
        let mut generator = Generator::new(seed);
        let (mut text, mut tokens) = (String::new(), Vec::new());
        for _ in 0..60 {
            for _ in 0..generator.below(9) {
                let token = Some(1 + generator.below(self.vocab_size()))
                    .filter(|&token| token < self.vocab_size());
                text += &format!(
                    "{} ",
                    token.map_or("unheard".to_owned(), |token| self.word(token))
                );
                tokens.push(token);
            }
            text.push('\n');
            tokens.push(Some(0));
        }
        (text, tokens)
    }

    /// The probability of every token by the reference; 0 for an unknown one.
    pub fn probabilities(&self, tokens: &[Option<usize>]) -> Vec<f64> {
        let inputs = std::iter::once(Some(0))
            .chain(tokens.iter().copied())
            .take(tokens.len())
            .collect();
        let independent = self.independent.then_some(1.0);
        let window = Window {
            time_steps: tokens.len(),
            batch: 1,
            inputs,
            targets: tokens.to_vec(),
            independent,
            masks: Masks::default(),
            penalties: Penalties::default(),
        };
        let found = self
            .network
            .forward(&window, std::slice::from_ref(&self.state), 1.0)
            .log_probabilities;
        found
            .iter()
            .zip(tokens)
            .map(|(log, token)| if token.is_some() { log.exp() } else { 0.0 })
            .collect()
    }
}
