//! Compiles every pipeline of training, evaluation and generation of the configurations of
//! `elman bench`, on the adapter that `ELMAN_BENCH_DEVICE` names (default: auto), and prints the
//! name of each to standard error before it is compiled. Drivers that print statistics print them
//! after it; `benches/shader_stats.py` makes a table of them.

use elman::bench::{BenchOptions, CONFIGURATIONS, rates};
use elman::device::DeviceChoice;
use elman::parallel::Ranks;
use elman::train::PrecisionKind;

/// Prints the names of pipelines.
struct PipelineNames;

impl log::Log for PipelineNames {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "elman::pipeline"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("elman pipeline: {}", record.args());
        }
    }

    fn flush(&self) {}
}

fn main() {
    log::set_logger(&PipelineNames).expect("the first logger");
    log::set_max_level(log::LevelFilter::Debug);
    let name = std::env::var("ELMAN_BENCH_DEVICE").unwrap_or_else(|_| "auto".into());
    let choice: DeviceChoice = name.parse().unwrap_or_else(|never| match never {});
    let (mut device, _) = choice.open(1).unwrap_or_else(|error| panic!("{error}"));
    println!("device: {}", device.name());
    let mixed = device.has_f16().then_some(PrecisionKind::Mixed);
    for precision in [Some(PrecisionKind::Full), mixed].into_iter().flatten() {
        let options = BenchOptions {
            seconds: 1e-3,
            product_size: 512,
            training_only: precision == PrecisionKind::Mixed,
            precision,
        };
        for configuration in CONFIGURATIONS {
            eprintln!("elman configuration: {}", configuration.name);
            rates(&mut device, configuration, &options, &Ranks::default())
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
