//! PyTorch's values: a window of each golden network, and some updates with every optimizer.

use elman::device::Device;
use elman::kernels::{ClipGradNorm, Gradient, PARTIAL_SUMS, Scale, Summand, Sums};
use elman::model::{Capacity, Model};
use elman::tensor::Tensor;
use elman::train::{OPTIMIZERS, OptimizerKind, ParameterUpdate};

use super::compare::{Tolerance, assert_close};
use super::harness::{apply, device_test, test};
use super::reference::goldens;
use super::reference::network::{Named, Window as ReferenceWindow};
use super::reference::optimizers::{Optimizer, Rule};
use super::step_subject::{STEP, Subject, compare_outcomes, download, upload};

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
pub fn optimizer(rule: Rule) -> &'static OptimizerKind {
    let (name, _) = Rule::TABLE
        .into_iter()
        .find(|row| row.1 == rule)
        .expect("every rule has a name");
    OPTIMIZERS
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("there is no optimizer {name}"))
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
            zeros(parameters.len(), PARTIAL_SUMS),
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
        device.run(&Sums {
            summands: &Summand::squares(gradients).collect::<Vec<_>>(),
            partial: self.partial,
            output: self.squares,
            clip: self.max_norm.map(|maximum| ClipGradNorm {
                maximum,
                scale: self.scale,
            }),
        });
        let Self {
            rate, scale, step, ..
        } = *self;
        let mut updates = Vec::new();
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
            updates.push(ParameterUpdate {
                parameter,
                gradient,
                state,
                scale,
                rate,
                step,
            });
        }
        (self.optimizer.update)(device, &updates);
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
