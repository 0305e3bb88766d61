//! Cells in networks that are larger than the tiles and workgroups of kernels.

use elman::device::Device;

use super::cell_architectures::sampled;
use super::reference::cells::Cell;
use super::reference::kernels::Activation;
use super::reference::network::{Architecture, FeedForward, Network, Window as ReferenceWindow};
use super::reference::outputs::{Direct, Output};
use super::reference::sampled::Objective;
use super::step_subject::{INITIAL, check_windows};

/// Sizes larger than tiles and workgroups, with enough rows for every thread.
pub fn past_a_tile(device: &mut Device, cell: Cell) {
    for (embedding_size, hidden_sizes) in [(0, vec![67]), (65, vec![33, 40])] {
        // Some cells need an embedding.
        let embedding_size = match cell {
            Cell::Mogrifier | Cell::Qrnn => embedding_size.max(1),
            _ => embedding_size,
        };
        past_a_tile_with(device, None, cell, embedding_size, hidden_sizes);
    }
}

/// [`past_a_tile`] for one network of each output layer.
pub fn past_a_tile_with(
    device: &mut Device,
    feed_forward: Option<FeedForward>,
    cell: Cell,
    embedding_size: usize,
    hidden_sizes: Vec<usize>,
) {
    let architecture = Architecture {
        cell,
        feed_forward,
        activation: Activation::Tanh,
        vocab_size: 301,
        embedding_size,
        hidden_sizes,
        bias: true,
        decoder_bias: true,
        ..Architecture::default()
    };
    let network = Network::new(architecture, 5, 0.2);
    let windows = [11, 4].map(|time_steps| ReferenceWindow::random(3, time_steps, 7, 301, None));
    check_windows(
        device,
        &format!("past a tile: {cell:?}"),
        &network,
        &windows,
    );
    let output = Output::Class {
        sizes: vec![3, 70, 1, 130, 97],
        direct: Some(Direct {
            size: 3200,
            order: 3,
        }),
    };
    let network = Network::new(
        Architecture {
            output,
            ..network.architecture
        },
        6,
        0.2,
    );
    check_windows(
        device,
        &format!("past a tile, classes: {cell:?}"),
        &network,
        &windows,
    );
    let output = Output::Adaptive {
        cutoffs: vec![20, 90, 131],
        divisor: 2.0,
    };
    let network = Network::new(
        Architecture {
            output,
            ..network.architecture
        },
        6,
        0.2,
    );
    check_windows(
        device,
        &format!("past a tile, clusters: {cell:?}"),
        &network,
        &windows,
    );
    let network = Network::new(
        Architecture {
            output: Output::Mixture(2),
            ..network.architecture
        },
        6,
        0.2,
    );
    check_windows(
        device,
        &format!("past a tile, mixture: {cell:?}"),
        &network,
        &windows,
    );
    let counts: Vec<u64> = (1..=301).map(|rank| 1000 / rank).collect();
    for objective in [Objective::Softmax, Objective::Nce(2.0)] {
        let output = sampled(objective, 131, 0.75, &counts);
        let network = Network::new(
            Architecture {
                output,
                ..network.architecture.clone()
            },
            6,
            0.2,
        );
        check_windows(
            device,
            &format!("past a tile, {objective:?}: {cell:?}"),
            &network,
            &windows,
        );
    }
}

/// Layers so wide that the CPU's threads split every step, and that a GPU runs one dispatch per
/// step.
pub fn wide(device: &mut Device, cell: Cell) {
    let architecture = Architecture {
        cell,
        activation: Activation::Sigmoid,
        vocab_size: 5,
        embedding_size: match cell {
            Cell::Mogrifier | Cell::Qrnn => 3,
            _ => 0,
        },
        hidden_sizes: vec![521],
        bias: true,
        ..Architecture::default()
    };
    let network = Network::new(architecture, 5, 0.05);
    let windows = [5, 2]
        .map(|time_steps| ReferenceWindow::random(3, time_steps, 3, 5, Some(f64::from(INITIAL))));
    check_windows(device, &format!("wide: {cell:?}"), &network, &windows);
}
