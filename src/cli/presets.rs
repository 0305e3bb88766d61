//! Presets: named files of flags that are part of the program.

use clap::builder::PossibleValuesParser;

/// A preset: its name, and the text of its file, whose first lines give its source and the expected
/// result.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! presets {
    ($($name:literal),*) => {
        &[$(Preset { name: $name, text: include_str!(concat!("presets/", $name, ".toml")) }),*]
    };
}

/// Every preset.
pub(super) static PRESETS: &[Preset] = presets![
    "seed",
    "mikolov2010",
    "ptb-small",
    "ptb-medium",
    "awd-lstm",
    "awd-lstm-finetune",
    "awd-qrnn",
    "mogrifier",
    "best-small",
    "best",
    "best-char",
    "char-rnn"
];

/// The values of `--preset`.
pub(super) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name))
}

/// The help text of `--preset`.
pub(super) fn help() -> String {
    let rows: String = PRESETS
        .iter()
        .map(|preset| format!("\n- {}: {}", preset.name, preset.description()))
        .collect();
    format!(
        "Read flags from a preset; flags on the command line take precedence, then those of \
         --config{rows}"
    )
}

impl Preset {
    /// Whether it fine-tunes the model of `--init`.
    pub(super) fn is_fine_tuning(&self) -> bool {
        self.name.ends_with("-finetune")
    }

    /// Its source and the expected result.
    pub(super) fn description(&self) -> String {
        let comments = self.text.lines().map_while(|line| line.strip_prefix("# "));
        comments.collect::<Vec<_>>().join(" ")
    }
}
