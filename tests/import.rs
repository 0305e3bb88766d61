//! Models imported from PyTorch and exported to it.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::command::{Run, Workbench, small_text};
use crate::harness::{apply, test};

pub const DEEP: &str = "--layers 2 --embedding 6 --bias --activation tanh --hidden 11";

/// A workbench with a text and one model per pair of a name and flags.
pub fn workbench(models: &[(&str, &str)]) -> Workbench {
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
pub fn import(workbench: &Workbench, file: &str, vocabulary: &str, rest: &str) -> Run {
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
pub struct Tensors(pub BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    pub fn read(workbench: &Workbench, file: &str) -> Self {
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

    pub fn write(&self, workbench: &Workbench, file: &str) {
        let views = self.0.iter().map(|(name, (dtype, shape, bytes))| {
            (
                name,
                TensorView::new(*dtype, shape.clone(), bytes)
                    .unwrap_or_else(|error| panic!("{name}: {error}")),
            )
        });
        // The file may be that of a model.
        workbench.edit(
            file,
            safetensors::serialize(views, None).expect("a file's bytes"),
        );
    }

    pub fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        Self(
            self.0
                .iter()
                .map(|(old, tensor)| (name(old), tensor.clone()))
                .collect(),
        )
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        self.0[name]
            .2
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }

    /// Adds or replaces a tensor of f32.
    pub fn set(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.0
            .insert(name.to_owned(), (Dtype::F32, shape.to_vec(), bytes));
    }

    /// Every tensor converted to another type.
    pub fn converted<const N: usize>(
        &self,
        dtype: Dtype,
        convert: impl Fn(f32) -> [u8; N],
    ) -> Self {
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
}

/// The activation and the initial state of a model.
fn settings(workbench: &Workbench, model: &str) -> (String, f64) {
    let inspect = workbench.run(&format!("inspect {model} --json")).succeeds();
    let config = &inspect.json()["config"];
    let activation = config["activation"].as_str().expect("a name").to_owned();
    (
        activation,
        config["initial_state"].as_f64().expect("a number"),
    )
}

#[apply(test)]
fn file_states_activation_and_initial_state() {
    let gru = "--cell gru --hidden 5";
    let models = [
        ("seed", "--hidden 7"),
        ("relu", "--activation relu"),
        ("gru", gru),
    ];
    let workbench = workbench(&models);
    for (model, _) in models {
        let new = format!("new-{model}");
        let of = |file: &str| format!("{model}/{file}");
        let out = format!("--out {new}");
        let run = import(&workbench, &of("model.safetensors"), &of("vocab.txt"), &out).succeeds();
        assert_eq!(run.stderr, "", "nothing is assumed");
        assert_same_model(&workbench, model, &new);
        // A file without metadata, such as one of PyTorch or of Elman 0.1.0.
        let bare = format!("{model}.safetensors");
        Tensors::read(&workbench, &of("model.safetensors")).write(&workbench, &bare);
        let out = format!("--out bare-{model} --json");
        let run = import(&workbench, &bare, &of("vocab.txt"), &out).succeeds();
        assert!(run.stderr.contains("0 is assumed"), "{}", run.stderr);
        let has_activation = model != "gru";
        assert_eq!(run.stderr.contains("tanh is assumed"), has_activation);
        assert_eq!(run.json()["config"]["initial_state"].as_f64(), Some(0.0));
        let notes = run.json()["notes"].as_array().map(Vec::len);
        assert_eq!(notes, Some(1 + usize::from(has_activation)));
        assert_eq!(settings(&workbench, &format!("bare-{model}")).1, 0.0);
        // As a part of a checkpoint, it is read as before.
        let score = || {
            let score = format!("score lines.txt --device cpu --model {model}");
            workbench.run(&score).succeeds().stdout
        };
        let want = score();
        workbench.edit(&of("model.safetensors"), workbench.read(&bare));
        assert_eq!(score(), want);
    }
    assert_eq!(
        settings(&workbench, "new-relu"),
        ("relu".to_owned(), f64::from(0.1_f32))
    );
    // Flags override what the file states.
    let flags = "--out given --activation tanh --initial-state 0.5";
    import(
        &workbench,
        "new-seed/model.safetensors",
        "seed/vocab.txt",
        flags,
    )
    .succeeds();
    assert_eq!(settings(&workbench, "given"), ("tanh".to_owned(), 0.5));
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
            &format!("--out {name} --activation tanh --initial-state 0"),
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
    let files = [
        "config.json",
        "manifest.json",
        "model.safetensors",
        "vocab.txt",
    ];
    assert_eq!(left, files);
}
