//! Device selection: `auto`, `cpu`, `gpu` or part of an adapter's name.

use std::str::FromStr;

use super::{AdapterInfo, Device, Gpu, GpuOptions, adapters};
use crate::error::{Error, Result};

/// The device to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first hardware GPU; otherwise the CPU. Never a software adapter.
    Auto,
    /// The CPU.
    Cpu,
    /// The first hardware GPU; otherwise an error.
    Gpu,
    /// The first adapter whose name contains this text, ignoring case. Includes software adapters.
    Name(String),
}

/// How the ranks of a host use its adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterUse {
    /// Each has its own: the rank's index on the host, and the number of ranks there.
    Own(usize, usize),
    /// Several may use the same one: the rank's index on the host.
    Shared(usize),
}

impl FromStr for DeviceChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu,
            name => Self::Name(name.to_owned()),
        })
    }
}

impl DeviceChoice {
    /// Opens the chosen device and returns it with the reason for the choice, for people. A CPU
    /// device uses `threads` threads.
    ///
    /// # Errors
    /// If there is no such adapter or it cannot be opened. Except for [`DeviceChoice::Auto`], no
    /// other device is opened instead.
    pub fn open(&self, threads: usize) -> Result<(Device, String)> {
        self.open_for_rank(threads, AdapterUse::Own(0, 1))
    }

    /// Opens the device of a rank: where several ranks run on a host, each takes another one of the
    /// chosen adapters, in their order, unless they share them.
    ///
    /// # Errors
    /// As [`DeviceChoice::open`], or if there are fewer adapters than ranks.
    pub fn open_for_rank(&self, threads: usize, adapter: AdapterUse) -> Result<(Device, String)> {
        if *self == Self::Cpu {
            return Ok((Device::cpu(threads), "as requested".into()));
        }
        let all = adapters();
        let chosen: Vec<_> = all.iter().filter(|info| self.matches(info)).collect();
        let index = match adapter {
            AdapterUse::Own(_, ranks) if ranks > chosen.len() && !chosen.is_empty() => {
                return Err(too_few_adapters(chosen.len(), ranks));
            }
            AdapterUse::Own(rank, _) => rank,
            AdapterUse::Shared(rank) => rank % chosen.len().max(1),
        };
        if let Some(info) = chosen.get(index) {
            let gpu = Gpu::open(info, GpuOptions::default())?;
            let reason = if *self == Self::Auto {
                "the first GPU found"
            } else {
                "as requested"
            };
            return Ok((Device::gpu(gpu), reason.into()));
        }
        match self {
            Self::Auto | Self::Cpu => Ok((
                Device::cpu(threads),
                format!("no GPU found{}", software_hint(&all)),
            )),
            Self::Gpu => Err(Error::invalid(
                "`device = gpu`",
                format!("no GPU found{}", software_hint(&all)),
                "`elman devices` lists the adapters; `device = cpu` uses the CPU",
            )),
            Self::Name(name) => {
                let names: Vec<_> = all.iter().map(|info| info.name.as_str()).collect();
                Err(Error::invalid(
                    format!("`device = {name}`"),
                    format!(
                        "no adapter has this text in its name; {}",
                        adapter_list(&names)
                    ),
                    "`elman devices` lists the adapters; the other choices are auto, cpu and gpu",
                ))
            }
        }
    }

    /// Whether this choice accepts the adapter.
    pub fn matches(&self, info: &AdapterInfo) -> bool {
        match self {
            Self::Auto | Self::Gpu => !info.is_software(),
            Self::Cpu => false,
            Self::Name(name) => info.name.to_lowercase().contains(&name.to_lowercase()),
        }
    }
}

fn too_few_adapters(adapters: usize, ranks: usize) -> Error {
    Error::invalid(
        format!("{ranks} ranks on this host"),
        format!("each needs its own adapter, and `device` chooses {adapters}"),
        "Start fewer ranks on a host, or use `share_adapter` to let them share adapters",
    )
}

fn adapter_list(names: &[&str]) -> String {
    if names.is_empty() {
        "there are no adapters".into()
    } else {
        format!("the adapters are: {}", names.join(", "))
    }
}

fn software_hint(all: &[AdapterInfo]) -> String {
    match all.first() {
        Some(info) => {
            format!(
                " ({} is a software adapter, slower than the CPU device; use `device = {}` to \
                 select it)",
                info.name,
                info.short_name()
            )
        }
        None => String::new(),
    }
}
