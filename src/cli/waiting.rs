//! What a terminal shows while a command reads or evaluates a large text. Elsewhere, nothing.

use std::path::Path;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Time between two updates of a line.
const INTERVAL: Duration = Duration::from_millis(500);

/// A line on a terminal that disappears with this value.
pub(super) struct Waiting {
    bar: ProgressBar,
}

impl Waiting {
    /// Shows that a text is being read: its size and the time since the start.
    pub(super) fn reading(path: &Path) -> Self {
        Self::new(
            ProgressBar::no_length(),
            "{wide_msg} {elapsed}",
            reading_line(path),
        )
    }

    /// Shows how many of these tokens have been evaluated.
    pub(super) fn evaluating(tokens: usize) -> Self {
        let template = "evaluating [{bar:10}] {percent:>3} %  {eta} left{wide_msg}";
        Self::new(ProgressBar::new(tokens as u64), template, String::new())
    }

    fn new(bar: ProgressBar, template: &str, message: String) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let bar = bar.with_message(message);
        bar.enable_steady_tick(INTERVAL);
        Self { bar }
    }

    /// Counts a token.
    pub(super) fn count(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn reading_line(path: &Path) -> String {
    let name = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            format!("reading {name} ({})", HumanBytes(metadata.len()))
        }
        _ => format!("reading {name}"),
    }
}
