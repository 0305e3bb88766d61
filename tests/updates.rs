//! PyTorch's values: a window of each golden network, some updates with every optimizer, and
//! updates of tables.

use elman::corpus::order_by_token;
use elman::device::Device;
use elman::kernels::{
    Add, AddSquares, Average, ClipGradNorm, ClipGradValue, CopyValues, Fill, Gradient,
    PARTIAL_SUMS, Scale, SparseRows, SumOfSquares,
};
use elman::model::{Capacity, Model};
use elman::tensor::{NONE, Tensor};
use elman::train::{OPTIMIZERS, OptimizerKind, ParameterUpdate};

use super::compare::{Tolerance, assert_close};
use super::harness::{apply, device_test, test};
use super::reference::generator::Generator;
use super::reference::goldens;
use super::reference::network::{Named, Window as ReferenceWindow};
use super::reference::optimizers::{Optimizer, Rule};
use super::steps::{STEP, Subject, compare_outcomes, download, upload};

/// The accepted error of parameters after some updates. Adagrad and Adam divide by a root that is
/// small if a gradient is: an error in a small gradient changes the whole step by up to the
/// learning rate.
const UPDATED: Tolerance = Tolerance {
    absolute: 1e-5,
    relative: 1e-5,
};

/// PyTorch's losses, states and gradients.
#[apply(device_test)]
fn golden_windows(device: &mut Device) {
    for golden in goldens::load() {
        let (subject, window) = golden_subject(device, &golden);
        let got = subject.step(device, window, golden.scale);
        compare_outcomes(
            &format!("{} on {}", golden.name, device.name()),
            &got,
            &golden.outcome,
            STEP,
        );
    }
}

fn golden_subject<'a>(
    device: &mut Device,
    golden: &'a goldens::Golden,
) -> (Subject, &'a ReferenceWindow) {
    let window = &golden.window;
    let capacity = Capacity {
        batch: window.batch,
        time_steps: window.time_steps,
        training: true,
        ..Capacity::default()
    };
    let subject = Subject::new(device, &golden.network, capacity);
    subject.carry(device, &golden.initial_states);
    (subject, window)
}

/// The optimizer of this rule.
fn optimizer(rule: Rule) -> &'static OptimizerKind {
    let (name, _) = Rule::TABLE
        .into_iter()
        .find(|row| row.1 == rule)
        .expect("every rule has a name");
    OPTIMIZERS
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("there is no optimiser {name}"))
}

#[apply(test)]
fn every_optimizer_has_a_rule() {
    let names: Vec<_> = OPTIMIZERS.iter().map(|row| row.name).collect();
    assert_eq!(names, Rule::TABLE.map(|(name, _)| name));
}

/// Updates of all parameters by one rule.
struct Updates {
    optimizer: &'static OptimizerKind,
    rate: f32,
    max_norm: Option<f32>,
    l2: f32,
    step: u32,
    /// Tensors of each parameter's shape.
    state: Vec<Vec<Tensor>>,
    /// One element per parameter.
    squares: Tensor,
    partial: Tensor,
    scale: Tensor,
}

impl Updates {
    fn new(
        device: &mut Device,
        model: &Model,
        rule: Rule,
        rate: f32,
        max_norm: Option<f32>,
        l2: f32,
    ) -> Self {
        let optimizer = optimizer(rule);
        let parameters = model.parameters().tensors();
        let mut zeros = |rows: usize, columns: usize| {
            device
                .tensor("state", rows, columns)
                .expect("a small tensor fits")
        };
        let state = parameters
            .iter()
            .map(|tensor| {
                optimizer
                    .state
                    .iter()
                    .map(|_| zeros(tensor.rows(), tensor.columns()))
                    .collect()
            })
            .collect();
        let (squares, partial, scale) = (
            zeros(1, parameters.len()),
            zeros(1, PARTIAL_SUMS),
            zeros(1, 1),
        );
        device.upload(&scale, &[1.0]);
        Self {
            optimizer,
            rate,
            max_norm,
            l2,
            step: 0,
            state,
            squares,
            partial,
            scale,
        }
    }

    /// One update; returns the gradients' norm.
    fn update(&mut self, device: &mut Device, model: &Model, gradients: &[Gradient]) -> f64 {
        self.step += 1;
        for (number, gradient) in gradients.iter().enumerate() {
            let output = self.squares.element(number);
            device.run(&SumOfSquares {
                values: gradient.values(),
                partial: self.partial,
                output,
            });
        }
        if let Some(maximum) = self.max_norm {
            device.run(&ClipGradNorm {
                squares: self.squares,
                maximum,
                scale: self.scale,
            });
        }
        let Self {
            rate, scale, step, ..
        } = *self;
        for ((&parameter, &gradient), state) in model
            .parameters()
            .tensors()
            .iter()
            .zip(gradients)
            .zip(&self.state)
        {
            if self.l2 > 0.0 {
                device.run(&Scale {
                    values: parameter,
                    factor: 1.0 - rate * self.l2,
                });
            }
            (self.optimizer.update)(
                device,
                ParameterUpdate {
                    parameter,
                    gradient,
                    state,
                    scale,
                    rate,
                    step,
                },
            );
        }
        download(device, self.squares).iter().sum::<f64>().sqrt()
    }
}

/// Compares every parameter, in the file's layout, with the expected one.
fn compare_parameters(device: &mut Device, what: &str, model: &Model, want: &Named) {
    let values = model
        .parameters()
        .download(device)
        .expect("the device works");
    for (spec, got) in model.parameters().specs().iter().zip(values) {
        assert_close(
            &format!("{what}: {}", spec.name),
            &got,
            &want[&spec.name],
            UPDATED,
        );
    }
}

/// PyTorch's losses, norms and parameters over some clipped updates with every optimizer.
#[apply(device_test)]
fn golden_updates(device: &mut Device) {
    for golden in goldens::load() {
        for training in &golden.training {
            let what = format!("{}: {:?} on {}", golden.name, training.rule, device.name());
            let (subject, reference) = golden_subject(device, &golden);
            let (rate, max_norm) = (training.learning_rate as f32, training.max_norm as f32);
            let mut updates = Updates::new(
                device,
                &subject.model,
                training.rule,
                rate,
                Some(max_norm),
                0.0,
            );
            let (mut losses, mut norms) = (Vec::new(), Vec::new());
            for _ in &training.losses {
                subject.carry(device, &golden.initial_states);
                losses.push(subject.step(device, reference, golden.scale).loss);
                let window = upload(device, reference);
                norms.push(updates.update(
                    device,
                    &subject.model,
                    &subject.workspace.gradients(&window),
                ));
            }
            assert_close(&format!("{what}: losses"), &losses, &training.losses, STEP);
            assert_close(&format!("{what}: norms"), &norms, &training.norms, STEP);
            compare_parameters(device, &what, &subject.model, &training.parameters);
        }
    }
}

/// Weight decay with every optimizer, without clipping: PyTorch's values have none.
#[apply(device_test)]
fn decay(device: &mut Device) {
    let golden = goldens::load().swap_remove(0);
    for (name, rule) in Rule::TABLE {
        let (subject, reference) = golden_subject(device, &golden);
        let mut network = golden.network.clone();
        // The first step of RMSprop is ten times the rate.
        let rate: f32 = if rule == Rule::Rmsprop { 0.01 } else { 0.1 };
        let mut optimizer = Optimizer::new(rule, rate.into(), None, f64::from(0.01_f32));
        let mut updates = Updates::new(device, &subject.model, rule, rate, None, 0.01);
        for _ in 0..2 {
            subject.carry(device, &golden.initial_states);
            let got = subject.step(device, reference, golden.scale);
            let want = network.run(reference, &golden.initial_states, golden.scale);
            compare_outcomes(
                &format!("decay with {name}"),
                &got,
                &want,
                Tolerance {
                    absolute: 1e-5,
                    relative: 1e-4,
                },
            );
            let window = upload(device, reference);
            updates.update(
                device,
                &subject.model,
                &subject.workspace.gradients(&window),
            );
            optimizer.update(&mut network.parameters, &want.gradients);
        }
        compare_parameters(
            device,
            &format!("decay with {name} on {}", device.name()),
            &subject.model,
            &network.parameters,
        );
    }
}

/// The shape of a table that a GPU may split into shards, and its values.
const TABLE: [usize; 2] = [7, 37];

fn random(generator: &mut Generator, count: usize) -> Vec<f32> {
    generator
        .vector(count, 1.0)
        .into_iter()
        .map(|value| value as f32)
        .collect()
}

fn table(device: &mut Device, values: &[f32]) -> Tensor {
    let table = device
        .table("table", TABLE[0], TABLE[1])
        .expect("a small table fits");
    device.upload(&table, values);
    table
}

/// Embedding gradients on the device: row p of the gradient is zero except at the first occurrence
/// of a token in the order.
fn embedding_gradient(device: &mut Device, tokens: &[u32], dense: &[f32]) -> Gradient {
    let (order, columns) = (order_by_token(tokens), TABLE[1]);
    let token = |p: usize| tokens[order[p] as usize];
    let mut sums = vec![0.0; tokens.len() * columns];
    for p in (0..tokens.len()).filter(|&p| token(p) != NONE && (p == 0 || token(p - 1) != token(p)))
    {
        sums[p * columns..][..columns]
            .copy_from_slice(&dense[token(p) as usize * columns..][..columns]);
    }
    let sums = device
        .tensor_from("sums", tokens.len(), columns, &sums)
        .expect("small");
    let [tokens, order] = [tokens, &order].map(|ids| {
        device
            .tensor_from("tokens", 1, ids.len(), ids)
            .expect("small")
    });
    Gradient::Sparse(sums, SparseRows { tokens, order })
}

/// Every optimizer over some updates of a table, each touching other rows: equal to the reference
/// with dense gradients, for every form of the gradient.
#[apply(device_test)]
fn tables(device: &mut Device) {
    const WINDOWS: [&[u32]; 4] = [&[3, NONE, 0, 3, 6], &[1, 1], &[NONE], &[6, 3, 5, 0, 3, 3]];
    let count = TABLE[0] * TABLE[1];
    let scale = device.tensor_from("scale", 1, 1, &[0.75]).expect("small");
    for (name, rule) in Rule::TABLE {
        for by_rows in [false, true] {
            let mut generator = Generator::new(5);
            let values = random(&mut generator, count);
            let parameter = table(device, &values);
            let optimizer = optimizer(rule);
            let state: Vec<_> = optimizer
                .state
                .iter()
                .map(|_| table(device, &vec![0.0; count]))
                .collect();
            let named = |values: Vec<f32>| {
                Named::from([(
                    "table".to_string(),
                    values.into_iter().map(f64::from).collect(),
                )])
            };
            let mut want = named(values);
            let mut reference = Optimizer::new(rule, f64::from(0.1_f32), None, 0.0);
            for (step, tokens) in (1..).zip(WINDOWS) {
                let mut dense = random(&mut generator, count);
                for (row, values) in (0..).zip(dense.chunks_exact_mut(TABLE[1])) {
                    values
                        .iter_mut()
                        .for_each(|value| *value *= f32::from(u8::from(tokens.contains(&row))));
                }
                let gradient = if by_rows {
                    embedding_gradient(device, tokens, &dense)
                } else {
                    Gradient::Dense(table(device, &dense))
                };
                (optimizer.update)(
                    device,
                    ParameterUpdate {
                        parameter,
                        gradient,
                        state: &state,
                        scale,
                        rate: 0.1,
                        step,
                    },
                );
                reference.update(
                    &mut want,
                    &named(dense.into_iter().map(|value| 0.75 * value).collect()),
                );
                let what = format!(
                    "{name}, by rows: {by_rows}, update {step} on {}",
                    device.name()
                );
                assert_close(
                    &what,
                    &download(device, parameter),
                    &want["table"],
                    Tolerance {
                        absolute: 1e-6,
                        relative: 1e-6,
                    },
                );
            }
        }
    }
}

/// The running mean of three tables.
#[apply(device_test)]
fn averaged_tables(device: &mut Device) {
    let count = TABLE[0] * TABLE[1];
    let mut generator = Generator::new(6);
    let average = table(device, &random(&mut generator, count));
    let mut sums = vec![0.0; count];
    for number in 1..=3 {
        let joining = random(&mut generator, count);
        sums.iter_mut()
            .zip(&joining)
            .for_each(|(sum, value)| *sum += f64::from(*value));
        let values = table(device, &joining);
        device.run(&Average {
            average,
            values,
            weight: 1.0 / number as f32,
        });
        let means: Vec<f64> = sums.iter().map(|sum| sum / f64::from(number)).collect();
        let what = format!("average of {number} on {}", device.name());
        assert_close(
            &what,
            &download(device, average),
            &means,
            Tolerance {
                absolute: 5e-7,
                relative: 0.0,
            },
        );
    }
}

/// Values within the bounds and infinities beyond them; NaN stays NaN in every shard of a table.
#[apply(device_test)]
fn clamped_tables(device: &mut Device) {
    let mut values = random(&mut Generator::new(7), TABLE[0] * TABLE[1]);
    let last = values.len() - 1;
    for (place, value) in [
        (0, f32::NAN),
        (1, f32::INFINITY),
        (last - 1, f32::NEG_INFINITY),
        (last, -f32::NAN),
    ] {
        values[place] = value;
    }
    let clamped = table(device, &values);
    device.run(&ClipGradValue {
        values: clamped,
        maximum: 0.25,
    });
    let got: Vec<f32> = device.download(&clamped).expect("the device works");
    for (i, (got, value)) in got.into_iter().zip(values).enumerate() {
        let right = if value.is_nan() {
            got.is_nan()
        } else {
            got == value.clamp(-0.25, 0.25)
        };
        assert!(right, "{value} became {got} at {i} on {}", device.name());
    }
}

/// Filling, copying and adding to every shard of a table: each result is one rounded operation.
#[apply(device_test)]
fn summed_table_gradients(device: &mut Device) {
    let count = TABLE[0] * TABLE[1];
    let mut generator = Generator::new(8);
    let values = random(&mut generator, count);
    let input = table(device, &values);
    let output = table(device, &random(&mut generator, count));
    device.run(&CopyValues { input, output });
    assert_eq!(device.download(&output).expect("the device works"), values);
    device.run(&Fill {
        values: output,
        value: 0.5,
    });
    assert_eq!(
        device.download(&output).expect("the device works"),
        vec![0.5; count]
    );

    let mut dense = random(&mut generator, count);
    let tokens = [3, NONE, 0, 3, 6];
    let mut want = vec![0.5; count];
    for by_rows in [false, true] {
        if by_rows {
            for (row, values) in (0..).zip(dense.chunks_exact_mut(TABLE[1])) {
                if !tokens.contains(&row) {
                    values.fill(0.0);
                }
            }
        }
        let input = if by_rows {
            embedding_gradient(device, &tokens, &dense)
        } else {
            Gradient::Dense(table(device, &dense))
        };
        device.run(&Add { input, output });
        for (want, value) in want.iter_mut().zip(&dense) {
            *want += value;
        }
        let what = format!("by rows: {by_rows} on {}", device.name());
        let got: Vec<f32> = device.download(&output).expect("the device works");
        assert_eq!(got, want, "{what}");

        device.run(&AddSquares { input, output });
        let sums: Vec<f64> = (want.iter().zip(&dense))
            .map(|(&sum, &value)| f64::from(sum) + f64::from(value) * f64::from(value))
            .collect();
        let rounding = Tolerance {
            absolute: f64::from(f32::EPSILON),
            relative: f64::from(f32::EPSILON),
        };
        want = device.download(&output).expect("the device works");
        assert_close(&what, &want, &sums, rounding);
    }
}
