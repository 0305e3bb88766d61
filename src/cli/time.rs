//! Times in flags.

use std::time::Duration;

/// A time above 0 in seconds, minutes or hours, such as 90s, 10m or 2h.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let seconds = match text.chars().last()? {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        _ => return None,
    };
    // The unit is one byte.
    let count: f64 = text[..text.len() - 1].parse().ok()?;
    let time = Duration::try_from_secs_f64(count * seconds).ok()?;
    (!time.is_zero()).then_some(time)
}
