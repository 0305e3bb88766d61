//! Recipes by name: readable files of flags, which come with the program.

use clap::builder::PossibleValuesParser;

/// A preset: its name, and the text of its file, whose first lines say where it comes from and what
/// to expect.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! presets {
    ($($name:literal),*) => {
        &[$(Preset { name: $name, text: include_str!(concat!("presets/", $name, ".toml")) }),*]
    };
}

/// All of them.
pub(super) static PRESETS: &[Preset] = presets![
    "seed",
    "mikolov2010",
    "ptb-small",
    "ptb-medium",
    "awd-lstm",
    "char-rnn"
];

/// What `--preset` takes.
pub(super) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name))
}

/// What `--preset` says, preset by preset.
pub(super) fn help() -> String {
    let rows: String = PRESETS
        .iter()
        .map(|preset| format!("\n- {}: {}", preset.name, preset.description()))
        .collect();
    format!(
        "Take flags from a recipe that comes with the program; flags given by hand win, then those \
         of --config{rows}"
    )
}

impl Preset {
    /// Source and expected figure.
    fn description(&self) -> String {
        let comments = self.text.lines().map_while(|line| line.strip_prefix("# "));
        comments.collect::<Vec<_>>().join(" ")
    }
}
