//! What `elman inspect` shows of a model: everything that its configuration has.

use crate::command::{Workbench, small_text};
use crate::harness::{apply, test};

#[apply(test)]
fn the_whole_configuration_is_shown() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let train = "train --train train.txt --device cpu --epochs 1 --embedding 4 --batch 4 --bptt 5";
    for (flags, lines) in [
        (
            "--hidden 5 --mixture 3",
            &[
                "a mixture of 3 softmaxes as output",
                "  mixture 3",
                "  initial_state 0.1\n",
            ][..],
        ),
        (
            "--hidden 5 --cell qrnn --zoneout 0.25",
            &["  zoneout 0.25", "  cell qrnn"],
        ),
        (
            "--hidden 5 --cell feedforward --context 3 --skip-connection",
            &["  context 3", "  skip_connection true", "  activation tanh"],
        ),
        (
            "--hidden 5,4 --output class --classes 3 --direct 320",
            &[
                "  hidden_sizes 5, 4",
                "  classes asked 3; binning sqrt; sizes ",
                "  direct_size 320",
            ],
        ),
        (
            "--hidden 5 --output sampled --samples 7",
            &["  noise ", "samples 7"],
        ),
    ] {
        let run = workbench.run(&format!("{train} {flags} --force"));
        run.succeeds();
        let config = String::from_utf8(workbench.read("model/config.json")).expect("UTF-8");
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        let shown = workbench.run("inspect").succeeds().stdout;
        // Columns are aligned with spaces.
        let shown: Vec<_> = shown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let shown = shown.join("\n");
        for name in config.as_object().expect("an object").keys() {
            assert!(shown.contains(&format!("\n{name} ")), "{name}: {shown}");
        }
        for line in lines {
            assert!(shown.contains(line.trim_start()), "{line:?}: {shown}");
        }
    }
}
