//! Tests of the bound on the hidden size of fused layers.

use super::*;
use crate::device::{Device, Kernel};
use crate::kernels::{
    Activation, GruBackward, GruForward, LstmBackward, LstmForward, RecurrenceBackward,
    RecurrenceForward,
};

#[test]
fn shaders_declare_the_workgroup_memory() {
    let source = include_str!("../../../shaders/fused_product.wgsl");
    for name in ["vector", "products"] {
        let declaration = format!("var<workgroup> {name}: array<f32, {WORKGROUP_VECTOR}>;");
        assert!(source.contains(&declaration), "{declaration}");
    }
}

#[test]
fn invocations_keep_the_weights_that_fit() {
    for (rows, columns, limit, expected) in [
        // An Elman layer of 128 units: two slices of 64 rows, all in registers.
        (128, 128, 6, [1, 2, 0]),
        (128, 128, 1, [1, 1, 0]),
        (200, 200, 6, [1, 6, 0]),
        (300, 300, 6, [2, 5, 0]),
        // An LSTM layer of 128 units, forward and backward.
        (128, 512, 6, [2, 4, 1]),
        (512, 128, 6, [1, 6, 0]),
        (192, 768, 6, [3, 4, 0]),
        (192, 768, 1, [3, 0, 0]),
        // Less than a bank; a last slice shorter than the others.
        (1, 1, 6, [1, 0, 0]),
        (31, 31, 6, [1, 0, 0]),
        (131, 65, 6, [1, 1, 0]),
    ] {
        let banks = kept_banks(limit, rows, columns);
        assert_eq!(banks, expected, "{rows} x {columns}, limit {limit}");
    }
}

/// The message of the panic of a kernel that runs on the CPU with one stream, one step and
/// `hidden_size` units, if it panics. The weight has one row only: the size is checked first.
fn panic_of<K: Kernel>(
    hidden_size: usize,
    kernel: impl Fn(&dyn Fn(usize) -> Tensor, Reset) -> K,
) -> Option<String> {
    let mut device = Device::cpu(1);
    let buffer = device
        .tensor::<f32>("values", 1, 8 * hidden_size)
        .expect("a small tensor fits");
    let tokens = device.tensor("tokens", 1, 1).expect("a small tensor fits");
    let reset = Reset {
        enabled: false,
        initial: 0.0,
        tokens,
        previous: buffer,
    };
    let kernel = kernel(&|rows| buffer.reshape(rows, hidden_size), reset);
    let run = std::panic::AssertUnwindSafe(|| device.run(&kernel));
    let panic = std::panic::catch_unwind(run).err()?;
    panic.downcast::<String>().ok().map(|message| *message)
}

#[test]
fn layers_beyond_the_workgroup_memory_panic() {
    let schedule = RecurrentSchedule::Fused;
    let activation = Activation::Tanh;
    let carried = |states| Carried {
        states: [states],
        advance: 1,
    };
    let wide = |columns: usize, tensor: Tensor| tensor.reshape(1, columns);
    let messages = [
        panic_of(2049, |rows, reset| RecurrenceForward {
            activation,
            states: rows(2),
            carried: carried(rows(1)),
            weight: rows(1),
            weight_t: rows(1),
            reset,
            schedule,
        }),
        panic_of(2049, |rows, reset| RecurrenceBackward {
            activation,
            states: rows(2),
            weight: rows(1),
            gradient: rows(1),
            initial_gradient: rows(1),
            reset,
            schedule,
        }),
        panic_of(513, |rows, reset| LstmForward {
            gates: wide(4 * 513, rows(4)),
            cells: rows(2),
            states: rows(2),
            carried: Carried {
                states: [rows(1), rows(1)],
                advance: 1,
            },
            weight: rows(1),
            weight_t: rows(1),
            capped: false,
            reset,
            schedule,
        }),
        panic_of(513, |rows, reset| LstmBackward {
            gates: wide(4 * 513, rows(4)),
            cells: rows(2),
            weight: rows(1),
            gradient: rows(1),
            initial_gradient: rows(2),
            capped: false,
            reset,
            schedule,
        }),
        panic_of(683, |rows, reset| GruForward {
            gates: wide(3 * 683, rows(3)),
            recurrent: wide(3 * 683, rows(3)),
            states: rows(2),
            carried: carried(rows(1)),
            weight: rows(1),
            weight_t: rows(1),
            bias: None,
            reset,
            schedule,
        }),
        panic_of(683, |rows, reset| GruBackward {
            gates: wide(3 * 683, rows(3)),
            recurrent: wide(3 * 683, rows(3)),
            states: rows(2),
            weight: rows(1),
            gradient: rows(1),
            initial_gradient: rows(1),
            reset,
            schedule,
        }),
    ];
    for (message, most) in messages.into_iter().zip([2048, 2048, 512, 512, 682, 682]) {
        let rule = format!("at most {most} units");
        assert!(
            message.as_ref().is_some_and(|text| text.contains(&rule)),
            "{rule:?}: {message:?}"
        );
    }
}

#[test]
fn layers_within_the_workgroup_memory_pass() {
    for (gates, hidden_size) in [(1, 2048), (3, 682), (4, 512)] {
        RecurrentSchedule::Fused.check_size(gates, hidden_size);
    }
    RecurrentSchedule::PerStep.check_size(4, 100_000);
}
