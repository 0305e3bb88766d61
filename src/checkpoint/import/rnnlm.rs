//! Models of Mikolov's rnnlm (rnnlm 0.3 and 0.4, format version 10), text or binary, with classes,
//! direct connections, a compression layer, and the state after the validation text.
//!
//! Input: a file that `rnnlm -train` wrote. Output: an [`Imported`] and the fields of the
//! configuration that its tensors do not determine.

mod reader;

use std::collections::HashMap;
use std::path::Path;

use super::{CLASS_WEIGHT, COMPRESSION, DECODER, DIRECT, Imported, ImportedShape, read_file};
use crate::checkpoint::in_file;
use crate::corpus::Unit;
use crate::error::{Error, Result};
use crate::model::{Activation, Binning, Classes, Config};
use reader::{FileFormat, Header, RnnlmReader};

/// The version of the format that is supported.
const VERSION: usize = 10;
/// The value of every unit after the end of a sentence in rnnlm's independent mode.
const INDEPENDENT_STATE: f32 = 1.0;

const RESTORE: &str = "Restore the file from a copy";

/// Reads a model: the network, and a configuration with the fields that its shape does not
/// determine.
///
/// # Errors
/// If the file cannot be read, has another version, is shorter or longer than its sizes require,
/// has a word twice, has a word that is not UTF-8, or has classes that are not consecutive words of
/// the vocabulary.
pub fn read(path: &Path) -> Result<(Imported, Config)> {
    let bytes = read_file(path)?;
    parse(&bytes, &path.display().to_string())
}

/// The sizes of a network, from the header of the file.
struct LayerSizes {
    words: usize,
    hidden: usize,
    compression: usize,
    classes: usize,
    direct: usize,
}

fn parse(bytes: &[u8], file: &str) -> Result<(Imported, Config)> {
    let mut reader = RnnlmReader::new(bytes, file);
    let header = reader.header()?;
    let format = file_format(&header, file)?;
    let sizes = LayerSizes::read(&header, file)?;
    let (vocabulary, class_sizes) = reader.vocabulary(&sizes)?;
    let path = Path::new(file);
    let parameters = read_parameters(&mut reader, &sizes, format)?;
    let config = config(&header, &sizes, class_sizes)?;

    let shape = ImportedShape {
        cell: "elman",
        gates: 1,
        vocab_size: sizes.words,
        embedding_size: 0,
        hidden_sizes: vec![sizes.hidden],
        bias: false,
        decoder_bias: false,
        tied: false,
        projection: false,
        residual: false,
        cap_input_gate: false,
    };
    shape
        .config(config.clone())
        .map_err(|error| in_file(path, error))?;
    let mut notes = Vec::new();
    if format == FileFormat::Text {
        notes.push(
            "rnnlm's text format has four decimals of each value; its -binary format is exact"
                .to_owned(),
        );
    }
    // In the independent mode a text does not start from the stored state.
    let initial_states = (!config.independent).then(|| vec![parameters.state]);
    let imported = Imported {
        file: path.to_owned(),
        shape,
        unit: Unit::Word,
        vocabulary,
        values: parameters.values,
        skip_unknown: true,
        initial_states,
        activation: None,
        initial_state: None,
        notes,
    };
    Ok((imported, config))
}

/// Checks the version and returns the format of the values.
fn file_format(header: &Header<'_>, file: &str) -> Result<FileFormat> {
    let version = header.integer("version")?;
    if version != VERSION {
        return Err(Error::invalid(
            format!("{file}, version {version}"),
            format!("Elman reads version {VERSION}, which rnnlm 0.3 and 0.4 write"),
            "Train with one of them, or resume the model with one of them for no epoch: it writes \
             its version of the format",
        ));
    }
    match header.integer("file format")? {
        0 => Ok(FileFormat::Text),
        1 => Ok(FileFormat::Binary),
        other => Err(Error::invalid(
            format!("{file}, file format {other}"),
            "it must be 0 (text) or 1 (binary)",
            "Save it in one of these formats",
        )),
    }
}

/// The fields of the configuration that the shape of the network does not determine.
fn config(header: &Header<'_>, sizes: &LayerSizes, class_sizes: Vec<usize>) -> Result<Config> {
    let independent = header.integer("independent sentences mode")? != 0;
    let binning = match header.integer("old classes")? {
        0 => Binning::Sqrt,
        _ => Binning::Frequency,
    };
    let direct_order = match sizes.direct {
        0 => 0,
        _ => header.integer("direct order")?,
    };
    let defaults = Config::default();
    let initial_state = if independent {
        INDEPENDENT_STATE
    } else {
        defaults.initial_state
    };
    Ok(Config {
        activation: Activation::RnnlmSigmoid,
        compression_size: sizes.compression,
        output: "class".into(),
        classes: Some(Classes {
            asked: sizes.classes,
            binning,
            sizes: class_sizes,
        }),
        direct_size: sizes.direct,
        direct_order,
        initial_state,
        independent,
        ..defaults
    })
}

impl LayerSizes {
    /// Reads the sizes and checks that those of the input and output layers match their parts.
    fn read(header: &Header<'_>, file: &str) -> Result<Self> {
        let sizes = Self {
            words: header.integer("vocabulary size")?,
            hidden: header.integer("hidden layer size")?,
            compression: header.integer("compression layer size")?,
            classes: header.integer("class size")?,
            direct: header.integer("direct connections")?,
        };
        let input = header.integer("input layer size")?;
        let output = header.integer("output layer size")?;
        let has_classes = (1..=sizes.words).contains(&sizes.classes);
        let is_consistent = input.checked_sub(sizes.hidden) == Some(sizes.words)
            && output.checked_sub(sizes.classes) == Some(sizes.words);
        if is_consistent && sizes.words > 0 && sizes.hidden > 0 && has_classes {
            return Ok(sizes);
        }
        Err(Error::invalid(
            file,
            format!(
                "an input layer of {input}, a hidden layer of {}, an output layer of {output}, {} \
                 words and {} classes do not make a network",
                sizes.hidden, sizes.words, sizes.classes
            ),
            RESTORE,
        ))
    }
}

/// The state and the parameters of a file.
struct RnnlmParameters {
    /// The state of the hidden layer after the validation text, `[H]`.
    state: Vec<f32>,
    /// The parameters under Elman's names.
    values: HashMap<String, Vec<f32>>,
}

fn read_parameters(
    reader: &mut RnnlmReader<'_>,
    sizes: &LayerSizes,
    format: FileFormat,
) -> Result<RnnlmParameters> {
    let &LayerSizes {
        words,
        hidden,
        compression,
        classes,
        direct,
    } = sizes;
    let mut read = |what: &str, count: usize| reader.values(what, count, format);
    let mut values = HashMap::new();

    let state = read("the hidden layer's state", hidden)?;
    // A row has the weights of a unit from the words, then those from the previous state.
    let row_length = words + hidden;
    let input = read("the weights 0->1", hidden.saturating_mul(row_length))?;
    let rows = || input.chunks_exact(row_length);
    let weight_ih = rows().flat_map(|row| &row[..words]).copied().collect();
    let weight_hh = rows().flat_map(|row| &row[words..]).copied().collect();
    values.insert("rnn.weight_ih_l0".to_owned(), weight_ih);
    values.insert("rnn.weight_hh_l0".to_owned(), weight_hh);

    let mut output_input = hidden;
    if compression > 0 {
        output_input = compression;
        let count = compression.saturating_mul(hidden);
        values.insert(COMPRESSION.to_owned(), read("the weights 1->c", count)?);
    }
    let count = (words + classes).saturating_mul(output_input);
    let mut output = read("the weights to the output layer", count)?;
    let class_weight = output.split_off(words * output_input);
    values.insert(CLASS_WEIGHT.to_owned(), class_weight);
    values.insert(DECODER.to_owned(), output);
    if direct > 0 {
        values.insert(DIRECT.to_owned(), read("the direct connections", direct)?);
    }
    reader.finish(format)?;
    Ok(RnnlmParameters { state, values })
}
