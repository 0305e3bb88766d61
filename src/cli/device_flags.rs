//! The flags that choose a device and its threads.

use std::num::NonZeroUsize;

use clap::Args;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use super::ranks::timeout::RankTimeout;
use super::{message, with_threads};
use crate::device::{AdapterUse, Device, DeviceChoice};
use crate::error::{Error, Result};
use crate::parallel::world;

/// The device to run on.
#[derive(Debug, Clone, Args)]
pub(super) struct DeviceFlags {
    /// auto (a hardware GPU, else the CPU), cpu, gpu, or part of an adapter's name; under mpirun, a
    /// list of them for the processes of a host, separated by commas
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub(super) device: String,
    /// CPU threads [default: the number of cores]
    #[arg(long)]
    pub(super) threads: Option<NonZeroUsize>,
    /// Whether ranks of this host may use the same adapter.
    #[arg(skip)]
    pub(super) share_adapter: bool,
}

/// The device of each rank, for commands that several ranks can run.
#[derive(Debug, Clone, Args)]
pub(super) struct RankDeviceFlags {
    #[command(flatten)]
    pub(super) one: DeviceFlags,
    /// With mpirun: let ranks of a host use the same adapter where there are fewer adapters than
    /// ranks. It is slower than one rank for each
    #[arg(long)]
    pub(super) share_adapter: bool,
    /// With mpirun: how long ranks wait for one that does not answer (90s, 10m, 2h) before all of
    /// them end. In training it must exceed the longest update and save. 0 waits forever
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(super) rank_timeout: RankTimeout,
}

impl RankDeviceFlags {
    /// The device of this rank.
    fn own(&self) -> DeviceFlags {
        DeviceFlags {
            share_adapter: self.share_adapter,
            ..self.one.clone()
        }
    }

    /// As [`DeviceFlags::open`].
    pub(super) fn open(&self) -> Result<Device> {
        self.own().open()
    }

    /// As [`DeviceFlags::reopen`].
    pub(super) fn reopen(&self) -> Result<Device> {
        self.own().reopen()
    }

    /// As [`DeviceFlags::threads`].
    pub(super) fn threads(&self) -> usize {
        self.one.threads()
    }

    /// As [`DeviceFlags::with_threads`].
    pub(super) fn with_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R> {
        self.one.with_threads(work)
    }
}

impl DeviceFlags {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(default_threads, NonZeroUsize::get)
    }

    /// Prints a warning where there are more threads than processors to run them.
    fn warn_of_threads(&self) {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if self.threads() > processors {
            stderr_line!(
                "warning: --threads {}: there are {processors} processors for this program, and \
                 more threads only wait for one another. Use --threads {processors} or fewer",
                self.threads()
            );
        }
    }

    /// Opens the device and prints its name on standard error, the first line of every run.
    pub(super) fn open(&self) -> Result<Device> {
        let (device, reason) = self.select()?;
        let reason = message::with_flags(&reason);
        note_line!("device: {}, {reason}", device.name());
        self.warn_of_threads();
        Ok(device)
    }

    /// Opens the device, and says why it is this one. Ranks of the same host take the devices of a
    /// list in turn, or one adapter each.
    fn select(&self) -> Result<(Device, String)> {
        let ranks = world();
        let place = ranks.place();
        let names: Vec<&str> = self.device.split(',').map(str::trim).collect();
        let is_list = names.len() > 1 && !ranks.is_alone();
        if is_list && names.len() < place.count && !self.share_adapter {
            return Err(too_few(&self.device, names.len(), place.count));
        }
        // The same name may be in a list several times: for as many adapters.
        let (name, index, count) = match is_list {
            false => (self.device.as_str(), place.index, place.count),
            true => {
                let entry = place.index % names.len();
                let name = names[entry];
                let of_name = |names: &[&str]| names.iter().filter(|it| **it == name).count();
                (name, of_name(&names[..entry]), of_name(&names))
            }
        };
        let choice: DeviceChoice = name.parse().unwrap_or_else(|never| match never {});
        let adapter = match self.share_adapter {
            true => AdapterUse::Shared(index),
            false => AdapterUse::Own(index, count),
        };
        choice.open_for_rank(self.threads(), adapter)
    }

    /// Opens the device again, in silence.
    pub(super) fn reopen(&self) -> Result<Device> {
        Ok(self.select()?.0)
    }

    /// Runs `work` with the requested number of threads for parallel loops.
    pub(super) fn with_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R> {
        with_threads(self.threads(), work)
    }
}

/// The threads of a process without `--threads`: the processors that it may use. Where the launcher
/// of several ranks has not divided them, it takes its share.
pub(super) fn default_threads() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let ranks = world().place().count;
    if ranks == 1 {
        return usable;
    }
    let cpus = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let all = System::new_with_specifics(cpus).cpus().len();
    match usable < all {
        true => usable,
        false => (usable / ranks).max(1),
    }
}

/// The error for a list of devices that is too short.
fn too_few(list: &str, devices: usize, ranks: usize) -> Error {
    Error::usage(
        format!("--device {list}"),
        format!("{ranks} ranks on this host cannot have {devices} devices"),
        "List as many as there are ranks on a host, start fewer ranks, or add --share-adapter",
    )
}
