//! Which messages the program prints, and how: `--quiet`, `--verbose`, `--color` and `ELMAN_LOG`.

use std::ffi::OsString;

use clap::{Args, ColorChoice, ValueEnum};

use super::quiet::be_quiet;
use super::stderr;

/// The environment variable that selects log records, as env_logger reads them: `debug`, or
/// `elman=debug,wgpu_core=info`.
const LOG_VARIABLE: &str = "ELMAN_LOG";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Messages")]
pub(super) struct MessageFlags {
    /// Print results, warnings and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Also print how long each activity took. ELMAN_LOG=elman=debug prints more, for faults of
    /// GPU drivers
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Colors in help and messages: auto uses them on terminals, unless the environment variable
    /// NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: ColorChoice,
}

impl MessageFlags {
    /// Applies the flags to the whole process.
    pub(super) fn apply(&self) {
        if self.quiet {
            be_quiet();
        }
        match self.color {
            ColorChoice::Always => console::set_colors_enabled_stderr(true),
            ColorChoice::Never => console::set_colors_enabled_stderr(false),
            ColorChoice::Auto => {}
        }
        let selected = std::env::var(LOG_VARIABLE).ok();
        let of_flags = self.verbose.then(|| "elman=info".to_owned());
        if let Some(filters) = selected.or(of_flags) {
            log_to_stderr(&filters);
        }
    }
}

/// Prints the log records of the program and its libraries that `filters` selects.
fn log_to_stderr(filters: &str) {
    let logger = env_logger::Builder::new()
        .parse_filters(filters)
        .format(|_, record| {
            let level = record.level().as_str().to_lowercase();
            stderr::write_line(format_args!(
                "{level}: {}: {}",
                record.target(),
                record.args()
            ));
            Ok(())
        })
        .try_init();
    // A program that uses this library may have a logger.
    if logger.is_err() {
        stderr_line!("warning: there is another logger; {LOG_VARIABLE} has no effect");
    }
}

/// The value of `--color` in a command line that is not parsed yet: help and errors of the parser
/// have colors too.
pub(super) fn color_choice(arguments: &[OsString]) -> ColorChoice {
    let mut values = arguments
        .iter()
        .enumerate()
        .filter_map(|(index, argument)| {
            let argument = argument.to_str()?;
            match argument.strip_prefix("--color")? {
                "" => arguments.get(index + 1)?.to_str(),
                value => value.strip_prefix('='),
            }
        });
    let last = values.next_back();
    last.and_then(|value| ColorChoice::from_str(value, false).ok())
        .unwrap_or_default()
}
