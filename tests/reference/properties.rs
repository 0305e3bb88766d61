//! Properties of the reference's kernels, random numbers and updates that neither finite
//! differences nor PyTorch's values can check.

use super::generator::Generator;
use super::kernels::{
    Activation, Matmul, add_bias, column_sums, gather, one_hot, scatter_add, softmax,
    softmax_cross_entropy, sum, sum_of_squares,
};
use super::masks::{Draw, multiplier, sites, threefry};
use super::network::Window;
use super::optimizers::{Optimizer, Rule, decay};
use crate::harness::{apply, test};

/// Demands every value within 1e-13, absolute and relative.
///
/// # Panics
/// If one is not.
pub fn check(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        // Written so that NaN fails.
        assert!(
            (got - want).abs() <= 1e-13 * (1.0 + want.abs()) && want.is_finite(),
            "{what}[{i}] is {got:e} instead of {want:e}"
        );
    }
}

/// All four transpositions of the factors, and accumulation.
#[apply(test)]
fn check_matmul() {
    // [1 2 3; 4 5 6] times [1 -1; 0 2; 3 1], by hand.
    let (left, left_transposed) = (
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
    );
    let (right, right_transposed) = (
        [1.0, -1.0, 0.0, 2.0, 3.0, 1.0],
        [1.0, 0.0, 3.0, -1.0, 2.0, 1.0],
    );
    let want = [10.0, 6.0, 22.0, 12.0];
    for (transpose_left, left) in [(false, left), (true, left_transposed)] {
        for (transpose_right, right) in [(false, right), (true, right_transposed)] {
            let matmul = Matmul {
                m: 2,
                n: 2,
                k: 3,
                transpose_left,
                transpose_right,
            };
            let mut output = matmul.product(&left, &right);
            check("product", &output, &want);
            matmul.accumulate(&left, &right, &mut output);
            check("accumulated", &output, &want.map(|value| 2.0 * value));
        }
    }
}

/// Looking rows up, and its gradient, against the products that define them.
#[apply(test)]
fn check_gather_and_scatter_add() {
    let (vocab_size, columns) = (5, 3);
    let tokens = [Some(4), None, Some(0), Some(4), Some(2), Some(4)];
    let mut generator = Generator::new(1);
    let table = generator.vector(vocab_size * columns, 1.0);
    let words = one_hot(&tokens, vocab_size);
    let product = Matmul {
        m: tokens.len(),
        n: columns,
        k: vocab_size,
        transpose_left: false,
        transpose_right: false,
    };
    check(
        "gather is the product with one-hot vectors",
        &gather(&table, columns, &tokens),
        &product.product(&words, &table),
    );

    let values = generator.vector(tokens.len() * columns, 1.0);
    let mut want = table.clone();
    Matmul {
        m: vocab_size,
        n: columns,
        k: tokens.len(),
        transpose_left: true,
        transpose_right: false,
    }
    .accumulate(&words, &values, &mut want);
    let mut got = table;
    scatter_add(&mut got, columns, &tokens, &values);
    check(
        "scatter_add is the product with one-hot vectors transposed",
        &got,
        &want,
    );
}

/// Sums by hand.
#[apply(test)]
fn check_sums() {
    let mut values = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
    check("sum", &[sum(&values)], &[5.0]);
    check("sum of squares", &[sum_of_squares(&values)], &[91.0]);
    check("column sums", &column_sums(&values, 3), &[5.0, 3.0, -3.0]);
    add_bias(&mut values, &[10.0, 20.0, 30.0]);
    check("bias", &values, &[11.0, 18.0, 33.0, 14.0, 25.0, 24.0]);
}

/// Values by hand, also at both extremes; derivatives by differences.
#[apply(test)]
fn check_activations() {
    check(
        "sigmoid",
        &[0.0, 3.0_f64.ln(), -1000.0, 1000.0].map(|z| Activation::Sigmoid.value(z)),
        &[0.5, 0.75, 0.0, 1.0],
    );
    check(
        "tanh",
        &[0.0, 3.0_f64.ln(), -1000.0, 1000.0].map(|z| Activation::Tanh.value(z)),
        &[0.0, 0.8, -1.0, 1.0],
    );
    check(
        "relu",
        &[0.0, 2.5, -2.5].map(|z| Activation::Relu.value(z)),
        &[0.0, 2.5, 0.0],
    );
    check(
        "relu's derivative",
        &[0.0, 2.5].map(|y| Activation::Relu.derivative(y)),
        &[0.0, 1.0],
    );
    for (name, activation) in Activation::TABLE {
        for z in [-3.0, -0.7, 0.4, 2.0] {
            let difference = (activation.value(z + 1e-5) - activation.value(z - 1e-5)) / 2e-5;
            let derivative = activation.derivative(activation.value(z));
            assert!(
                (derivative - difference).abs() <= 1e-9,
                "{name}: derivative at {z} is {derivative}, by differences {difference}"
            );
        }
    }
}

/// Probabilities, loss and gradient by hand; logits far beyond the range of e^z.
#[apply(test)]
fn check_softmax() {
    let logits = [1.0_f64, 2.0, 5.0].map(f64::ln);
    check("softmax", &softmax(&logits), &[0.125, 0.25, 0.625]);
    let (loss, gradient) = softmax_cross_entropy(&logits, Some(1), 2.0);
    check("loss", &[loss], &[4.0_f64.ln()]);
    check("gradient", &gradient, &[0.25, -1.5, 1.25]);
    check(
        "no target",
        &softmax_cross_entropy(&logits, None, 2.0).1,
        &[0.0; 3],
    );
    assert_eq!(
        softmax_cross_entropy(&logits, None, 2.0).0,
        0.0,
        "loss without a target"
    );
    for shift in [-1e4, 1e4] {
        // ln and the shift round: what is left is 1e4 times the last bit.
        let shifted = softmax(&logits.map(|z| z + shift));
        assert!(
            shifted
                .iter()
                .zip([0.125, 0.25, 0.625])
                .all(|(got, want)| (got - want).abs() < 1e-11),
            "{shifted:?} after {shift}"
        );
    }
    check(
        "a share too small for f64",
        &[softmax_cross_entropy(&[0.0, 1e4], Some(0), 1.0).0],
        &[1e4],
    );
}

/// The published stream, and values that f32 holds exactly.
#[apply(test)]
fn check_generator() {
    // The first numbers of SplitMix64 from the seed 1234567, as its author publishes them.
    let mut generator = Generator::new(1_234_567);
    assert_eq!(
        [generator.next(), generator.next()],
        [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
    );
    let numbers = generator.vector(1000, 0.3);
    assert!(
        numbers
            .iter()
            .all(|&number| (-0.3..=0.3).contains(&number) && f64::from(number as f32) == number)
    );
    assert!(
        sum(&numbers).abs() < 20.0 && sum_of_squares(&numbers) > 20.0,
        "spread over the whole range"
    );
}

/// Windows have the properties that the other tests rely on.
#[apply(test)]
fn check_random_windows() {
    let windows: Vec<Window> = (0..8)
        .map(|seed| Window::random(seed, 5, 3, 7, None))
        .collect();
    let all = |tokens: fn(&Window) -> &[Option<usize>], token| {
        windows.iter().all(|window| tokens(window).contains(&token))
    };
    let any = |tokens: fn(&Window) -> &[Option<usize>], token| {
        windows.iter().any(|window| tokens(window).contains(&token))
    };
    assert!(
        all(|window| &window.inputs, Some(0)),
        "a boundary among the inputs of every window"
    );
    assert!(
        any(|window| &window.inputs, None) && any(|window| &window.targets, None),
        "missing words"
    );
    assert!(windows.iter().any(
        |window| window.inputs[3..].contains(&Some(0)) && window.inputs[..3].contains(&Some(0))
    ));
    assert!(windows.iter().all(|window| window.targets[0].is_some()));
    assert_eq!(
        windows[0].predicted(),
        windows[0]
            .targets
            .iter()
            .filter(|target| target.is_some())
            .count()
    );
}

/// The known answers that the authors of Threefry publish.
#[apply(test)]
fn check_threefry() {
    for (key, counter, want) in [
        ([0; 2], [0; 2], [0x6B20_0159, 0x99BA_4EFE]),
        ([u32::MAX; 2], [u32::MAX; 2], [0x1CB9_96FC, 0xBB00_2BE7]),
        (
            [0x1319_8A2E, 0x0370_7344],
            [0x243F_6A88, 0x85A3_08D3],
            [0xC492_3A9C, 0x483D_F7A0],
        ),
    ] {
        assert_eq!(
            threefry(key, counter),
            want,
            "key {key:x?}, counter {counter:x?}"
        );
    }
}

/// Dropped elements, by the generator's values; kept ones, by hand; both extremes of the rates.
#[apply(test)]
fn check_multipliers() {
    for (seed, site, draw, index) in [(0, 0, 0, 0), (1, 2, 3, 4), (u32::MAX, 5, 9, 1 << 31)] {
        let share = f64::from(threefry([seed, site], [index, draw])[0]) / 2.0_f64.powi(32);
        // The threshold is the first value that is kept.
        for (rate, want) in [
            (share, 1.0 / (1.0 - share)),
            (share + 2.0_f64.powi(-32), 0.0),
            (0.0, 1.0),
        ] {
            let got = multiplier(seed, site, draw, index, rate);
            assert!(
                (got - want).abs() <= 1e-7 * want,
                "{seed} {site} {draw} {index} at rate {rate}: {got}"
            );
        }
    }
    let kept = |rate: f64| {
        (0..)
            .map(|index| multiplier(7, 0, 0, index, rate))
            .find(|&value| value > 0.0)
            .expect("something is kept")
    };
    assert_eq!([0.0, 0.5, 0.75].map(kept), [1.0, 2.0, 4.0]);
    assert_eq!(
        [0.1, 0.3].map(kept),
        [1.0 / 0.9_f32, 1.0 / 0.7_f32].map(f64::from),
        "what f32 holds of 1 / (1 - p)"
    );
}

/// Masks drop at the given rate, repeat what must repeat, and differ where anything else differs.
#[apply(test)]
fn check_masks() {
    let draw = Draw {
        seed: 11,
        site: sites::output(1),
        draw: 3,
        rate: 0.3,
    };
    let elements = draw.elements(20_000);
    let dropped = elements.iter().filter(|&&value| value == 0.0).count();
    // Six standard deviations of a binomial distribution.
    assert!(
        (dropped as f64 - 6000.0).abs() < 6.0 * (20_000.0 * 0.3 * 0.7_f64).sqrt(),
        "{dropped} dropped"
    );
    assert!(
        elements
            .iter()
            .enumerate()
            .all(|(index, &value)| value == multiplier(11, 4, 3, index as u32, 0.3)),
        "index and position"
    );

    let streams = draw.streams(3, 2, 5);
    assert_eq!(streams, elements[..10].repeat(3), "the same for all steps");
    let words = draw.words(&[Some(7), None, Some(0), Some(7)]);
    assert_eq!(
        words,
        [elements[7], 1.0, elements[0], elements[7]],
        "the same for the same word"
    );

    let others = [
        Draw { seed: 12, ..draw },
        Draw {
            site: sites::weight(1),
            ..draw
        },
        Draw { draw: 4, ..draw },
    ];
    assert!(
        others
            .iter()
            .all(|other| other.elements(100) != elements[..100]),
        "seed, site and draw"
    );
    let numbers = [
        sites::WORDS,
        sites::INPUT,
        sites::output(0),
        sites::weight(0),
        sites::output(1),
        sites::weight(1),
    ];
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5], "sites");
}

/// Weight decay by hand, alone and within an update.
#[apply(test)]
fn check_decay() {
    let mut parameter = [2.0, -4.0];
    decay(&mut parameter, 0.1, 0.5);
    check("decay", &parameter, &[1.9, -3.8]);
    // Scale comes before the update and sees neither the gradient nor its clipping: 2 (1 - 0.1 *
    // 0.5) - 0.1 * 3 * 1 / (3 + 1e-6).
    let one = |value: f64| [("w".to_string(), vec![value])].into_iter().collect();
    let mut parameters = one(2.0);
    let mut optimizer = Optimizer::new(Rule::Sgd, 0.1, Some(1.0), 0.5);
    check(
        "norm",
        &[optimizer.update(&mut parameters, &one(-3.0))],
        &[3.0],
    );
    check("update", &parameters["w"], &[1.9 + 0.3 / (3.0 + 1e-6)]);
}
