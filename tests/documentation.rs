//! The documentation is true: its commands run, its links lead somewhere, its figures exist.
//!
//! [`commands`] runs what README.md and docs/guide.md show; [`links`] follows every link within the
//! repository; this file reads the pages.

mod commands;
mod links;

use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown pages, relative to the root: all in the root and in docs/, and the results of the
/// benchmarks.
fn pages() -> Vec<String> {
    let mut pages = vec!["benches/RESULTS.md".to_owned()];
    for directory in ["", "docs/"] {
        let entries = std::fs::read_dir(root().join(directory)).expect("a readable directory");
        for entry in entries {
            let name = entry.expect("a directory entry").file_name();
            let name = name.to_str().expect("a name in UTF-8");
            if Path::new(name).extension().is_some_and(|it| it == "md") {
                pages.push(format!("{directory}{name}"));
            }
        }
    }
    pages.sort();
    pages
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// What the tests need of a page.
#[derive(Default)]
struct Page {
    /// The text of each code block.
    code_blocks: Vec<String>,
    /// The targets of links and images, those in HTML too.
    links: Vec<String>,
    /// The anchor of each heading, as GitHub derives it.
    anchors: Vec<String>,
}

impl Page {
    fn parse(markdown: &str) -> Self {
        let mut page = Self::default();
        let mut block: Option<String> = None;
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(markdown, pulldown_cmark::Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => block = Some(String::new()),
                Event::End(TagEnd::CodeBlock) => page.code_blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors
                        .extend(heading.take().map(|text| anchor(&text)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Html(html) | Event::InlineHtml(html) => page.links.extend(html_links(&html)),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(text_of) = block.as_mut().or(heading.as_mut()) {
                        text_of.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The values of `src`, `srcset` and `href` attributes.
fn html_links(html: &str) -> Vec<String> {
    let values = ["src=\"", "srcset=\"", "href=\""].map(|attribute| {
        let values = html.split(attribute).skip(1);
        values.filter_map(|rest| rest.split('"').next().map(str::to_owned))
    });
    values.into_iter().flatten().collect()
}

/// GitHub's anchor of a heading: lower case, without punctuation, spaces as hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|&c| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_');
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
