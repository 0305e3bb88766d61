//! Work that may take long and how much of it is done, so that a program can show it.
//!
//! In: activities, which start and end anywhere in this crate. Out: for [`watch`]ers, the activity
//! in progress. As for a logger, there is one list of activities in a process: a text is read by
//! many functions, and none of them needs a parameter for this. Before the process watches, an
//! activity costs next to nothing. How long each took is logged. Beside it, [`with_observer`] calls
//! a function wherever activities of one thread advance.

use std::cell::RefCell;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The activities of a process that watches them, in the order in which they started.
struct List {
    activities: Mutex<Vec<Arc<State>>>,
    /// Called after an activity has left the list.
    ended: fn(),
}

static LIST: OnceLock<List> = OnceLock::new();

/// What is known about an activity.
#[derive(Debug)]
struct State {
    label: String,
    total: Option<u64>,
    done: AtomicU64,
    start: Instant,
}

/// Work that is in progress until the value is dropped.
#[derive(Debug)]
#[must_use = "the activity ends where the value is dropped"]
pub struct Activity(Option<Arc<State>>);

/// An activity as it is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProgress {
    /// What is being done, such as `reading a.txt`.
    pub label: String,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do; `None` if that is not known.
    pub total: Option<u64>,
    /// Time since the start.
    pub elapsed: Duration,
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.activities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a list of activities from now on. `ended` is called after each of them. Only the first
/// call in a process has an effect.
pub fn watch(ended: fn()) {
    LIST.get_or_init(|| List {
        activities: Mutex::default(),
        ended,
    });
}

/// The activity that started last, of those that have lasted for at least `age`.
pub fn current(age: Duration) -> Option<InProgress> {
    let activities = LIST.get()?.lock();
    let now = Instant::now();
    let is_old = |state: &&Arc<State>| now.saturating_duration_since(state.start) >= age;
    let state = activities.iter().rev().find(is_old)?;
    Some(InProgress {
        label: state.label.clone(),
        done: state.done.load(Ordering::Relaxed),
        total: state.total,
        elapsed: now.saturating_duration_since(state.start),
    })
}

thread_local! {
    /// What is called wherever an activity of this thread advances.
    static OBSERVER: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Does `work`, and calls `observer` wherever an activity advances on this thread meanwhile.
pub fn with_observer<R>(observer: impl Fn() + 'static, work: impl FnOnce() -> R) -> R {
    let before = OBSERVER.replace(Some(Rc::new(observer)));
    let result = work();
    OBSERVER.set(before);
    result
}

/// Tells the observer of this thread, if there is one, that work advances: for work that is too
/// short to be an activity.
pub fn advanced() {
    let observer = OBSERVER.with_borrow(Clone::clone);
    if let Some(observer) = observer {
        observer();
    }
}

impl Activity {
    /// Starts an activity, with the amount of work if it is known.
    pub fn start(label: impl Display, total: Option<u64>) -> Self {
        Self(LIST.get().map(|list| {
            let state = Arc::new(State {
                label: label.to_string(),
                total,
                done: AtomicU64::new(0),
                start: Instant::now(),
            });
            list.lock().push(Arc::clone(&state));
            state
        }))
    }

    /// Starts an activity that goes through a file, whose size is the amount of work.
    pub fn start_with_file(verb: &str, path: &Path, file: &File) -> Self {
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let label = format_args!("{verb} {}", path.display());
        Self::start(label, metadata.map(|metadata| metadata.len()))
    }

    /// Counts work that is done.
    pub fn advance(&self, amount: u64) {
        if let Some(state) = &self.0 {
            state.done.fetch_add(amount, Ordering::Relaxed);
        }
        advanced();
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if let (Some(state), Some(list)) = (&self.0, LIST.get()) {
            list.lock().retain(|other| !Arc::ptr_eq(other, state));
            (list.ended)();
            log::info!(
                "{}: {:.2} s",
                state.label,
                state.start.elapsed().as_secs_f64()
            );
        }
    }
}

/// A reader that counts its bytes as the work of an activity.
#[derive(Debug)]
pub struct CountedReader<R> {
    source: R,
    activity: Activity,
}

impl<R> CountedReader<R> {
    /// Counts the bytes of `source`.
    pub fn new(source: R, activity: Activity) -> Self {
        Self { source, activity }
    }
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.activity.advance(length as u64);
        Ok(length)
    }
}

/// Reads a file from its position to its end, as an activity. The path is for the label.
///
/// # Errors
/// If reading fails.
pub fn read_to_end(file: &File, path: &Path) -> io::Result<Vec<u8>> {
    let activity = Activity::start_with_file("reading", path, file);
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    // The size is only a hint.
    let mut bytes = Vec::new();
    let _ = bytes.try_reserve_exact(usize::try_from(length).unwrap_or(0));
    CountedReader::new(file, activity).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The activities of this test; other tests of the process read files.
    fn mine() -> Vec<(String, u64, Option<u64>)> {
        let list = LIST.get().expect("a list").lock();
        let states = list.iter().filter(|state| state.label.contains("-mine"));
        states
            .map(|state| {
                let done = state.done.load(Ordering::Relaxed);
                (state.label.clone(), done, state.total)
            })
            .collect()
    }

    #[test]
    fn an_observer_is_called_where_activities_advance() {
        let count = Rc::new(std::cell::Cell::new(0));
        let counter = count.clone();
        let observer = move || counter.set(counter.get() + 1);
        let activity = Activity::start("observed", None);
        with_observer(observer, || {
            activity.advance(5);
            advanced();
        });
        activity.advance(1);
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn a_file_is_read_with_its_size_and_position() {
        watch(|| {});
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a-mine.txt");
        std::fs::write(&path, [b'x'; 1000]).expect("written");
        let file = File::open(&path).expect("opened");
        let label = format!("reading {}", path.display());
        let activity = Activity::start_with_file("reading", &path, &file);
        let mut reader = CountedReader::new(file, activity);
        assert_eq!(mine(), [(label.clone(), 0, Some(1000))]);
        reader.read_exact(&mut [0; 250]).expect("read");
        assert_eq!(mine(), [(label.clone(), 250, Some(1000))]);
        let bytes = read_to_end(&File::open(&path).expect("opened"), &path);
        assert_eq!(bytes.expect("read"), [b'x'; 1000]);
        let inner = Activity::start("b-mine", None);
        inner.advance(3);
        assert_eq!(mine()[1], ("b-mine".to_owned(), 3, None));
        let shown = current(Duration::ZERO).expect("an activity");
        assert!(shown.elapsed < Duration::from_secs(1 << 30));
        assert_eq!(current(Duration::MAX), None, "none is old");
        drop(inner);
        drop(reader);
        assert_eq!(mine(), []);
    }
}
