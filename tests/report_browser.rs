//! A report in Chromium: nothing on the console, no request, no overflow on a phone, contrast, and
//! what the page does for keys and choices. Skipped by name where there is no Chromium.

use std::process::Command;

use serde_json::Value;

use super::command::Workbench;
use crate::environment::slow_tests;
use crate::harness::{apply, test};

/// The names of the browser.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Flags that keep the browser from using the network by itself.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--dump-dom",
];

fn browser() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    BROWSERS.into_iter().find(runs)
}

/// Opens a page, and returns what `report_browser.js` measures there.
fn measure(workbench: &Workbench, page: &str, width: u32, is_dark: bool) -> Value {
    let profile = tempfile::tempdir().expect("a temporary directory");
    let scheme = u8::from(!is_dark);
    let output = Command::new(browser().expect("a browser"))
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("file://{}", workbench.path(page).display()))
        .output()
        .expect("the browser runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(!messages.contains("CONSOLE"), "{messages}");
    let dom = String::from_utf8_lossy(&output.stdout);
    let measured = dom.split("<pre id=\"measured\">").nth(1);
    let measured = measured.and_then(|it| it.split("</pre>").next());
    let measured = measured.unwrap_or_else(|| panic!("the script failed: {messages}\n{dom}"));
    let measured = measured
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&measured).expect("JSON")
}

#[apply(test)]
#[ignore_unless(slow_tests() && browser().is_some())]
fn pages_work_in_a_browser() {
    let workbench = Workbench::with_model();
    let other = "train --train train.txt --device cpu --cell gru --layers 2 --hidden 6 --epochs 2";
    workbench
        .run(&format!("{other} --batch 4 --bptt 5 --out other"))
        .succeeds();
    let report = "report model other --text train.txt --kneser-ney --device cpu";
    workbench
        .run(&format!("{report} --out report.html"))
        .succeeds();
    let page = String::from_utf8(workbench.read("report.html")).expect("UTF-8");
    let script = format!(
        "<script>{}</script></body>",
        include_str!("report_browser.js")
    );
    workbench.write("measured.html", page.replace("</body>", &script));
    for (width, is_dark) in [(390, false), (1400, false), (390, true), (1400, true)] {
        let found = measure(&workbench, "measured.html", width, is_dark);
        let context = format!("{width} {is_dark}: {found}");
        assert_eq!(found["is_dark"], is_dark, "{context}");
        assert!(
            found["overflow"].as_i64().is_some_and(|it| it <= 0),
            "{context}"
        );
        for list in ["low_contrast", "requests"] {
            assert!(
                found[list].as_array().is_some_and(Vec::is_empty),
                "{context}"
            );
        }
        for works in ["keys_choose", "select_colors"] {
            assert_eq!(found[works], true, "{context}");
        }
        for count in ["only_by_pointer", "unnamed"] {
            assert_eq!(found[count], 0, "{context}");
        }
    }
}
