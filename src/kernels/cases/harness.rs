//! The buffers of one case: inputs made from a seed, poisoned outputs, guard bands around both.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::device::{Device, Kernel};
use crate::error::Result;
use crate::tensor::{Element, Tensor};

/// The value of outputs and guard bands before the kernel runs: large, so that no tolerance hides
/// it, and finite even when doubled.
const POISON: f32 = -1.25e30;
/// Number of elements after every tensor that no kernel may change: more than the width of a tile.
const BAND: usize = 144;

/// What the kernel of a case read and wrote.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Everything that the kernel read, by the names of its fields, as it was before the run.
    pub inputs: Vec<(&'static str, Values)>,
    /// Everything that the kernel writes, by the names of its fields.
    pub outputs: Vec<(&'static str, Vec<f32>)>,
    /// Descriptions of every write outside the outputs.
    pub damage: Vec<String>,
}

/// The contents of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Values of a tensor.
    Floats(Vec<f32>),
    /// Tokens or positions.
    Indices(Vec<u32>),
}

impl Outcome {
    /// The values of the input called `name`, if it is one of floats.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        self.inputs.iter().find_map(|(input, values)| match values {
            Values::Floats(values) if *input == name => Some(values.as_slice()),
            _ => None,
        })
    }

    /// The values of the input called `name`, if it is one of tokens or positions.
    pub fn indices(&self, name: &str) -> Option<&[u32]> {
        self.inputs.iter().find_map(|(input, values)| match values {
            Values::Indices(values) if *input == name => Some(values.as_slice()),
            _ => None,
        })
    }

    /// The output called `name`.
    pub fn output(&self, name: &str) -> Option<&[f32]> {
        self.outputs
            .iter()
            .find(|(output, _)| *output == name)
            .map(|(_, values)| values.as_slice())
    }
}

/// Where a tensor lies in its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum Place {
    /// At the beginning, for kernels that do not take a part of a buffer.
    Whole,
    /// After a guard band, whose length differs between tensors so that exchanged offsets are
    /// detected.
    Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Must not change.
    Input,
    /// Is compared.
    Output,
    /// May have any value after the run.
    Scratch,
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    role: Role,
    /// The buffer with its guard bands, as bits.
    whole: Tensor<u32>,
    /// Elements before the tensor.
    front: usize,
    /// Elements of the tensor.
    length: usize,
    /// Whether they are tokens or positions.
    are_indices: bool,
    /// The whole buffer as it was before the kernel ran.
    before: Vec<u32>,
}

/// Allocates the buffers of one case on a device and runs its kernel.
pub struct Harness<'a> {
    device: &'a mut Device,
    pub(super) random: ChaCha8Rng,
    slots: Vec<Slot>,
    inputs: Vec<(&'static str, Values)>,
}

impl<'a> Harness<'a> {
    pub(super) fn new(device: &'a mut Device, seed: u64) -> Self {
        Self {
            device,
            random: ChaCha8Rng::seed_from_u64(seed),
            slots: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// `count` values in [-bound, bound).
    pub(in crate::kernels) fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count)
            .map(|_| self.random.random_range(-bound..bound))
            .collect()
    }

    /// An input with these values.
    pub(in crate::kernels) fn input(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
        values: Vec<f32>,
    ) -> Result<Tensor> {
        let tensor = self.allocate(name, Role::Input, place, shape, &values)?;
        self.inputs.push((name, Values::Floats(values)));
        Ok(tensor)
    }

    /// An input with values in [-1, 1).
    pub(in crate::kernels) fn random_input(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
    ) -> Result<Tensor> {
        let values = self.uniform(shape[0] * shape[1], 1.0);
        self.input(name, place, shape, values)
    }

    /// An input of tokens or positions. Kernels take them at any offset in a buffer.
    pub(in crate::kernels) fn tokens(
        &mut self,
        name: &'static str,
        values: Vec<u32>,
    ) -> Result<Tensor<u32>> {
        let tensor = self.allocate(name, Role::Input, Place::Part, [1, values.len()], &values)?;
        self.inputs.push((name, Values::Indices(values)));
        Ok(tensor)
    }

    /// An output, poisoned so that elements which the kernel does not write are detected.
    pub(in crate::kernels) fn output(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
    ) -> Result<Tensor> {
        self.allocate(
            name,
            Role::Output,
            place,
            shape,
            &vec![POISON; shape[0] * shape[1]],
        )
    }

    /// An output of tokens or positions, compared as numbers, which f32 holds below 2^24.
    pub(in crate::kernels) fn token_output(
        &mut self,
        name: &'static str,
        shape: [usize; 2],
    ) -> Result<Tensor<u32>> {
        let poison = vec![POISON.to_bits(); shape[0] * shape[1]];
        let tensor = self.allocate(name, Role::Output, Place::Part, shape, &poison)?;
        if let Some(slot) = self.slots.last_mut() {
            slot.are_indices = true;
        }
        Ok(tensor)
    }

    /// A tensor that the kernel changes in place: an input and an output.
    pub(in crate::kernels) fn in_place(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
        values: Vec<f32>,
    ) -> Result<Tensor> {
        let tensor = self.allocate(name, Role::Output, place, shape, &values)?;
        self.inputs.push((name, Values::Floats(values)));
        Ok(tensor)
    }

    /// A tensor with values in [-1, 1) that the kernel changes in place.
    pub(in crate::kernels) fn random_in_place(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
    ) -> Result<Tensor> {
        let values = self.uniform(shape[0] * shape[1], 1.0);
        self.in_place(name, place, shape, values)
    }

    /// A tensor that the kernel adds to if `accumulate`, and otherwise overwrites.
    pub(in crate::kernels) fn accumulated(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
        accumulate: bool,
    ) -> Result<Tensor> {
        if accumulate {
            self.random_in_place(name, place, shape)
        } else {
            self.output(name, place, shape)
        }
    }

    /// An input that the kernel may use as scratch: its values after the run are not compared.
    pub(in crate::kernels) fn consumed(
        &mut self,
        name: &'static str,
        place: Place,
        shape: [usize; 2],
        values: Vec<f32>,
    ) -> Result<Tensor> {
        let tensor = self.allocate(name, Role::Scratch, place, shape, &values)?;
        self.inputs.push((name, Values::Floats(values)));
        Ok(tensor)
    }

    /// Scratch memory.
    pub(in crate::kernels) fn scratch(
        &mut self,
        name: &'static str,
        shape: [usize; 2],
    ) -> Result<Tensor> {
        self.allocate(
            name,
            Role::Scratch,
            Place::Whole,
            shape,
            &vec![POISON; shape[0] * shape[1]],
        )
    }

    fn allocate<T: Element>(
        &mut self,
        name: &'static str,
        role: Role,
        place: Place,
        shape: [usize; 2],
        values: &[T],
    ) -> Result<Tensor<T>> {
        let front = match place {
            Place::Whole => 0,
            Place::Part => 3 + 7 * self.slots.len(),
        };
        let length = shape[0] * shape[1];
        let mut before = vec![POISON.to_bits(); front];
        before.extend_from_slice(bytemuck::cast_slice(values));
        before.resize(front + length + BAND, POISON.to_bits());
        let whole: Tensor<u32> = self.device.tensor_from(name, 1, before.len(), &before)?;
        let tensor = Tensor::new(whole.buffer, 1, before.len())
            .tail(front)
            .reshape(shape[0], shape[1]);
        self.slots.push(Slot {
            name,
            role,
            whole,
            front,
            length,
            are_indices: false,
            before,
        });
        Ok(tensor)
    }

    /// Runs the kernel.
    pub(in crate::kernels) fn run(&mut self, kernel: &dyn Kernel) {
        self.device.run(kernel);
    }

    /// Downloads every buffer, looks for damage and releases the buffers.
    pub(super) fn finish(self) -> Result<Outcome> {
        let mut outcome = Outcome {
            inputs: self.inputs,
            ..Outcome::default()
        };
        for Slot {
            name,
            role,
            whole,
            front,
            length,
            are_indices,
            before,
        } in self.slots
        {
            let after: Vec<u32> = self.device.download(&whole)?;
            self.device.release(whole);
            let guarded = |i: &usize| role == Role::Input || !(front..front + length).contains(i);
            if let Some(i) = (0..after.len())
                .filter(guarded)
                .find(|&i| before[i] != after[i])
            {
                let value = f32::from_bits(after[i]);
                outcome.damage.push(match i.checked_sub(front) {
                    None => format!(
                        "{name}: {value:e} was written {} before its beginning",
                        front - i
                    ),
                    Some(i) if i >= length => format!(
                        "{name}: {value:e} was written {} after its end",
                        i - length + 1
                    ),
                    Some(i) => format!("{name}[{i}]: {value:e} was written over an input"),
                });
            }
            if role == Role::Output {
                let value = |&bits: &u32| match are_indices {
                    true => bits as f32,
                    false => f32::from_bits(bits),
                };
                let values = after[front..front + length].iter().map(value).collect();
                outcome.outputs.push((name, values));
            }
        }
        Ok(outcome)
    }
}
