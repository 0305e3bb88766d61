//! Choosing a device: `auto`, `cpu`, `gpu` or a part of an adapter's name.

use std::str::FromStr;

use super::{AdapterReport, Device, Gpu, GpuOptions, adapters};
use crate::error::{Error, Result};

/// What `--device` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first real GPU; the CPU, with a word about it, where there is none. Never a software
    /// adapter.
    Auto,
    /// The CPU.
    Cpu,
    /// The first real GPU, or an error.
    Gpu,
    /// The first adapter whose name has this in it, software ones too; upper and lower case are the
    /// same.
    Name(String),
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
    /// Opens what was asked for. `threads` is for the CPU. The second value says why, for people.
    ///
    /// # Errors
    /// If there is no such adapter or it cannot be opened. Nothing else is taken in its place.
    pub fn open(&self, threads: usize) -> Result<(Device, String)> {
        if *self == Self::Cpu {
            return Ok((Device::cpu(threads), "as asked".into()));
        }
        let all = adapters();
        match (self, all.iter().find(|report| self.takes(report))) {
            (_, Some(report)) => {
                let gpu = Gpu::open(report, GpuOptions::default())?;
                Ok((
                    Device::gpu(gpu),
                    if *self == Self::Auto {
                        "the first GPU found".into()
                    } else {
                        "as asked".into()
                    },
                ))
            }
            (Self::Auto, None) => Ok((
                Device::cpu(threads),
                format!("no GPU found{}", software_hint(&all)),
            )),
            (Self::Gpu, None) => Err(Error::invalid(
                "--device gpu",
                format!("there is no GPU here{}", software_hint(&all)),
                "`elman devices` lists the adapters; --device cpu trains on the CPU",
            )),
            (choice, None) => {
                let names: Vec<_> = all.iter().map(|report| report.name.as_str()).collect();
                Err(Error::invalid(
                    format!("--device {choice:?}"),
                    format!("no adapter has that in its name; there {}", listed(&names)),
                    "`elman devices` says more; auto, cpu and gpu are the other choices",
                ))
            }
        }
    }

    /// Whether this choice would take the adapter.
    pub fn takes(&self, report: &AdapterReport) -> bool {
        match self {
            Self::Auto | Self::Gpu => !report.is_software(),
            Self::Cpu => false,
            Self::Name(name) => report.name.to_lowercase().contains(&name.to_lowercase()),
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "is none".into()
    } else {
        format!("are: {}", names.join(", "))
    }
}

fn software_hint(all: &[AdapterReport]) -> String {
    match all.first() {
        Some(report) => {
            format!(
                " ({} is software and slower than the CPU path: only --device {} takes it)",
                report.name,
                report.short_name()
            )
        }
        None => String::new(),
    }
}
