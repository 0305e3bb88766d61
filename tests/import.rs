//! Models imported from PyTorch and exported to it.

use std::collections::BTreeMap;
use std::process::Command;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::command::{Run, Workbench, small_text};
use crate::environment::{has_python, python};
use crate::harness::{apply, test};

const DEEP: &str = "--layers 2 --embedding 6 --bias --activation tanh --hidden 11";

/// A workbench with a text and one model per pair of a name and flags.
fn workbench(models: &[(&str, &str)]) -> Workbench {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    workbench.write(
        "lines.txt",
        "the boy runs\n\nthe dogs who the cat chases bark\n",
    );
    for (name, flags) in models {
        let train = "train --train train.txt --device cpu --epochs 1 --batch 4 --bptt 5";
        workbench
            .run(&format!("{train} --out {name} {flags}"))
            .succeeds();
    }
    workbench
}

/// Imports a file with the vocabulary in the same list; `rest` holds more flags.
fn import(workbench: &Workbench, file: &str, vocabulary: &str, rest: &str) -> Run {
    workbench.run(&format!(
        "import --from pytorch {file} --vocab {vocabulary} {rest}"
    ))
}

/// Demands that two directories hold bit-identical models.
fn assert_same_model(workbench: &Workbench, one: &str, other: &str) {
    for file in ["model.safetensors", "config.json", "vocab.txt"] {
        assert!(
            workbench.read(&format!("{one}/{file}")) == workbench.read(&format!("{other}/{file}")),
            "{file} of {one} and {other}"
        );
    }
}

/// A safetensors file that can be modified.
#[derive(Clone)]
struct Tensors(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn read(workbench: &Workbench, file: &str) -> Self {
        let bytes = workbench.read(file);
        let tensors = SafeTensors::deserialize(&bytes)
            .expect("a safetensors file")
            .tensors();
        Self(
            tensors
                .into_iter()
                .map(|(name, view)| {
                    (
                        name,
                        (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
                    )
                })
                .collect(),
        )
    }

    fn write(&self, workbench: &Workbench, file: &str) {
        let views = self.0.iter().map(|(name, (dtype, shape, bytes))| {
            (
                name,
                TensorView::new(*dtype, shape.clone(), bytes)
                    .unwrap_or_else(|error| panic!("{name}: {error}")),
            )
        });
        workbench.write(
            file,
            safetensors::serialize(views, None).expect("a file's bytes"),
        );
    }

    fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        Self(
            self.0
                .iter()
                .map(|(old, tensor)| (name(old), tensor.clone()))
                .collect(),
        )
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.0[name]
            .2
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }

    /// Adds or replaces a tensor of f32.
    fn set(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.0
            .insert(name.to_owned(), (Dtype::F32, shape.to_vec(), bytes));
    }

    /// Every tensor converted to another type.
    fn converted<const N: usize>(&self, dtype: Dtype, convert: impl Fn(f32) -> [u8; N]) -> Self {
        let convert = |name: &String| self.values(name).into_iter().flat_map(&convert).collect();
        Self(
            self.0
                .iter()
                .map(|(name, (_, shape, _))| (name.clone(), (dtype, shape.clone(), convert(name))))
                .collect(),
        )
    }
}

#[apply(test)]
fn exported_model_is_imported_bit_identically() {
    let workbench = workbench(&[
        ("seed", "--hidden 7"),
        ("deep", DEEP),
        ("characters", "--unit char --hidden 5"),
    ]);
    workbench.write(
        "bytes.bin",
        (0..=255_u8).cycle().take(256 * 12).collect::<Vec<_>>(),
    );
    let bytes = "train --train bytes.bin --device cpu --epochs 1 --batch 2 --bptt 6 --unit byte \
        --hidden 5 --out bytes";
    workbench.run(bytes).succeeds();
    for (model, flags) in [
        ("seed", "--activation sigmoid"),
        ("deep", ""),
        ("characters", "--activation sigmoid --unit char"),
        ("bytes", "--activation sigmoid --unit byte"),
    ] {
        let (file, vocabulary) = (
            format!("{model}/model.safetensors"),
            format!("{model}/vocab.txt"),
        );
        let run = import(
            &workbench,
            &file,
            &vocabulary,
            &format!("--out new-{model} --initial-state 0.1 {flags}"),
        )
        .succeeds();
        assert_eq!(run.stderr, "", "nothing was changed");
        assert_same_model(&workbench, model, &format!("new-{model}"));
        let score = |name: &str| {
            workbench
                .run(&format!(
                    "score lines.txt --model {name} --device cpu --json --per-token"
                ))
                .succeeds()
                .stdout
        };
        assert_eq!(score(model), score(&format!("new-{model}")));
    }
    // PyTorch's defaults.
    import(
        &workbench,
        "deep/model.safetensors",
        "deep/vocab.txt",
        "--out defaults",
    )
    .succeeds();
    let config = workbench.run("inspect defaults --json").succeeds().json()["config"].clone();
    assert_eq!(
        (
            config["activation"].as_str(),
            config["initial_state"].as_f64()
        ),
        (Some("tanh"), Some(0.0))
    );
}

#[apply(test)]
fn names_and_prefixes() {
    let workbench = workbench(&[("deep", DEEP), ("seed", "--hidden 7")]);
    let encoder = |name: &str| name.replace("embedding.", "encoder.");
    let namings: [&dyn Fn(&str) -> String; 4] = [
        &encoder,
        &|name| format!("module.{}", encoder(name)),
        &|name| format!("model.{name}"),
        &|name| format!("lm.rnn.{name}"),
    ];
    for (model, activation) in [("deep", "tanh"), ("seed", "sigmoid")] {
        let tensors = Tensors::read(&workbench, &format!("{model}/model.safetensors"));
        for (number, naming) in namings.iter().enumerate() {
            tensors
                .renamed(naming)
                .write(&workbench, "renamed.safetensors");
            let flags =
                format!("--out {model}-{number} --activation {activation} --initial-state 0.1");
            import(
                &workbench,
                "renamed.safetensors",
                &format!("{model}/vocab.txt"),
                &flags,
            )
            .succeeds();
            assert_same_model(&workbench, model, &format!("{model}-{number}"));
        }
    }
}

#[apply(test)]
fn boundary_moves_to_index_0() {
    let workbench = workbench(&[("deep", DEEP), ("seed", "--hidden 7")]);
    for (model, activation) in [("deep", "tanh"), ("seed", "sigmoid")] {
        let mut tensors = Tensors::read(&workbench, &format!("{model}/model.safetensors"));
        let vocabulary =
            String::from_utf8(workbench.read(&format!("{model}/vocab.txt"))).expect("UTF-8");
        let mut types: Vec<&str> = vocabulary.lines().collect();
        let size = types.len();
        // The boundary follows the five types that came after it.
        types[..6].rotate_left(1);
        for (name, (_, shape, bytes)) in &mut tensors.0 {
            match shape.as_slice() {
                [rows, ..] if *rows == size => {
                    let row = bytes.len() / size;
                    bytes[..6 * row].rotate_left(row);
                }
                [_, columns] if *columns == size => bytes
                    .chunks_exact_mut(4 * size)
                    .for_each(|row| row[..24].rotate_left(4)),
                _ => assert!(name.starts_with("rnn."), "{name}"),
            }
        }
        tensors.write(&workbench, "moved.safetensors");
        let flags = |out: &str| {
            format!("--out {model}-{out} --activation {activation} --initial-state 0.1")
        };
        workbench.write("moved.txt", types.join("\n"));
        let run = import(
            &workbench,
            "moved.safetensors",
            "moved.txt",
            &flags("moved"),
        )
        .succeeds();
        assert!(
            run.stderr
                .contains("had id 5 in moved.txt and now has id 0"),
            "{}",
            run.stderr
        );
        assert_same_model(&workbench, model, &format!("{model}-moved"));
        workbench.write("eos.txt", types.join("\n").replace("</s>", "<eos>"));
        let run = import(&workbench, "moved.safetensors", "eos.txt", &flags("eos")).succeeds();
        assert!(
            run.stderr.contains("<eos> of eos.txt is now \"</s>\""),
            "{}",
            run.stderr
        );
        assert_same_model(&workbench, model, &format!("{model}-eos"));
        let lines: Vec<String> = types
            .iter()
            .enumerate()
            .rev()
            .map(|(number, token)| format!("{token} {number}\n"))
            .collect();
        workbench.write("kaldi.txt", lines.concat());
        import(
            &workbench,
            "moved.safetensors",
            "kaldi.txt",
            &flags("kaldi"),
        )
        .succeeds();
        assert_same_model(&workbench, model, &format!("{model}-kaldi"));
    }
}

#[apply(test)]
fn shared_table_becomes_tied() {
    let workbench = workbench(&[("square", "--hidden 6 --embedding 6")]);
    let mut tensors = Tensors::read(&workbench, "square/model.safetensors");
    let (table, shape) = (
        tensors.values("embedding.weight"),
        tensors.0["embedding.weight"].1.clone(),
    );
    tensors.set("decoder.weight", &shape, &table);
    tensors.write(&workbench, "both.safetensors");
    tensors.0.remove("decoder.weight");
    tensors.write(&workbench, "one.safetensors");
    for file in ["both", "one"] {
        import(
            &workbench,
            &format!("{file}.safetensors"),
            "square/vocab.txt",
            &format!("--out {file}"),
        )
        .succeeds();
        workbench
            .run(&format!(
                "eval --text train.txt --device cpu --model {file}"
            ))
            .succeeds();
    }
    assert_same_model(&workbench, "both", "one");
}

#[apply(test)]
fn other_dtypes_become_f32() {
    let workbench = workbench(&[("deep", DEEP)]);
    let tensors = Tensors::read(&workbench, "deep/model.safetensors");
    // The file, its values converted to f32, and the messages.
    let check = |name: &str, file: &Tensors, expected: &Tensors, said: &str| {
        file.write(&workbench, "other.safetensors");
        expected.write(&workbench, "expected.safetensors");
        let run = import(
            &workbench,
            "other.safetensors",
            "deep/vocab.txt",
            &format!("--out {name}"),
        )
        .succeeds();
        assert!(
            run.stderr.contains(said) && run.stderr.lines().count() == 1,
            "{name}: {}",
            run.stderr
        );
        import(
            &workbench,
            "expected.safetensors",
            "deep/vocab.txt",
            &format!("--out {name}-expected"),
        )
        .succeeds();
        assert_same_model(&workbench, name, &format!("{name}-expected"));
    };
    let brief = tensors.converted(Dtype::F32, |value| {
        half::bf16::from_f32(value).to_f32().to_le_bytes()
    });
    check(
        "bf16",
        &tensors.converted(Dtype::BF16, |value| {
            half::bf16::from_f32(value).to_le_bytes()
        }),
        &brief,
        "BF16",
    );
    let brief = tensors.converted(Dtype::F32, |value| {
        half::f16::from_f32(value).to_f32().to_le_bytes()
    });
    check(
        "f16",
        &tensors.converted(Dtype::F16, |value| half::f16::from_f32(value).to_le_bytes()),
        &brief,
        "have type F16",
    );
    let mut wide = tensors.converted(Dtype::F64, |value| f64::from(value).to_le_bytes());
    check("f64", &wide, &tensors, "F32, all of them exactly");
    let bytes = &mut wide.0.get_mut("decoder.bias").expect("a bias").2;
    bytes[8..16].copy_from_slice(&(0.1_f64).to_le_bytes());
    let mut rounded = tensors.clone();
    let mut bias = tensors.values("decoder.bias");
    bias[1] = 0.1;
    rounded.set("decoder.bias", &[bias.len()], &bias);
    check(
        "rounded",
        &wide,
        &rounded,
        "1 of them rounded to the nearest",
    );
}

#[apply(test)]
fn every_command_accepts_an_imported_model() {
    let workbench = workbench(&[("deep", DEEP)]);
    import(
        &workbench,
        "deep/model.safetensors",
        "deep/vocab.txt",
        "--out new",
    )
    .succeeds();
    workbench
        .run("eval --text train.txt --model new --device cpu")
        .succeeds();
    workbench
        .run("score lines.txt --model new --device cpu")
        .succeeds();
    workbench
        .run("generate --sentences 2 --model new --device cpu")
        .succeeds();
    let inspect = workbench.run("inspect new").succeeds().stdout;
    assert!(inspect.contains("no training state"), "{inspect}");
    assert!(workbench.run("inspect new --json").succeeds().json()["training"].is_null());
    workbench
        .run("train --resume new --device cpu")
        .fails(1, &["training.json", "no training to resume", "new run"]);
}

#[apply(test)]
fn force_removes_training_state() {
    let workbench = workbench(&[("deep", DEEP), ("seed", "--hidden 7")]);
    let flags = "--out seed --initial-state 0.1";
    let before = workbench.read("seed/model.safetensors");
    import(
        &workbench,
        "deep/model.safetensors",
        "deep/vocab.txt",
        flags,
    )
    .fails(1, &["seed", "not empty", "--force"]);
    assert!(
        workbench.read("seed/model.safetensors") == before
            && workbench.path("seed/training.json").exists()
    );
    import(
        &workbench,
        "deep/model.safetensors",
        "deep/vocab.txt",
        &format!("{flags} --force"),
    )
    .succeeds();
    assert_same_model(&workbench, "deep", "seed");
    let mut left: Vec<_> = std::fs::read_dir(workbench.path("seed"))
        .expect("a directory")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["config.json", "model.safetensors", "vocab.txt"]);
}

#[apply(test)]
fn rejected_tensors() {
    let workbench = workbench(&[("deep", DEEP)]);
    let tensors = Tensors::read(&workbench, "deep/model.safetensors")
        .renamed(|name| name.replace("embedding.", "module.encoder."));
    let tensors = tensors.renamed(|name| {
        if name.starts_with("module.") {
            name.to_owned()
        } else {
            format!("module.{name}")
        }
    });
    let types = tensors.0["module.encoder.weight"].1[0];
    let refused = |change: &dyn Fn(&mut Tensors), parts: &[&str]| {
        let mut changed = tensors.clone();
        change(&mut changed);
        changed.write(&workbench, "bad.safetensors");
        import(&workbench, "bad.safetensors", "deep/vocab.txt", "--out new")
            .fails(1, &[&["bad.safetensors"], parts].concat());
    };
    let remove = |names: &'static [&'static str]| {
        move |file: &mut Tensors| names.iter().for_each(|name| drop(file.0.remove(*name)))
    };
    refused(
        &remove(&["module.rnn.bias_hh_l0"]),
        &["it lacks module.rnn.bias_hh_l0. "],
    );
    refused(
        &remove(&["module.rnn.bias_hh_l0", "module.rnn.bias_hh_l1"]),
        &["it lacks module.rnn.bias_hh_l0, module.rnn.bias_hh_l1. "],
    );
    let missing = remove(&[
        "module.rnn.weight_hh_l0",
        "module.rnn.weight_ih_l1",
        "module.decoder.weight",
    ]);
    let all = [
        "lacks",
        "module.rnn.weight_hh_l0, module.rnn.weight_ih_l1, module.decoder.weight",
    ];
    refused(&missing, &all);
    refused(
        &remove(&["module.rnn.weight_ih_l0", "module.rnn.bias_ih_l0"]),
        &["module.rnn.weight_ih_l0, module.rnn.bias_ih_l0"],
    );
    let add = |name: &'static str, shape: &'static [usize]| {
        move |file: &mut Tensors| file.set(name, shape, &vec![0.5; shape.iter().product()])
    };
    refused(
        &add("module.attention.weight", &[2, 2]),
        &["no model of Elman has: module.attention.weight. "],
    );
    refused(
        &add("rnn.weight_ih_l0", &[11, 6]),
        &["has: rnn.weight_ih_l0. "],
    );
    refused(
        &add("module.embedding.weight", &[1, 6]),
        &["has: module.encoder.weight. "],
    );
    refused(
        &add("module.rnn.weight_ih_l01", &[11, 11]),
        &["has: module.rnn.weight_ih_l01. "],
    );
    refused(
        &add("module.rnn.weight_ih_l99999999999", &[11, 11]),
        &["has: module.rnn.weight_ih_l99999999999. "],
    );
    refused(
        &|file| (missing(file), add("a", &[1])(file)).1,
        &[all[1], "has: a. "],
    );
    refused(
        &add("module.rnn.weight_ih_l0_reverse", &[11, 6]),
        &["module.rnn.weight_ih_l0_reverse", "bidirectional"],
    );
    refused(
        &add("module.rnn.weight_hr_l0", &[3, 11]),
        &["module.rnn.weight_hr_l0", "projections", "proj_size"],
    );
    refused(
        &add("module.rnn.weight_hh_l1", &[11, 12]),
        &["module.rnn.weight_ih_l1", "[11, 11]", "[12, 11]"],
    );
    refused(
        &add("module.rnn.weight_ih_l0", &[11, 7]),
        &["module.rnn.weight_ih_l0", "[11, 7]", "[11, 6]"],
    );
    refused(
        &add("module.rnn.weight_ih_l0", &[22, 6]),
        &["module.rnn.weight_ih_l0", "[22, 6]", "nn.GRU 3"],
    );
    refused(
        &add("module.rnn.bias_ih_l1", &[11, 1]),
        &["module.rnn.bias_ih_l1", "[11, 1]", "[11]"],
    );
    refused(
        &add("module.rnn.weight_hh_l0", &[11]),
        &["module.rnn.weight_hh_l0", "[11]", "matrix"],
    );
    refused(
        &add("module.rnn.weight_hh_l0", &[11, 0]),
        &["module.rnn.weight_hh_l0", "[11, 0]", "matrix"],
    );
    refused(
        &add("module.decoder.bias", &[3]),
        &["module.decoder.bias", "[3]", &format!("[{types}]")],
    );
    refused(
        &add("module.decoder.weight", &[3, 11]),
        &[
            "module.decoder.weight",
            "[3, 11]",
            &format!("[{types}, 11]"),
        ],
    );
    refused(
        &|file| file.0.values_mut().for_each(|tensor| tensor.0 = Dtype::I32),
        &["its type is I32", "F64"],
    );
    for (value, name) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (f32::NEG_INFINITY, "-inf"),
    ] {
        let poison = |file: &mut Tensors| {
            let mut values = file.values("module.rnn.weight_hh_l1");
            values[2 * 11 + 3] = value;
            file.set("module.rnn.weight_hh_l1", &[11, 11], &values);
        };
        refused(
            &poison,
            &[
                "module.rnn.weight_hh_l1",
                &format!("element [2, 3] is {name}"),
            ],
        );
    }
    let large = |file: &mut Tensors| {
        let bytes = vec![1e300_f64; types]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        file.0.insert(
            "module.decoder.bias".into(),
            (Dtype::F64, vec![types], bytes),
        );
    };
    refused(
        &large,
        &["module.decoder.bias", "element [0] is 1e300", "F32"],
    );
    assert!(
        !workbench.path("new").exists(),
        "a refused import leaves a directory behind"
    );
}

#[apply(test)]
fn rejected_vocabularies() {
    let workbench = workbench(&[("deep", DEEP)]);
    let vocabulary = String::from_utf8(workbench.read("deep/vocab.txt")).expect("UTF-8");
    let size = vocabulary.lines().count();
    let refused = |text: &str, parts: &[&str]| {
        workbench.write("bad.txt", text);
        import(&workbench, "deep/model.safetensors", "bad.txt", "--out new").fails(1, parts);
    };
    refused(
        &(vocabulary.clone() + "another\n"),
        &[
            "bad.txt",
            &format!("{} types", size + 1),
            &format!("{size} rows"),
        ],
    );
    refused(
        vocabulary.trim_end().rsplit_once('\n').expect("lines").0,
        &["bad.txt", &format!("{} types", size - 1)],
    );
    refused(
        &vocabulary.replace("</s>", "<end>"),
        &["bad.txt", "boundary", "</s> or <eos>", "--unit char"],
    );
    refused(
        &(vocabulary.clone() + "\n"),
        &[&format!("bad.txt, line {}", size + 1), "empty"],
    );
    refused(
        &vocabulary.replace("</s>", "a </s>"),
        &["bad.txt, line 1", "white space"],
    );
    refused(
        &vocabulary.replace("</s>\n", "</s> 0\n"),
        &["bad.txt, line 2", "has an id"],
    );
    refused("</s>\n</s>\n", &["</s>", "twice"]);
    refused("", &["bad.txt", "boundary"]);
    import(
        &workbench,
        "deep/model.safetensors",
        "deep/vocab.txt",
        "--out new --unit char",
    )
    .fails(1, &["vocab.txt, line", "--unit word"]);
    import(
        &workbench,
        "deep/model.safetensors",
        "missing.txt",
        "--out new",
    )
    .fails(1, &["missing.txt", "because"]);
    assert!(
        !workbench.path("new").exists(),
        "a refused import leaves a directory behind"
    );
}

#[apply(test)]
fn rejected_flags_and_files() {
    let workbench = workbench(&[("deep", DEEP)]);
    let (file, vocabulary) = ("deep/model.safetensors", "deep/vocab.txt");
    import(&workbench, "missing.safetensors", vocabulary, "--out new")
        .fails(1, &["missing.safetensors", "because"]);
    import(&workbench, "train.txt", vocabulary, "--out new")
        .fails(1, &["train.txt", "safetensors", "save_file"]);
    workbench.write("half.safetensors", &workbench.read(file)[..2000]);
    import(&workbench, "half.safetensors", vocabulary, "--out new")
        .fails(1, &["half.safetensors", "not a complete"]);
    import(&workbench, file, vocabulary, "--out train.txt")
        .fails(1, &["train.txt", "it is a file"]);
    for (flags, parts) in [
        (
            "--out new --initial-state nan",
            &["--initial-state NaN", "finite"][..],
        ),
        ("--out new --activation cosine", &["cosine", "sigmoid"]),
        ("--out new --unit syllable", &["syllable", "word"]),
        ("", &["--out"]),
    ] {
        import(&workbench, file, vocabulary, flags).fails(2, parts);
    }
    workbench
        .run(&format!(
            "import --from keras {file} --vocab {vocabulary} --out new"
        ))
        .fails(2, &["keras", "pytorch"]);
    workbench
        .run(&format!("import --from pytorch {file} --out new"))
        .fails(2, &["--vocab"]);
    assert!(
        !workbench.path("new").exists(),
        "a refused import leaves a directory behind"
    );
}

/// Runs a Python program in the workbench's directory and returns its standard output.
fn run_python(workbench: &Workbench, arguments: &[&str]) -> String {
    let mut command = Command::new(python());
    let output = command
        .args(arguments)
        .current_dir(workbench.path(""))
        .output()
        .expect("Python runs");
    Run::new(&format!("(python {})", arguments[0]), output)
        .succeeds()
        .stdout
}

fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!(
        (ours - theirs).abs() <= 1e-5 * theirs.abs(),
        "{what}: {ours}, and PyTorch says {theirs}"
    );
}

#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_score() {
    let workbench = Workbench::new();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/pytorch/make_checkpoint.py"
    );
    let theirs: serde_json::Value =
        serde_json::from_str(&run_python(&workbench, &[script, "."])).expect("JSON");
    for (case, activation, said) in [
        ("plain", "tanh", "<eos>"),
        (
            "deep",
            "relu",
            "have type F64: their 180 elements were converted to F32, 180 of them rounded to the \
             nearest",
        ),
        ("tied", "tanh", "<eos>"),
        (
            "brief",
            "tanh",
            "have type BF16: their 69 elements were converted to F32, all of them exactly",
        ),
    ] {
        let flags = format!("--out {case} --activation {activation}");
        let run = import(
            &workbench,
            &format!("{case}.safetensors"),
            "vocab.txt",
            &flags,
        )
        .succeeds();
        assert!(
            run.stderr.contains(said) && run.stderr.contains("had id 4"),
            "{case}: {}",
            run.stderr
        );
        let ours = workbench
            .run(&format!(
                "score lines.txt --model {case} --device cpu --json --per-token"
            ))
            .succeeds()
            .json();
        let lines = theirs[case].as_array().expect("lines");
        assert_eq!(
            (
                lines.len(),
                ours["token_log10_probs"].as_array().map(Vec::len)
            ),
            (4, Some(4))
        );
        for (line, theirs) in lines.iter().enumerate() {
            let [ours, theirs] = [&ours["token_log10_probs"][line], theirs]
                .map(|line| line.as_array().expect("tokens"));
            assert_eq!(ours.len(), theirs.len());
            for (token, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                let [ours, theirs] =
                    [ours, theirs].map(|number| number.as_f64().expect("a number"));
                assert_close(ours, theirs, &format!("{case}, line {line}, token {token}"));
            }
        }
    }
}

/// The Python code in the README after the comment that introduces it.
fn snippet() -> String {
    let readme = include_str!("../README.md");
    let lines = readme
        .lines()
        .skip_while(|line| !line.starts_with("<!-- tests/import.rs"))
        .skip(1);
    let lines = lines
        .skip_while(|line| line.is_empty())
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    lines
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn readme_snippet_agrees_with_score() {
    let lstm = "--cell lstm --layers 3 --embedding 7 --hidden 9";
    for flags in [
        DEEP,
        "--cell gru --embedding 8 --hidden 8 --tied",
        lstm,
        "--cell lstm --embedding 8 --hidden 8 --tied",
    ] {
        let workbench = workbench(&[("model", flags)]);
        workbench.write("snippet.py", snippet());
        workbench.write("line.txt", "the boy runs\n");
        let theirs: f64 = run_python(&workbench, &["snippet.py"])
            .trim()
            .parse()
            .expect("a number");
        let ours = workbench
            .run("score line.txt --device cpu --json")
            .succeeds()
            .json()["log10_prob"][0]
            .as_f64()
            .expect("a number");
        assert_close(ours, theirs, flags);
        assert!(
            ours < -1.0,
            "three words and an end have a probability of {ours}"
        );
    }
}
