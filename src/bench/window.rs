//! A single training step, for Criterion.

use super::configuration::{Configuration, random_corpus};
use crate::corpus::Streams;
use crate::data_loader::{DataLoader, Mode};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Sgd, Updates};
use crate::model::{Capacity, Model, Window, Workspace, initial_values};
use crate::tensor::Tensor;

/// A model and one window of random text on which it is trained repeatedly.
#[derive(Debug)]
pub struct BenchWindow {
    model: Model,
    workspace: Workspace,
    window: Window,
    scale: Tensor,
}

impl BenchWindow {
    /// Creates the model and uploads the text.
    ///
    /// # Errors
    /// If the device fails or has too little memory.
    pub fn new(device: &mut Device, configuration: &Configuration) -> Result<Self> {
        let Configuration {
            batch, time_steps, ..
        } = *configuration;
        let text = random_corpus(configuration, 2)?;
        let config = configuration.config(&text.counts()?)?;
        let model = Model::new(device, config.clone(), &initial_values(&config, 1))?;
        let capacity = Capacity {
            batch,
            time_steps,
            training: true,
            ..Capacity::default()
        };
        let workspace = Workspace::new(device, &model, capacity)?;
        let streams = Streams::new(&text.train, batch, time_steps)?;
        let mut loader = DataLoader::new(device, streams, Mode::Train { history: 0 })?;
        let (window, _) = loader.window(device, &workspace, 0, 0)?;
        let scale = device.tensor_from("scale of gradients", 1, 1, &[1.0])?;
        Ok(Self {
            model,
            workspace,
            window,
            scale,
        })
    }

    /// Runs the forward and the backward pass and an SGD update, and waits for their completion.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&self, device: &mut Device) -> Result<()> {
        device.install(|device| self.step_installed(device))
    }

    fn step_installed(&self, device: &mut Device) -> Result<()> {
        self.model.forward(device, &self.workspace, &self.window);
        self.model
            .backward(device, &self.workspace, &self.window, 1e-3);
        let parameters = self.model.parameters().tensors();
        let gradients = self.workspace.gradients(&self.window);
        let updates = parameters.iter().zip(gradients);
        let updates = updates.map(|(&parameter, gradient)| Sgd {
            parameter,
            gradient,
            scale: self.scale,
            rate: 1e-3,
        });
        device.run(&Updates(&updates.collect::<Vec<_>>()));
        device.wait()
    }
}
