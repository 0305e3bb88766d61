//! Updates of embedding tables, which a GPU may split into shards.

use elman::corpus::order_by_token;
use elman::device::Device;
use elman::kernels::{
    Add, AddSquares, Average, ClipGradValue, CopyValues, Fill, Gradient, SparseRows,
};
use elman::tensor::{NONE, Tensor};
use elman::train::ParameterUpdate;

use super::compare::{Tolerance, assert_close};
use super::harness::{apply, device_test};
use super::reference::generator::Generator;
use super::reference::network::Named;
use super::reference::optimizers::{Optimizer, Rule};
use super::step_subject::download;
use super::updates::optimizer;

/// The shape of a table that a GPU may split into shards, and its values.
pub const TABLE: [usize; 2] = [7, 37];

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
                    &[ParameterUpdate {
                        parameter,
                        gradient,
                        state: &state,
                        scale,
                        rate: 0.1,
                        step,
                    }],
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

/// Small tensors, a part of one, a table in shards and a large tensor, which has its own transfer.
#[apply(device_test)]
fn tensors_are_downloaded_together(device: &mut Device) {
    let mut generator = Generator::new(7);
    let sizes = [3, TABLE[0] * TABLE[1], 5 << 20, 10, 1];
    let values = sizes.map(|size| random(&mut generator, size));
    let tensors = [0, 1, 2, 3, 4].map(|index| match index {
        1 => table(device, &values[1]),
        _ => {
            let tensor = device.tensor("values", sizes[index], 1).expect("it fits");
            device.upload(&tensor, &values[index]);
            tensor
        }
    });
    let part = tensors[3].slice_rows(2..7);
    let [first, table, large, _, last] = tensors;
    let download = device.start_download(&[first, table, part, large, part, last]);
    let got = device.finish_download(download).expect("the device works");
    let part = &values[3][2..7];
    let want = [&values[0], &values[1], part, &values[2], part, &values[4]].concat();
    assert!(got == want, "values on {}", device.name());
    for tensor in tensors {
        device.release(tensor);
    }
    let none = device.start_download::<f32>(&[]);
    let none = device.finish_download(none).expect("nothing");
    assert!(none.is_empty());
}
