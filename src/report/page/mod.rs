//! A report as one HTML page: no network, no other file. Templates have the markup; the modules
//! here turn data into what the templates insert.

mod axis;
mod chart;
mod colored;
mod growth;
mod last_updates;
mod memory;
mod reading;
mod run;
mod units;
mod words;

use askama::Template;

use super::Report;
use memory::MemorySection;
use reading::ReadingSection;
use run::RunSection;
use units::ModelUnits;
use words::WordsSection;

/// The ids and the names of the sections.
const SECTIONS: [(&str, &str); 5] = [
    ("run", "Run"),
    ("reading", "Reading"),
    ("units", "Units"),
    ("memory", "Memory"),
    ("words", "Words"),
];

/// A page.
#[derive(Template)]
#[template(path = "page.html", config = "src/report/page/askama.toml")]
struct Page {
    title: String,
    version: &'static str,
    sections: &'static [(&'static str, &'static str)],
    run: RunSection,
    reading: Option<ReadingSection>,
    units: Vec<ModelUnits>,
    memory: Option<MemorySection>,
    words: WordsSection,
}

/// One HTML page that shows a report.
pub fn page(report: &Report) -> String {
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    let text = report.text.as_ref();
    let page = Page {
        title: format!("Report on {}", names.join(", ")),
        version: env!("CARGO_PKG_VERSION"),
        sections: &SECTIONS,
        run: RunSection::new(&report.runs),
        reading: text.map(ReadingSection::new),
        units: text.map_or_else(Vec::new, units::models),
        memory: text.map(MemorySection::new),
        words: WordsSection::new(&report.words, text),
    };
    page.render().expect("a template writes to memory")
}
