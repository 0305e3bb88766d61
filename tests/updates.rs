//! PyTorch's numbers: a window of each golden network, and some updates with every optimiser's kernel.

use elman::device::Device;
use elman::kernels::{Adagrad, Adam, Clip, Decay, Gradient, Reduce, Reduction, Sgd};
use elman::model::{Capacity, Model};
use elman::tensor::Tensor;
use libtest_mimic::Trial;

use super::compare::{Tolerance, assert_close};
use super::reference::goldens;
use super::reference::network::{Named, Window as ReferenceWindow};
use super::reference::optimizers::{Optimizer, Rule};
use super::steps::{STEP, Subject, compare_outcomes, download, upload};
use super::support::on_every_device;

/// How far parameters may be after some updates. Adagrad and Adam divide by a root that is small where a gradient is: an error of a small
/// gradient is an error of a whole step of the learning rate's size.
const UPDATED: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-5 };

/// All of them.
pub fn trials() -> Vec<Trial> {
    let mut trials = on_every_device("updates::golden_windows", golden_windows);
    trials.extend(on_every_device("updates::golden_updates", golden_updates));
    trials.extend(on_every_device("updates::decay", decay));
    trials
}

/// PyTorch's losses, states and gradients.
fn golden_windows(device: &mut Device) {
    for golden in goldens::load() {
        let (subject, window) = golden_subject(device, &golden);
        let got = subject.step(device, window, golden.scale);
        compare_outcomes(&format!("{} on {}", golden.name, device.name()), &got, &golden.outcome, STEP);
    }
}

fn golden_subject<'a>(device: &mut Device, golden: &'a goldens::Golden) -> (Subject, &'a ReferenceWindow) {
    let window = &golden.window;
    let capacity = Capacity { batch: window.batch, time_steps: window.time_steps, training: true, ..Capacity::default() };
    let subject = Subject::new(device, &golden.network, capacity);
    subject.carry(device, &golden.initial_states);
    (subject, window)
}

/// Updates of all parameters by one rule.
struct Updates {
    rule: Rule,
    rate: f32,
    max_norm: Option<f32>,
    l2: f32,
    step: u32,
    /// Two tensors of each parameter's shape.
    state: Vec<[Tensor; 2]>,
    /// One number for each parameter.
    squares: Tensor,
    partial: Tensor,
    scale: Tensor,
}

impl Updates {
    fn new(device: &mut Device, model: &Model, rule: Rule, rate: f32, max_norm: Option<f32>, l2: f32) -> Self {
        let parameters = model.parameters().tensors();
        let mut zeros = |rows: usize, columns: usize| device.tensor("state", rows, columns).expect("a small tensor fits");
        let state = parameters.iter().map(|tensor| [(); 2].map(|()| zeros(tensor.rows(), tensor.columns()))).collect();
        let (squares, partial, scale) = (zeros(1, parameters.len()), zeros(1, Reduce::PARTIAL_SUMS), zeros(1, 1));
        device.upload(&scale, &[1.0]);
        Self { rule, rate, max_norm, l2, step: 0, state, squares, partial, scale }
    }

    /// One update; returns the gradients' norm.
    fn update(&mut self, device: &mut Device, model: &Model, gradients: &[Gradient]) -> f64 {
        self.step += 1;
        for (number, gradient) in gradients.iter().enumerate() {
            let output = self.squares.element(number);
            device.run(&Reduce { reduction: Reduction::SumOfSquares, values: gradient.values(), partial: self.partial, output });
        }
        if let Some(maximum) = self.max_norm {
            device.run(&Clip { squares: self.squares, maximum, scale: self.scale });
        }
        let Self { rate, scale, step, .. } = *self;
        for ((&parameter, &gradient), &[first, second]) in model.parameters().tensors().iter().zip(gradients).zip(&self.state) {
            if self.l2 > 0.0 {
                device.run(&Decay { values: parameter, factor: 1.0 - rate * self.l2 });
            }
            match self.rule {
                Rule::Sgd => device.run(&Sgd { parameter, gradient, scale, rate }),
                Rule::Adagrad => device.run(&Adagrad { parameter, squares: first, gradient, scale, rate }),
                Rule::Adam => device.run(&Adam { parameter, first, second, gradient, scale, rate, step }),
            }
        }
        download(device, self.squares).iter().sum::<f64>().sqrt()
    }
}

/// Every parameter as the file has it, against what it should be.
fn compare_parameters(device: &mut Device, what: &str, model: &Model, want: &Named) {
    let values = model.parameters().download(device).expect("the device works");
    for (specification, got) in model.parameters().specifications().iter().zip(values) {
        assert_close(&format!("{what}: {}", specification.name), &got, &want[&specification.name], UPDATED);
    }
}

/// PyTorch's losses, norms and parameters over some clipped updates with every optimiser.
fn golden_updates(device: &mut Device) {
    for golden in goldens::load() {
        for training in &golden.training {
            let what = format!("{}: {:?} on {}", golden.name, training.rule, device.name());
            let (subject, reference) = golden_subject(device, &golden);
            let (rate, max_norm) = (training.learning_rate as f32, training.max_norm as f32);
            let mut updates = Updates::new(device, &subject.model, training.rule, rate, Some(max_norm), 0.0);
            let (mut losses, mut norms) = (Vec::new(), Vec::new());
            for _ in &training.losses {
                subject.carry(device, &golden.initial_states);
                losses.push(subject.step(device, reference, golden.scale).loss);
                let window = upload(device, reference);
                norms.push(updates.update(device, &subject.model, &subject.workspace.gradients(&window)));
            }
            assert_close(&format!("{what}: losses"), &losses, &training.losses, STEP);
            assert_close(&format!("{what}: norms"), &norms, &training.norms, STEP);
            compare_parameters(device, &what, &subject.model, &training.parameters);
        }
    }
}

/// Decay of the weights with every optimiser, without clipping: PyTorch's numbers have none of it.
fn decay(device: &mut Device) {
    let golden = goldens::load().swap_remove(0);
    for (name, rule) in Rule::TABLE {
        let (subject, reference) = golden_subject(device, &golden);
        let mut network = golden.network.clone();
        let mut optimizer = Optimizer::new(rule, f64::from(0.1_f32), None, f64::from(0.01_f32));
        let mut updates = Updates::new(device, &subject.model, rule, 0.1, None, 0.01);
        for _ in 0..2 {
            subject.carry(device, &golden.initial_states);
            let got = subject.step(device, reference, golden.scale);
            let want = network.run(reference, &golden.initial_states, golden.scale);
            compare_outcomes(&format!("decay with {name}"), &got, &want, Tolerance { absolute: 1e-5, relative: 1e-4 });
            let window = upload(device, reference);
            updates.update(device, &subject.model, &subject.workspace.gradients(&window));
            optimizer.update(&mut network.parameters, &want.gradients);
        }
        compare_parameters(device, &format!("decay with {name} on {}", device.name()), &subject.model, &network.parameters);
    }
}
