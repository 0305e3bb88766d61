//! What `elman train --live` shows: the loss, the figures of the run, a text of the model, and the
//! last message.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Wrap};

use crate::cli::perplexity::perplexity;
use crate::cli::stderr::last_held_line;
use crate::cli::train::status_line::TimeLeft;
use crate::cli::train::step_report::StepReport;
use crate::train::{EpochRecord, Trainer};

/// The number of points of the training loss above which neighbours are merged: more than the
/// columns of a terminal.
const MOST_POINTS: usize = 1000;
/// Lines of a sample that are kept.
const SAMPLE_LINES: usize = 12;

/// The run as it is shown.
pub(super) struct View {
    title: String,
    epochs: usize,
    /// The part of the current epoch that is done.
    part: f64,
    /// The current epoch, counted from 1.
    epoch: usize,
    figures: Vec<String>,
    /// Epochs, and the mean loss of some windows, in nats per token.
    train: Vec<(f64, f64)>,
    /// Epochs, and the validation loss.
    valid: Vec<(f64, f64)>,
    sample: Vec<String>,
}

impl View {
    /// The view of a run that starts or is resumed.
    pub(super) fn new(title: String, trainer: &Trainer) -> Self {
        let progress = trainer.progress();
        let history = progress.history.iter();
        Self {
            title,
            epochs: trainer.recipe().epochs,
            part: 0.0,
            epoch: progress.epochs + 1,
            figures: Vec::new(),
            train: Vec::new(),
            valid: history
                .map(|record| (record.epoch as f64, record.valid_loss))
                .collect(),
            sample: Vec::new(),
        }
    }

    pub(super) fn add_windows(&mut self, trainer: &Trainer, report: &StepReport) {
        let progress = trainer.progress();
        self.epoch = progress.epochs + 1;
        self.part = progress.window as f64 / trainer.windows_per_epoch().max(1) as f64;
        self.train
            .push((progress.epochs as f64 + self.part, report.loss));
        if self.train.len() > MOST_POINTS {
            merge_neighbours(&mut self.train);
        }
        let mean = progress.nats / progress.tokens.max(1) as f64;
        self.figures = vec![
            TimeLeft::of(trainer).to_string(),
            format!("train loss {mean:.4}"),
            format!("perplexity {}", perplexity(mean.exp(), mean, 1)),
            format!("lr {}", trainer.learning_rate()),
            format!("gradient norm {:.3}", report.gradient_norm),
            format!("{:.0} tokens/s", report.tokens_per_second),
        ];
    }

    pub(super) fn add_epoch(&mut self, record: &EpochRecord) {
        self.part = 0.0;
        self.epoch = (record.epoch + 1).min(self.epochs.max(1));
        self.valid.push((record.epoch as f64, record.valid_loss));
        if let Some(sample) = &record.sample {
            let lines = sample.lines().take(SAMPLE_LINES);
            self.sample = lines.map(printable).collect();
        }
    }

    /// Draws everything that has room, the loss first.
    pub(super) fn draw(&self, frame: &mut Frame) {
        let sample_lines = self.sample.len() as u16 + 1;
        let [title, bar, figures, chart, sample, message] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Fill(2),
            Constraint::Max(if self.sample.is_empty() {
                0
            } else {
                sample_lines
            }),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(self.title.as_str()), title);
        self.draw_bar(frame, bar);
        frame.render_widget(
            Paragraph::new(self.figures.join("  ")).wrap(Wrap { trim: true }),
            figures,
        );
        self.draw_chart(frame, chart);
        let lines: Vec<Line> = self
            .sample
            .iter()
            .map(|line| line.as_str().into())
            .collect();
        let text = Paragraph::new(lines).block(Block::new().title("a text of the model"));
        frame.render_widget(text, sample);
        let hint = "Ctrl-C saves the run and ends it".to_owned();
        let line = last_held_line().map_or(hint, |line| printable(&line));
        frame.render_widget(Paragraph::new(line), message);
    }

    fn draw_bar(&self, frame: &mut Frame, area: Rect) {
        let valid = self.valid.iter().map(|point| point.1).reduce(f64::min);
        let best = valid.map_or(String::new(), |loss| {
            format!("  best validation {}", perplexity(loss.exp(), loss, 2))
        });
        let gauge = Gauge::default()
            .ratio(self.part.clamp(0.0, 1.0))
            .gauge_style(colored(Color::Blue))
            .label(format!(
                "epoch {} of {}  {:.0} %{best}",
                self.epoch,
                self.epochs,
                100.0 * self.part
            ));
        frame.render_widget(gauge, area);
    }

    fn draw_chart(&self, frame: &mut Frame, area: Rect) {
        let finite = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            let points = points.iter().filter(|point| point.1.is_finite());
            points.copied().collect()
        };
        let (train, valid) = (finite(&self.train), finite(&self.valid));
        let losses = || train.iter().chain(&valid).map(|point| point.1);
        let (Some(low), Some(high)) = (losses().reduce(f64::min), losses().reduce(f64::max)) else {
            return;
        };
        let margin = (0.05 * (high - low)).max(1e-3);
        let bounds = [low - margin, high + margin];
        let last = train.iter().chain(&valid).map(|point| point.0);
        let epochs = last.fold(0.0, f64::max).max(1e-3);
        let data = |name, points, graph, color| {
            Dataset::default()
                .name(name)
                .marker(Marker::Braille)
                .graph_type(graph)
                .style(colored(color))
                .data(points)
        };
        let chart = Chart::new(vec![
            data("training", &train, GraphType::Line, Color::Blue),
            data("validation", &valid, GraphType::Line, Color::Yellow),
        ])
        .block(Block::new().title("loss in nats per token, over epochs"))
        .x_axis(Axis::default().bounds([0.0, epochs]).labels([
            "0".to_owned(),
            short(epochs / 2.0),
            short(epochs),
        ]))
        .y_axis(
            Axis::default()
                .bounds(bounds)
                .labels(bounds.map(|loss| format!("{loss:.2}"))),
        );
        frame.render_widget(chart, area);
    }
}

/// A color, where standard error shows colors.
fn colored(color: Color) -> Style {
    if console::colors_enabled_stderr() {
        Style::new().fg(color)
    } else {
        Style::new()
    }
}

/// A number of epochs.
fn short(epochs: f64) -> String {
    match epochs {
        0.0..1.0 => format!("{epochs:.2}"),
        1.0..10.0 => format!("{epochs:.1}"),
        _ => format!("{epochs:.0}"),
    }
}

/// A line without characters that move the cursor.
fn printable(line: &str) -> String {
    line.replace(char::is_control, " ")
}

/// Replaces each two neighbours by their mean.
fn merge_neighbours(points: &mut Vec<(f64, f64)>) {
    let merged = points.chunks(2).map(|pair| {
        let sum = pair
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / pair.len() as f64, sum.1 / pair.len() as f64)
    });
    *points = merged.collect();
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Cell;

    use super::*;

    /// The lines of a terminal of this size.
    fn drawn(view: &View, columns: u16, lines: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(columns.into());
        cells
            .map(|row| row.iter().map(Cell::symbol).collect())
            .collect()
    }

    fn view() -> View {
        View {
            title: "elman train: lstm".to_owned(),
            epochs: 8,
            part: 0.45,
            epoch: 3,
            figures: vec!["5s left, run 3m".to_owned(), "9000 tokens/s".to_owned()],
            train: (1..45)
                .map(|k| (f64::from(k) / 20.0, 5.0 / f64::from(k)))
                .collect(),
            valid: vec![(1.0, 4.5), (2.0, 4.2)],
            sample: vec!["the cat\tsleeps".into(), "a dog runs".into()],
        }
    }

    #[test]
    fn everything_is_shown() {
        for (columns, lines) in [(80, 24), (120, 40)] {
            let lines = drawn(&view(), columns, lines);
            let text = lines.join("\n");
            for part in [
                "elman train: lstm",
                "epoch 3 of 8  45 %  best validation 66.69",
                "5s left, run 3m  9000 tokens/s",
                "loss in nats per token",
                "validation",
                "a dog runs",
                "Ctrl-C",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            let has_points = |line: &String| line.contains(|sign| ('⠁'..='⣿').contains(&sign));
            assert!(
                lines.iter().filter(|line| has_points(line)).count() > 5,
                "{text}"
            );
        }
    }

    #[test]
    fn small_terminals_and_strange_losses_are_drawn() {
        let mut view = view();
        view.train = vec![(0.1, f64::NAN), (0.2, f64::INFINITY)];
        view.valid.clear();
        for (columns, lines) in [(80, 24), (20, 5), (1, 1), (3, 200)] {
            drawn(&view, columns, lines);
        }
        view.train.clear();
        assert!(drawn(&view, 80, 24).join("").contains("epoch 3"));
    }

    #[test]
    fn long_runs_keep_their_shape() {
        let mut points: Vec<_> = (0..5).map(|k| (f64::from(k), 10.0)).collect();
        merge_neighbours(&mut points);
        assert_eq!(points, [(0.5, 10.0), (2.5, 10.0), (4.0, 10.0)]);
        assert_eq!(printable("a\u{1b}[2Jb\tc"), "a [2Jb c");
    }
}
