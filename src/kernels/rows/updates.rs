//! Updates of parameters on a GPU. Those of several parameters with dense gradients share a
//! dispatch.

use super::{Gradient, SparseRows};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// The updates of several parameters by one optimizer. On a GPU, as many parameters with dense
/// gradients share a dispatch as the optimizer has shaders for. The tensors and a dense gradient
/// may be sharded tables.
#[derive(Debug, Clone, Copy)]
pub struct Updates<'a, U>(pub &'a [U]);

/// An optimizer's update of one parameter.
pub trait Update: Kernel {
    /// The entry points for the dense gradients of one parameter, of two, and so on. The tensors,
    /// the gradient and the scale are bound in this order; then the tensors and the gradient of
    /// each further parameter.
    const DENSE: &'static [&'static Shader];
    /// The entry point for a gradient of rows. Tokens and order follow the scale.
    const SPARSE: &'static Shader;
    /// Whether the state decays in every row: `SPARSE` then prescales the gradient, and `DENSE`
    /// follows without one.
    const DECAYS: bool;

    /// What a GPU is given.
    fn parts(&self) -> UpdateParts;
}

/// The tensors and numbers of an update.
#[derive(Debug, Clone)]
pub struct UpdateParts {
    /// The parameter, and the optimizer's state of the same shape.
    pub tensors: Vec<Tensor>,
    /// The parameter's gradient.
    pub gradient: Gradient,
    /// `[1, 1]`: a factor for the gradient.
    pub scale: Tensor,
    /// The learning rate.
    pub rate: f32,
    /// The shader's argument of this name.
    pub sqrt_correction: f32,
    /// The shader's override constant, if it has one.
    pub constant: Option<(&'static str, f64)>,
}

arguments! {
    count: u32,
    rate: f32,
    count_1: u32,
    rate_1: f32,
    count_2: u32,
    rate_2: f32,
    columns: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
    sqrt_correction: f32,
}

/// The source of an optimizer's shaders: its file and those that optimizers share.
macro_rules! optimizer_source {
    ($file:literal $(, $shared:literal)*) => {
        concat!(
            include_str!(concat!("../../shaders/", $file)),
            include_str!("../../shaders/update.wgsl"),
            $(include_str!(concat!("../../shaders/", $shared))),*
        )
    };
}
pub(in crate::kernels) use optimizer_source;

/// The entry point `dense` of an optimizer.
pub(in crate::kernels) const fn optimizer_shader(
    stem: &'static str,
    source: &'static str,
    bindings: &'static [(&'static str, Access)],
) -> Shader {
    Shader {
        stem,
        source,
        entry_point: "dense",
        bindings,
        arguments: Arguments::FIELDS,
        enables: "",
        trusted: false,
    }
}

impl<U: Update> Kernel for Updates<'_, U> {
    fn name(&self) -> &'static str {
        U::SPARSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        for update in self.0 {
            update.on_cpu(cpu);
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let mut joined: Vec<UpdateParts> = Vec::with_capacity(U::DENSE.len());
        for update in self.0 {
            let parts = update.parts();
            let is_table = gpu.shards(&parts.tensors[0]).len() > 1;
            if is_table || matches!(parts.gradient, Gradient::Sparse(..)) {
                launch_table::<U>(gpu, &parts);
                continue;
            }
            let is_full = joined.len() == U::DENSE.len();
            if is_full || !joined.iter().all(|other| other.can_join(&parts)) {
                launch_dense::<U>(gpu, &joined, true);
                joined.clear();
            }
            joined.push(parts);
        }
        if !joined.is_empty() {
            launch_dense::<U>(gpu, &joined, true);
        }
    }
}

impl UpdateParts {
    /// Whether a dispatch can have both updates.
    fn can_join(&self, other: &Self) -> bool {
        self.scale == other.scale
            && self.sqrt_correction == other.sqrt_correction
            && self.constant == other.constant
    }

    /// The parts for each shard of the parameter, with the first row of the shard.
    fn shards(&self, gpu: &Gpu) -> Vec<(Self, usize)> {
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|tensor| gpu.shards(tensor))
            .collect();
        let gradients = match self.gradient {
            Gradient::Dense(values) => gpu.shards(&values),
            Gradient::Sparse(..) => Vec::new(),
        };
        let shard = |index: usize| {
            let parts = Self {
                tensors: tensors.iter().map(|shards| shards[index].tensor).collect(),
                gradient: match gradients.get(index) {
                    Some(shard) => Gradient::Dense(shard.tensor),
                    None => self.gradient,
                },
                ..self.clone()
            };
            (parts, tensors[0][index].rows.start)
        };
        (0..tensors[0].len()).map(shard).collect()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.constant.into_iter().collect()
    }

    /// The bindings of the tensors and the gradient.
    fn bindings(&self) -> impl Iterator<Item = Binding> {
        let gradient = self.gradient.values();
        let tensors = self.tensors.iter().map(Binding::whole);
        tensors.chain(std::iter::once(Binding::whole(&gradient)))
    }
}

/// Launches the updates of a table, shard by shard, or of a parameter whose gradient has rows.
fn launch_table<U: Update>(gpu: &mut Gpu, parts: &UpdateParts) {
    let shards = parts.shards(gpu);
    let Gradient::Sparse(values, rows) = parts.gradient else {
        for (shard, _) in shards {
            launch_dense::<U>(gpu, &[shard], true);
        }
        return;
    };
    for (shard, first_row) in &shards {
        launch_sparse::<U>(gpu, shard, (values, rows), *first_row);
    }
    if U::DECAYS {
        for (shard, _) in shards {
            launch_dense::<U>(gpu, &[shard], false);
        }
    }
}

fn launch_sparse<U: Update>(
    gpu: &mut Gpu,
    parts: &UpdateParts,
    (values, rows): (Tensor, SparseRows),
    first_row: usize,
) {
    let (tokens, tokens_offset) = Binding::with_offset(&rows.tokens);
    let (order, order_offset) = Binding::with_offset(&rows.order);
    let mut bindings: Vec<_> = parts.bindings().collect();
    bindings.extend([Binding::whole(&parts.scale), tokens, order]);
    let arguments = Arguments {
        count: to_u32(values.rows()),
        rate: parts.rate,
        columns: to_u32(values.columns()),
        tokens_offset,
        order_offset,
        first_row: to_u32(first_row),
        end_row: to_u32(first_row + parts.tensors[0].rows()),
        sqrt_correction: parts.sqrt_correction,
        ..bytemuck::Zeroable::zeroed()
    };
    let groups = workgroups(values.rows(), 1);
    gpu.launch(U::SPARSE, &parts.constants(), &bindings, &arguments, groups);
}

/// Launches the updates of parameters that share a dispatch, with their gradients, or of one
/// without.
fn launch_dense<U: Update>(gpu: &mut Gpu, updates: &[UpdateParts], has_gradient: bool) {
    let first = &updates[0];
    let mut constants = first.constants();
    if !has_gradient {
        constants.push(("GRADIENT", 0.0));
    }
    let mut bindings: Vec<_> = first.bindings().collect();
    bindings.push(Binding::whole(&first.scale));
    let mut counts = [0; 3];
    let mut rates = [0.0; 3];
    let mut groups = 0;
    for (index, update) in updates.iter().enumerate() {
        let count = update.tensors[0].len();
        (counts[index], rates[index]) = (to_u32(count), update.rate);
        groups += count.div_ceil(256);
        if index > 0 {
            bindings.extend(update.bindings());
        }
    }
    let ([count, count_1, count_2], [rate, rate_1, rate_2]) = (counts, rates);
    let arguments = Arguments {
        count,
        rate,
        count_1,
        rate_1,
        count_2,
        rate_2,
        sqrt_correction: first.sqrt_correction,
        ..bytemuck::Zeroable::zeroed()
    };
    let shader = U::DENSE[updates.len() - 1];
    gpu.launch(
        shader,
        &constants,
        &bindings,
        &arguments,
        workgroups(groups, 1),
    );
}
