//! How long ranks wait for one that does not answer, and what is written then.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::check_equal;
use crate::cli::stderr;
use crate::cli::time::parse_time;
use crate::decompress::is_read_once;
use crate::error::Result;
use crate::parallel::{Ranks, Watch};

/// How long ranks wait for one that does not answer; none: forever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) struct RankTimeout(pub(in crate::cli) Option<Duration>);

impl FromStr for RankTimeout {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match (text, parse_time(text)) {
            ("0", _) => Ok(Self(None)),
            (_, Some(time)) => Ok(Self(Some(time))),
            _ => Err("it must be a time above 0 such as 90s, 10m or 2h, or 0 for no limit"),
        }
    }
}

impl fmt::Display for RankTimeout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(limit) => write!(formatter, "{} s", limit.as_secs_f64()),
            None => write!(formatter, "0"),
        }
    }
}

impl RankTimeout {
    /// From now on, ends all ranks with a message if some do not answer in time. `hint` says what
    /// to do then.
    ///
    /// # Errors
    /// If the ranks have different times.
    pub(in crate::cli) fn watch(self, ranks: &Ranks, hint: &'static str) -> Result<()> {
        self.watch_with(ranks, move |reason| {
            stderr::write_error_of_all(&format!("{reason}. {hint}"));
        })
    }

    /// As [`RankTimeout::watch`], for a command that reads these files on the first rank while the
    /// others wait. If one of them may come after any time, nobody is watched.
    ///
    /// # Errors
    /// If the ranks have different times.
    pub(in crate::cli) fn watch_reading<'a>(
        self,
        ranks: &Ranks,
        hint: &'static str,
        files: impl IntoIterator<Item = (&'static str, &'a Path)>,
    ) -> Result<()> {
        let waits = files.into_iter().any(|(_, path)| is_read_once(path));
        match ranks.of_first(u8::from(waits)) {
            0 => self.watch(ranks, hint),
            _ => Ok(()),
        }
    }

    /// As [`RankTimeout::watch`]; `report` gets why all ranks end.
    ///
    /// # Errors
    /// If the ranks have different times.
    pub(in crate::cli) fn watch_with(
        self,
        ranks: &Ranks,
        report: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<()> {
        if ranks.is_alone() {
            return Ok(());
        }
        check_equal(ranks, &[("--rank-timeout", self.to_string())])?;
        let processes = ranks.gather(&[std::process::id()]).concat();
        let Some(limit) = self.0 else {
            return Ok(());
        };
        let name = |(rank, process)| format!("{} (process {process})", ranks.name(rank));
        let names: Vec<String> = processes.into_iter().enumerate().map(name).collect();
        ranks.watch(Watch {
            limit,
            report: Box::new(move |silent| {
                let silent: Vec<&str> = silent.iter().map(|&rank| names[rank].as_str()).collect();
                report(&reason(&silent, self));
            }),
        });
        Ok(())
    }
}

/// Why all ranks end if these do not answer.
fn reason(silent: &[&str], timeout: RankTimeout) -> String {
    let (last, others) = match silent {
        [] => {
            return format!(
                "all ranks answer, but values that they exchange have not arrived for {timeout} \
                 (--rank-timeout), so all ranks end. Check the network between the hosts; on one \
                 host, report this as a fault"
            );
        }
        [others @ .., last] => (last, others),
    };
    let (names, have) = match others {
        [] => ((*last).to_owned(), "has"),
        _ => (format!("{} and {last}", others.join(", ")), "have"),
    };
    format!(
        "{names} {have} not answered for {timeout} (--rank-timeout), so all ranks end. A driver, \
         a file system, the network or the host hangs: see the log of that host's kernel (dmesg)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_times_or_none() {
        let of = |text: &str| text.parse::<RankTimeout>();
        assert_eq!(of("2s"), Ok(RankTimeout(Some(Duration::from_secs(2)))));
        assert_eq!(of("0"), Ok(RankTimeout(None)));
        for text in [
            "", "5", "0s", "-1m", "m", "NaNs", "infh", "10 d", "1e400h", "10\u{e9}",
        ] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reasons_name_all_ranks() {
        let of = |silent| reason(silent, RankTimeout(Some(Duration::from_secs(600))));
        for (silent, start) in [
            (&["a"][..], "a has not answered for 600 s"),
            (&["a", "b"], "a and b have not"),
            (&["a", "b", "c"], "a, b and c have not"),
            (&[], "all ranks answer"),
        ] {
            assert!(of(silent).starts_with(start), "{}", of(silent));
        }
    }
}
