//! Dropout: the multipliers of a window, and the generator that draws them.
//!
//! An element is dropped with probability p, its rate, and a kept one is multiplied by 1 / (1 - p)
//! (Srivastava 2014, as in PyTorch). Whether it is dropped depends on four numbers only: the run's
//! seed, the [site](sites) in the network, the draw (the index of the window, epoch or step), and
//! the index within the mask. The random numbers come from Threefry-2x32 with 20 rounds (Salmon,
//! Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").

use super::generator::Generator;
use super::network::Architecture;

/// Multipliers of a window's values: 0 or 1 / (1 - p) for dropout, but any value is valid. None: 1.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    /// `[T, B]`: the word's whole row, embedded or one-hot. In a feed-forward network, `[T, B, N]`:
    /// each word of a context.
    pub words: Option<Vec<f64>>,
    /// `[T, B, D]`, `[T, B, N*D]`: the embedded word, or those of a context. Without an embedding
    /// `[T, B, V]`: the one-hot vector.
    pub input: Option<Vec<f64>>,
    /// `[T, B, H_k]` per layer: the output of layer k, as the next layer, the projection or the
    /// output layer reads it. The layer's next step sees the unmasked state. Layers beyond the list
    /// have none.
    pub outputs: Vec<Option<Vec<f64>>>,
    /// `[T, B, K*D]`: the latents of a mixture of softmaxes.
    pub latents: Option<Vec<f64>>,
    /// `[G*H_k, H_k]` per layer: the recurrent weight for the whole window; or `[G*H_k, in]`: the
    /// input weight of quasi-recurrent units. Layers beyond the list have none.
    pub weights: Vec<Option<Vec<f64>>>,
    /// `[T, B, H_k]` per layer: the gates f of quasi-recurrent units; 0 or 1 for zoneout. Layers
    /// beyond the list have none.
    pub zoneout: Vec<Option<Vec<f64>>>,
}

impl Masks {
    /// The mask of the output of layer k.
    pub fn output(&self, k: usize) -> Option<&[f64]> {
        self.outputs.get(k)?.as_deref()
    }

    /// The mask of the weight of layer k.
    pub fn weight(&self, k: usize) -> Option<&[f64]> {
        self.weights.get(k)?.as_deref()
    }

    /// The mask of the gates f of layer k.
    pub fn zoneout(&self, k: usize) -> Option<&[f64]> {
        self.zoneout.get(k)?.as_deref()
    }

    /// The mask of the latents of step t and stream b of `batch`.
    pub fn latent(&self, t: usize, b: usize, batch: usize, size: usize) -> Option<&[f64]> {
        Some(&self.latents.as_ref()?[(t * batch + b) * size..][..size])
    }

    /// A mask at every place: about a quarter zeros, the other values from [-1.5, 1.5).
    pub fn random(architecture: &Architecture, time_steps: usize, batch: usize, seed: u64) -> Self {
        let mut generator = Generator::new(seed);
        let mut mask = |count: usize| {
            let values = (0..count).map(|_| {
                if generator.below(4) == 0 {
                    0.0
                } else {
                    generator.vector(1, 1.5)[0]
                }
            });
            Some(values.collect::<Vec<_>>())
        };
        let rows = time_steps * batch;
        let layers = 0..architecture.num_layers();
        Self {
            words: mask(rows * architecture.words()),
            input: mask(rows * architecture.embedded_size()),
            outputs: layers
                .clone()
                .map(|k| mask(rows * architecture.layer_output_size(k)))
                .collect(),
            weights: layers
                .clone()
                .filter_map(|k| architecture.masked_weight_size(k))
                .map(&mut mask)
                .collect(),
            zoneout: layers
                .filter(|_| architecture.has_zoneout())
                .map(|k| mask(rows * architecture.layer_size(k)))
                .collect(),
            latents: match architecture.latent_size() {
                0 => None,
                size => mask(rows * size),
            },
        }
    }

    /// Demands that every mask has the number of elements of its shape.
    ///
    /// # Panics
    /// If there are more or fewer.
    pub fn check(&self, architecture: &Architecture, time_steps: usize, batch: usize) {
        let rows = time_steps * batch;
        let check = |what: &str, mask: Option<&[f64]>, count: usize| {
            assert!(
                mask.is_none_or(|mask| mask.len() == count),
                "mask of {what}: {:?} numbers instead of {count}",
                mask.map(<[f64]>::len)
            );
        };
        check("words", self.words.as_deref(), rows * architecture.words());
        check(
            "the input",
            self.input.as_deref(),
            rows * architecture.embedded_size(),
        );
        check(
            "latents",
            self.latents.as_deref(),
            rows * architecture.latent_size(),
        );
        let layers = architecture.num_layers();
        let lists = [&self.outputs, &self.weights, &self.zoneout];
        assert!(
            lists.iter().all(|list| list.len() <= layers),
            "masks of more than {layers} layers"
        );
        for k in 0..layers {
            check(
                &format!("outputs of layer {k}"),
                self.output(k),
                rows * architecture.layer_output_size(k),
            );
            check(
                &format!("weights of layer {k}"),
                self.weight(k),
                architecture.masked_weight_size(k).unwrap_or(0),
            );
            check(
                &format!("zoneout of layer {k}"),
                self.zoneout(k),
                rows * architecture.layer_size(k),
            );
        }
    }
}

/// The indices of the places in a network that have a mask, as the generator uses them.
pub mod sites {
    /// Whole words.
    pub const WORDS: u32 = 0;
    /// The embedded words.
    pub const INPUT: u32 = 1;
    /// The latents of a mixture of softmaxes.
    pub const LATENTS: u32 = u32::MAX;

    /// The output of layer k.
    pub fn output(k: usize) -> u32 {
        2 + 2 * k as u32
    }

    /// The recurrent weight of layer k, or what takes its place.
    pub fn weight(k: usize) -> u32 {
        3 + 2 * k as u32
    }

    /// The gates f of layer k.
    pub fn zoneout(k: usize) -> u32 {
        (1 << 31) + 2 * k as u32
    }
}

/// The rotation of the first word in each round; the list is repeated.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// Makes a key of zeros as good as any other key.
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32 with 20 rounds.
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x = [
        counter[0].wrapping_add(keys[0]),
        counter[1].wrapping_add(keys[1]),
    ];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x[0] = x[0].wrapping_add(keys[injection % 3]);
            x[1] = x[1]
                .wrapping_add(keys[(injection + 1) % 3])
                .wrapping_add(injection as u32);
        }
    }
    x
}

/// 0 with probability `rate`, else the f32 nearest to 1 / (1 - rate).
pub fn multiplier(seed: u32, site: u32, draw: u32, index: u32, rate: f64) -> f64 {
    let [x, _] = threefry([seed, site], [index, draw]);
    let threshold = (rate * 4_294_967_296.0).floor();
    if f64::from(x) < threshold {
        0.0
    } else {
        f64::from((1.0 / (1.0 - rate)) as f32)
    }
}

/// One draw at one site.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The run's seed.
    pub seed: u32,
    /// One of [`sites`].
    pub site: u32,
    /// The draw's index.
    pub draw: u32,
    /// p.
    pub rate: f64,
}

impl Draw {
    /// The multiplier of one index.
    fn at(&self, index: usize) -> f64 {
        multiplier(
            self.seed,
            self.site,
            self.draw,
            u32::try_from(index).expect("a small index"),
            self.rate,
        )
    }

    /// Each element independently: the index is the position.
    pub fn elements(&self, count: usize) -> Vec<f64> {
        (0..count).map(|index| self.at(index)).collect()
    }

    /// `[T, B, columns]`: the same for all steps (Gal and Ghahramani 2016), the index of stream b
    /// and column c being b * columns + c.
    pub fn streams(&self, time_steps: usize, batch: usize, columns: usize) -> Vec<f64> {
        self.elements(batch * columns).repeat(time_steps)
    }

    /// `[T, B]`: equal for equal words; the index is the token. 1 if there is no word.
    pub fn words(&self, tokens: &[Option<usize>]) -> Vec<f64> {
        tokens
            .iter()
            .map(|token| token.map_or(1.0, |token| self.at(token)))
            .collect()
    }
}
