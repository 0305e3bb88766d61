//! Text that a network generates, on one rank or on several, to be counted by the first.

use std::path::Path;

use super::NgramFlags;
use crate::activity::{self, Activity};
use crate::checkpoint::Checkpoint;
use crate::cli::input::named;
use crate::cli::model;
use crate::cli::models::read_model;
use crate::cli::ranks::{self, START_AGAIN, sequences};
use crate::corpus::{Unit, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generate::ParallelGenerator;
use crate::model::Model;
use crate::ngram::KneserNey;
use crate::parallel::Ranks;

/// Tokens that a network generates by default.
const DEFAULT_TOKENS: usize = 10_000_000;
/// Tokens of each stream that ranks generate before they send them to the first one.
const STEPS: usize = 32;

/// Counts text that a network generates, and returns its vocabulary. The order of the sentences
/// does not depend on the number of ranks.
///
/// # Errors
/// On all ranks, if one fails.
pub(super) fn count(
    flags: &NgramFlags,
    directory: &Path,
    counting: &mut KneserNey,
    ranks: &Ranks,
) -> Result<Vocabulary> {
    let checkpoint = ranks.agree(read(directory))?;
    ranks::check_models(ranks, std::slice::from_ref(&checkpoint))?;
    let mut device = ranks.agree(flags.device.open())?;
    let model = ranks.agree(model(&mut device, &checkpoint))?;
    let inputs = named("--test", &flags.test);
    flags
        .device
        .rank_timeout
        .watch_reading(ranks, START_AGAIN, inputs)?;
    let seed = flags.seed.unwrap_or(1);
    let generator = ParallelGenerator::of_rank(&mut device, &model, seed, ranks);
    let mut generator = ranks.agree(generator)?;
    let tokens = flags.tokens.unwrap_or(DEFAULT_TOKENS);
    let activity = Activity::start("generating text", Some(tokens as u64));
    let mut token_count = 0;
    while token_count < tokens {
        let before = token_count;
        let steps = match ranks.is_alone() {
            true => 1,
            false => STEPS,
        };
        let generated = ranks.together(|| generate(&mut generator, &mut device, &model, steps));
        let of_ranks = ranks.gather(&ranks.agree(generated)?);
        let mut counted = Ok(());
        for sentences in by_step(&of_ranks, steps) {
            // One process ends after the step with the last token.
            if token_count >= tokens {
                break;
            }
            for sentence in sentences {
                token_count += sentence.len() + 1;
                if ranks.is_first() && counted.is_ok() {
                    counted = counting.add_sentence(&sentence);
                }
            }
        }
        ranks.agree(counted)?;
        activity.advance((token_count - before) as u64);
    }
    drop(activity);
    note_line!("the network generated {token_count} tokens");
    Ok(checkpoint.vocabulary)
}

/// Reads a model of words.
fn read(directory: &Path) -> Result<Checkpoint> {
    let checkpoint = read_model(directory)?;
    if checkpoint.description.unit != Unit::Word {
        return Err(Error::invalid(
            format!("--model {}", directory.display()),
            format!(
                "its tokens are {}, and those of an ARPA file are words",
                checkpoint.description.unit.plural()
            ),
            "Use a model of words",
        ));
    }
    Ok(checkpoint)
}

/// The sentences that are complete after each of some steps, with their size before them.
fn generate(
    generator: &mut ParallelGenerator,
    device: &mut Device,
    model: &Model,
    steps: usize,
) -> Result<Vec<u32>> {
    let mut generated = Vec::new();
    for _ in 0..steps {
        activity::advanced();
        let sentences = sequences::to_part(&generator.sentences(device, model)?);
        generated.push(sentences.len() as u32);
        generated.extend(sentences);
    }
    Ok(generated)
}

/// The sentences of each step, in the order of ranks.
fn by_step(of_ranks: &[Vec<u32>], steps: usize) -> Vec<Vec<Vec<u32>>> {
    let mut rests: Vec<&[u32]> = of_ranks.iter().map(Vec::as_slice).collect();
    let next = |rest: &mut &[u32]| {
        let (size, after) = rest.split_first().expect("each step has its size");
        let (step, after) = after.split_at(*size as usize);
        *rest = after;
        sequences::of_part(step)
    };
    let step = |_| rests.iter_mut().flat_map(next).collect();
    (0..steps).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_the_order_of_steps_and_then_of_ranks() {
        let of_ranks = [vec![2, 1, 5, 0], vec![0, 3, 0, 1, 6]];
        let want = [vec![vec![5]], vec![vec![], vec![6]]];
        assert_eq!(by_step(&of_ranks, 2), want);
    }
}
