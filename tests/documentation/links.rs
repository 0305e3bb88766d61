//! Every link within the repository leads to a file, and every anchor to a heading.

use std::path::Path;

use libtest_mimic::Trial;

use super::{Page, anchor, pages, read, root};
use crate::harness::{apply, test, trial, trials};

/// One trial per page.
#[apply(trials)]
fn links() -> Vec<Trial> {
    let trials = pages().into_iter().map(|page| {
        trial(format!("documentation::links::{page}"), move || {
            let broken = broken_links(&page, &read(&page));
            assert!(broken.is_empty(), "{page}: broken links: {broken:#?}");
        })
    });
    trials.collect()
}

/// The links of a page that lead nowhere. Links to other sites are not followed.
fn broken_links(page: &str, markdown: &str) -> Vec<String> {
    let parsed = Page::parse(markdown);
    let mut broken = Vec::new();
    for link in parsed.links {
        if link.contains("://") {
            continue;
        }
        let (path, fragment) = link.split_once('#').unwrap_or((link.as_str(), ""));
        let directory = Path::new(page).parent().unwrap_or(Path::new(""));
        let target = if path.is_empty() {
            page.into()
        } else {
            directory.join(path)
        };
        let file = root().join(&target);
        let found = file.exists()
            && (fragment.is_empty() || {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                Page::parse(&text).anchors.iter().any(|it| it == fragment)
            });
        if !found {
            broken.push(link);
        }
    }
    broken
}

#[apply(test)]
fn broken_links_are_found() {
    let markdown = "# A heading\n\n[a](no-such-file.md) [b](#a-heading) [c](#no-such-heading) \
                    [d](README.md) [e](README.md#no-such-heading) <img src=\"no-such.svg\">\n";
    let expected = [
        "no-such-file.md",
        "#no-such-heading",
        "README.md#no-such-heading",
        "no-such.svg",
    ];
    let page = "CHANGELOG.md";
    let mut broken = broken_links(page, markdown);
    // `#a-heading` is looked for in the file, not in this text.
    broken.retain(|link| link != "#a-heading");
    assert_eq!(broken, expected);
}

#[apply(test)]
fn anchors_are_those_of_github() {
    for (heading, expected) in [
        ("Train on your text", "train-on-your-text"),
        ("Why does `<unk>` help?", "why-does-unk-help"),
        ("PyTorch, ONNX, rnnlm", "pytorch-onnx-rnnlm"),
        ("model.safetensors", "modelsafetensors"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}
