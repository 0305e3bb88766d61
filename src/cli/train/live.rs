//! `elman train --live`: the run on the whole terminal.
//!
//! In: what the run reports. Out: the [`view`] on standard error. A separate thread draws it, so
//! that it adapts to the terminal's size and reacts to Ctrl-C while the device is busy. Messages
//! are held back until the terminal is restored.

mod view;

use std::io::{self, Stderr};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use console::Term;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::SIGINT;

use super::step_report::StepReport;
use crate::cli::stderr::{hold_lines, release_lines};
use crate::cli::waiting;
use crate::train::{EpochRecord, Trainer};
use view::View;

/// The longest time between two drawings.
const INTERVAL: Duration = Duration::from_millis(250);

/// Whether the terminal shows the view.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// The terminal, from the start of training to its end.
pub(super) struct LiveScreen {
    shared: Arc<Shared>,
    drawing: Option<JoinHandle<()>>,
}

/// What the run writes and the drawing thread reads.
struct Shared {
    view: Mutex<View>,
    is_over: AtomicBool,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveScreen {
    /// Takes the terminal of standard error for a run; none if there is no terminal on which the
    /// cursor can move.
    pub(super) fn open(title: String, trainer: &Trainer) -> Option<Self> {
        if !Term::stderr().is_term() || console::is_dumb() {
            return None;
        }
        let terminal = enter().ok()?;
        let shared = Arc::new(Shared {
            view: Mutex::new(View::new(title, trainer)),
            is_over: AtomicBool::new(false),
        });
        let drawn = Arc::clone(&shared);
        let drawing = thread::Builder::new()
            .name("live view".to_owned())
            .spawn(move || draw(terminal, &drawn));
        let screen = Self {
            shared,
            drawing: drawing.ok(),
        };
        // Without the thread, dropping the screen gives the terminal back.
        screen.drawing.is_some().then_some(screen)
    }

    /// Shows that windows are done.
    pub(super) fn windows(&self, trainer: &Trainer, report: &StepReport) {
        self.shared.view().add_windows(trainer, report);
    }

    /// Shows that an epoch is done, with the text that the model generated.
    pub(super) fn epoch(&self, record: &EpochRecord) {
        self.shared.view().add_epoch(record);
    }
}

impl Drop for LiveScreen {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(drawing) = self.drawing.take() {
            // A thread that panicked has given the terminal back.
            let _ = drawing.join();
        }
        leave();
    }
}

/// Takes the terminal.
fn enter() -> io::Result<Terminal<CrosstermBackend<Stderr>>> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |information| {
        leave();
        before(information);
    }));
    waiting::stop();
    hold_lines();
    IS_SHOWN.store(true, Ordering::SeqCst);
    let open = || {
        // Ctrl-C and other keys come as events, so that the terminal does not show them.
        enable_raw_mode()?;
        execute!(io::stderr(), EnterAlternateScreen)?;
        Terminal::new(CrosstermBackend::new(io::stderr()))
    };
    open().inspect_err(|_| leave())
}

/// Gives the terminal back as it was and prints the messages that waited; nothing if that is done.
pub(super) fn leave() {
    if IS_SHOWN.swap(false, Ordering::SeqCst) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        release_lines();
    }
}

/// Draws the view until the run is over, and passes Ctrl-C on as the signal that it would be.
fn draw(mut terminal: Terminal<CrosstermBackend<Stderr>>, shared: &Shared) {
    while !shared.is_over.load(Ordering::SeqCst) {
        let drawn = terminal.draw(|frame| shared.view().draw(frame));
        if drawn.is_err() {
            return;
        }
        if let Ok(true) = event::poll(INTERVAL)
            && let Ok(Event::Key(key)) = event::read()
            && key.code == KeyCode::Char('c')
            && key.modifiers.contains(KeyModifiers::CONTROL)
        {
            let _ = signal_hook::low_level::raise(SIGINT);
        }
    }
}
