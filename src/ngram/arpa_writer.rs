//! Writes the ARPA format.
//!
//! In: a model. Out: a file with the n-grams in the order of the model, so that equal models give
//! identical files.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::NgramModel;
use super::arpa_lines::is_separator;
use super::trie::Path as TriePath;
use crate::activity::Activity;
use crate::error::{Error, Result};
use crate::output_file::write_file;

/// Writes a file, which takes its name when it is complete.
pub(super) fn write(model: &NgramModel, path: &Path) -> Result<()> {
    check_tokens(model)?;
    let is_compressed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    write_file(path, |file| {
        if is_compressed {
            let mut encoder = BufWriter::new(GzEncoder::new(file, Compression::default()));
            write_text(model, &mut encoder)?;
            encoder.into_inner()?.finish()?;
            Ok(())
        } else {
            let mut buffered = BufWriter::new(file);
            write_text(model, &mut buffered)?;
            buffered.flush()
        }
    })
}

/// Checks that every token can be read back.
fn check_tokens(model: &NgramModel) -> Result<()> {
    for id in 0..model.vocab_size() as u32 {
        let token = model.token(id);
        if token.is_empty() || token.contains(is_separator) {
            return Err(Error::invalid(
                format!("the token {token:?}"),
                "an ARPA file separates tokens by spaces, tabs and line endings, so a token must \
                 not be empty or contain one of these",
                "Rename the token",
            ));
        }
    }
    Ok(())
}

/// Writes a model in ARPA format.
pub(super) fn write_text(model: &NgramModel, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, r"\data\")?;
    for (order, count) in (1..).zip(model.counts()) {
        writeln!(out, "ngram {order}={count}")?;
    }
    let total: usize = model.counts().iter().sum();
    let activity = Activity::start("writing the n-gram model", Some(total as u64));
    for order in 1..=model.order() {
        writeln!(out, "\n\\{order}-grams:")?;
        write_order(model, order, out, &activity)?;
    }
    writeln!(out, "\n\\end\\")
}

/// Writes the n-grams of an order. Implicit contexts are omitted; the reader inserts them again.
fn write_order(
    model: &NgramModel,
    order: usize,
    out: &mut impl Write,
    activity: &Activity,
) -> io::Result<()> {
    let mut path = TriePath::new(order);
    for (node, &probability) in (0..).zip(&model.probabilities[order - 1]) {
        path.advance_to(&model.trie, node);
        if probability.is_nan() {
            continue;
        }
        activity.advance(1);
        write!(out, "{}", without_negative_zero(probability))?;
        let separators = std::iter::once('\t').chain(std::iter::repeat(' '));
        for (word, separator) in path.words(&model.trie).zip(separators) {
            write!(out, "{separator}{}", model.token(word))?;
        }
        let backoff = model
            .backoffs
            .get(order - 1)
            .map_or(0.0, |weights| weights[node as usize]);
        if backoff != 0.0 {
            write!(out, "\t{}", without_negative_zero(backoff))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Removes the sign of -0.
fn without_negative_zero(value: f32) -> f32 {
    value + 0.0
}
