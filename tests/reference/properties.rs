//! What must hold of the reference and what neither finite differences nor PyTorch's numbers can see.

use super::Test;
use super::generator::Generator;
use super::kernels::{
    Activation, Matmul, add_bias, column_sums, gather, one_hot, scatter_add, softmax, softmax_cross_entropy, sum, sum_of_squares,
};
use super::network::{Architecture, Network, Window};
use super::optimizers::{Optimizer, Rule, decay};

/// All of them.
pub fn tests() -> Vec<Test> {
    let table: [(&str, fn()); 12] = [
        ("matmul", check_matmul),
        ("gather_and_scatter_add", check_gather_and_scatter_add),
        ("sums", check_sums),
        ("activations", check_activations),
        ("softmax", check_softmax),
        ("generator", check_generator),
        ("random_windows", check_random_windows),
        ("one_step_by_hand", check_one_step_by_hand),
        ("two_windows_are_one", check_two_windows_are_one),
        ("streams_are_alone", check_streams_are_alone),
        ("independent_sentences", check_independent_sentences),
        ("decay", check_decay),
    ];
    table
        .into_iter()
        .map(|(name, test)| (format!("reference::properties::{name}"), Box::new(test) as Box<dyn Fn() + Send + Sync>))
        .collect()
}

/// Demands every number within 1e-13, absolute and relative.
fn check(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        // Written so that NaN fails.
        assert!((got - want).abs() <= 1e-13 * (1.0 + want.abs()) && want.is_finite(), "{what}[{i}] is {got:e} instead of {want:e}");
    }
}

/// All four ways to turn the factors over, and accumulation.
fn check_matmul() {
    // [1 2 3; 4 5 6] times [1 -1; 0 2; 3 1], by hand.
    let (left, left_turned) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let (right, right_turned) = ([1.0, -1.0, 0.0, 2.0, 3.0, 1.0], [1.0, 0.0, 3.0, -1.0, 2.0, 1.0]);
    let want = [10.0, 6.0, 22.0, 12.0];
    for (transpose_left, left) in [(false, left), (true, left_turned)] {
        for (transpose_right, right) in [(false, right), (true, right_turned)] {
            let matmul = Matmul { m: 2, n: 2, k: 3, transpose_left, transpose_right };
            let mut output = matmul.product(&left, &right);
            check("product", &output, &want);
            matmul.accumulate(&left, &right, &mut output);
            check("accumulated", &output, &want.map(|value| 2.0 * value));
        }
    }
}

/// Looking up and its gradient against the products that they stand for.
fn check_gather_and_scatter_add() {
    let (vocab_size, columns) = (5, 3);
    let tokens = [Some(4), None, Some(0), Some(4), Some(2), Some(4)];
    let mut generator = Generator::new(1);
    let table = generator.vector(vocab_size * columns, 1.0);
    let words = one_hot(&tokens, vocab_size);
    let product = Matmul { m: tokens.len(), n: columns, k: vocab_size, transpose_left: false, transpose_right: false };
    check("gather is the product with one-hot vectors", &gather(&table, columns, &tokens), &product.product(&words, &table));

    let values = generator.vector(tokens.len() * columns, 1.0);
    let mut want = table.clone();
    Matmul { m: vocab_size, n: columns, k: tokens.len(), transpose_left: true, transpose_right: false }
        .accumulate(&words, &values, &mut want);
    let mut got = table;
    scatter_add(&mut got, columns, &tokens, &values);
    check("scatter_add is the product with one-hot vectors turned over", &got, &want);
}

/// Sums by hand.
fn check_sums() {
    let mut values = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
    check("sum", &[sum(&values)], &[5.0]);
    check("sum of squares", &[sum_of_squares(&values)], &[91.0]);
    check("column sums", &column_sums(&values, 3), &[5.0, 3.0, -3.0]);
    add_bias(&mut values, &[10.0, 20.0, 30.0]);
    check("bias", &values, &[11.0, 18.0, 33.0, 14.0, 25.0, 24.0]);
}

/// Values by hand, at both ends too; derivatives by differences.
fn check_activations() {
    check("sigmoid", &[0.0, 3.0_f64.ln(), -1000.0, 1000.0].map(|z| Activation::Sigmoid.value(z)), &[0.5, 0.75, 0.0, 1.0]);
    check("tanh", &[0.0, 3.0_f64.ln(), -1000.0, 1000.0].map(|z| Activation::Tanh.value(z)), &[0.0, 0.8, -1.0, 1.0]);
    check("relu", &[0.0, 2.5, -2.5].map(|z| Activation::Relu.value(z)), &[0.0, 2.5, 0.0]);
    check("relu's derivative", &[0.0, 2.5].map(|y| Activation::Relu.derivative(y)), &[0.0, 1.0]);
    for (name, activation) in Activation::TABLE {
        for z in [-3.0, -0.7, 0.4, 2.0] {
            let difference = (activation.value(z + 1e-5) - activation.value(z - 1e-5)) / 2e-5;
            let derivative = activation.derivative(activation.value(z));
            assert!((derivative - difference).abs() <= 1e-9, "{name}: derivative at {z} is {derivative}, by differences {difference}");
        }
    }
}

/// Shares, loss and gradient by hand; logits far beyond the range of e^z.
fn check_softmax() {
    let logits = [1.0_f64, 2.0, 5.0].map(f64::ln);
    check("softmax", &softmax(&logits), &[0.125, 0.25, 0.625]);
    let (loss, gradient) = softmax_cross_entropy(&logits, Some(1), 2.0);
    check("loss", &[loss], &[4.0_f64.ln()]);
    check("gradient", &gradient, &[0.25, -1.5, 1.25]);
    check("no target", &softmax_cross_entropy(&logits, None, 2.0).1, &[0.0; 3]);
    assert_eq!(softmax_cross_entropy(&logits, None, 2.0).0, 0.0, "loss without a target");
    for shift in [-1e4, 1e4] {
        // ln and the shift round: what is left is 1e4 times the last bit.
        let shifted = softmax(&logits.map(|z| z + shift));
        assert!(shifted.iter().zip([0.125, 0.25, 0.625]).all(|(got, want)| (got - want).abs() < 1e-11), "{shifted:?} after {shift}");
    }
    check("a share too small for f64", &[softmax_cross_entropy(&[0.0, 1e4], Some(0), 1.0).0], &[1e4]);
}

/// The published stream, and numbers that f32 holds.
fn check_generator() {
    // The first numbers of SplitMix64 from the seed 1234567, as its author publishes them.
    let mut generator = Generator::new(1_234_567);
    assert_eq!([generator.next(), generator.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    let numbers = generator.vector(1000, 0.3);
    assert!(numbers.iter().all(|&number| (-0.3..=0.3).contains(&number) && f64::from(number as f32) == number));
    assert!(sum(&numbers).abs() < 20.0 && sum_of_squares(&numbers) > 20.0, "spread over the whole range");
}

/// Windows have what the other tests need them to have.
fn check_random_windows() {
    let windows: Vec<Window> = (0..8).map(|seed| Window::random(seed, 5, 3, 7, None)).collect();
    let all = |tokens: fn(&Window) -> &[Option<usize>], token| windows.iter().all(|window| tokens(window).contains(&token));
    let any = |tokens: fn(&Window) -> &[Option<usize>], token| windows.iter().any(|window| tokens(window).contains(&token));
    assert!(all(|window| &window.inputs, Some(0)), "a boundary among the inputs of every window");
    assert!(any(|window| &window.inputs, None) && any(|window| &window.targets, None), "missing words");
    assert!(windows.iter().any(|window| window.inputs[3..].contains(&Some(0)) && window.inputs[..3].contains(&Some(0))));
    assert!(windows.iter().all(|window| window.targets[0].is_some()));
    assert_eq!(windows[0].predicted(), windows[0].targets.iter().filter(|target| target.is_some()).count());
}

/// Every value and gradient of the smallest network.
fn check_one_step_by_hand() {
    // One unit, two words, one layer; the equations of Mikolov 2010 written out.
    let architecture = Architecture {
        vocab_size: 2,
        embedding_size: 0,
        hidden_size: 1,
        num_layers: 1,
        activation: Activation::Sigmoid,
        bias: false,
        decoder_bias: false,
    };
    let mut network = Network::new(architecture, 0, 1.0);
    for (name, values) in [("rnn.weight_ih_l0", vec![9.0, 0.5]), ("rnn.weight_hh_l0", vec![-2.0]), ("decoder.weight", vec![1.0, -3.0])] {
        assert!(network.parameters.insert(name.to_string(), values).is_some(), "no parameter {name}");
    }
    let window = Window { time_steps: 1, batch: 1, inputs: vec![Some(1)], targets: vec![Some(0)], independent: None };
    let outcome = network.run(&window, &[vec![0.1]], 1.0);
    let s = 1.0 / (1.0 + (-(0.5 + -2.0 * 0.1_f64)).exp());
    let p = s.exp() / (s.exp() + (-3.0 * s).exp());
    check("state", &outcome.final_states[0], &[s]);
    check("loss", &[outcome.loss], &[-p.ln()]);
    check("output gradient", &outcome.gradients["decoder.weight"], &[(p - 1.0) * s, (1.0 - p) * s]);
    let z_gradient = ((p - 1.0) - 3.0 * (1.0 - p)) * s * (1.0 - s);
    check("input gradient", &outcome.gradients["rnn.weight_ih_l0"], &[0.0, z_gradient]);
    check("recurrent gradient", &outcome.gradients["rnn.weight_hh_l0"], &[0.1 * z_gradient]);
    check("state gradient", &outcome.initial_state_gradients[0], &[-2.0 * z_gradient]);
}

/// A network with everything, for the tests below.
fn network() -> Network {
    let architecture = Architecture {
        vocab_size: 7,
        embedding_size: 3,
        hidden_size: 5,
        num_layers: 2,
        activation: Activation::Sigmoid,
        bias: true,
        decoder_bias: true,
    };
    Network::new(architecture, 3, 1.0)
}

/// Steps `from..to` of one stream, or of all where `stream` is None.
fn part(window: &Window, steps: std::ops::Range<usize>, stream: Option<usize>) -> Window {
    let streams = stream.map_or(0..window.batch, |b| b..b + 1);
    let cut = |tokens: &[Option<usize>]| {
        let rows = tokens.chunks_exact(window.batch).skip(steps.start).take(steps.len());
        rows.flat_map(|row| row[streams.clone()].to_vec()).collect()
    };
    Window { time_steps: steps.len(), batch: streams.len(), inputs: cut(&window.inputs), targets: cut(&window.targets), ..*window }
}

/// Carrying the state makes the cut between windows invisible to the values.
fn check_two_windows_are_one() {
    let network = network();
    for independent in [None, Some(0.1)] {
        let window = Window::random(5, 7, 3, 7, independent);
        let states = network.random_states(6, 3, 1.0);
        let whole = network.run(&window, &states, 1.0);
        let first = network.run(&part(&window, 0..4, None), &states, 1.0);
        let second = network.run(&part(&window, 4..7, None), &first.final_states, 1.0);
        check("log-probabilities", &[first.log_probabilities, second.log_probabilities].concat(), &whole.log_probabilities);
        check("final states", &second.final_states.concat(), &whole.final_states.concat());
    }
}

/// Streams share nothing but the sum of their gradients.
fn check_streams_are_alone() {
    let network = network();
    for independent in [None, Some(0.1)] {
        let window = Window::random(8, 5, 3, 7, independent);
        let states = network.random_states(9, 3, 1.0);
        let whole = network.run(&window, &states, 0.5);
        let mut summed = vec![0.0; whole.gradients["rnn.weight_hh_l1"].len()];
        for b in 0..3 {
            let own = |states: &[Vec<f64>]| -> Vec<Vec<f64>> { states.iter().map(|state| state[b * 5..][..5].to_vec()).collect() };
            let alone = network.run(&part(&window, 0..5, Some(b)), &own(&states), 0.5);
            check("final states", &alone.final_states.concat(), &own(&whole.final_states).concat());
            check("state gradients", &alone.initial_state_gradients.concat(), &own(&whole.initial_state_gradients).concat());
            add_bias(&mut summed, &alone.gradients["rnn.weight_hh_l1"]);
        }
        check("summed gradients", &summed, &whole.gradients["rnn.weight_hh_l1"]);
    }
}

/// Beginning afresh within a window is the same as windows of their own.
fn check_independent_sentences() {
    let network = network();
    let inputs = [Some(3), Some(1), Some(0), Some(2), None, Some(0), Some(0)];
    let targets = [Some(1), None, Some(2), Some(6), Some(0), Some(0), Some(4)];
    let window = Window { time_steps: 7, batch: 1, inputs: inputs.to_vec(), targets: targets.to_vec(), independent: Some(0.1) };
    let states = network.random_states(10, 1, 1.0);
    let whole = network.run(&window, &states, 1.0);
    let fresh = vec![vec![0.1; 5]; 2];
    let mut log_probabilities = Vec::new();
    let mut gradient = vec![0.0; whole.gradients["rnn.weight_hh_l0"].len()];
    for (steps, states) in [(0..2, &states), (2..5, &fresh), (5..6, &fresh), (6..7, &fresh)] {
        // The same words as a text of their own: nothing begins afresh within it.
        let sentence = Window { independent: None, ..part(&window, steps.clone(), None) };
        let outcome = network.run(&sentence, states, 1.0);
        log_probabilities.extend(outcome.log_probabilities);
        add_bias(&mut gradient, &outcome.gradients["rnn.weight_hh_l0"]);
        if steps.start == 0 {
            check(
                "gradient of the state before the window",
                &whole.initial_state_gradients.concat(),
                &outcome.initial_state_gradients.concat(),
            );
        }
    }
    check("log-probabilities", &whole.log_probabilities, &log_probabilities);
    check("gradient of the recurrent weights", &whole.gradients["rnn.weight_hh_l0"], &gradient);
}

/// Decay by hand, alone and within an update.
fn check_decay() {
    let mut parameter = [2.0, -4.0];
    decay(&mut parameter, 0.1, 0.5);
    check("decay", &parameter, &[1.9, -3.8]);
    // Decay comes before the update and sees neither the gradient nor its clipping: 2 (1 - 0.1 * 0.5) - 0.1 * 3 * 1 / (3 + 1e-6).
    let one = |value: f64| [("w".to_string(), vec![value])].into_iter().collect();
    let mut parameters = one(2.0);
    let mut optimizer = Optimizer::new(Rule::Sgd, 0.1, Some(1.0), 0.5);
    check("norm", &[optimizer.update(&mut parameters, &one(-3.0))], &[3.0]);
    check("update", &parameters["w"], &[1.9 + 0.3 / (3.0 + 1e-6)]);
}
