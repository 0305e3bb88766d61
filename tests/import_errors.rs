//! `elman import`: rejected tensors, vocabularies, flags and files.

use safetensors::tensor::Dtype;

use super::import::{DEEP, Tensors, import, workbench};
use crate::harness::{apply, test};

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
    let rejected = |change: &dyn Fn(&mut Tensors), parts: &[&str]| {
        let mut changed = tensors.clone();
        change(&mut changed);
        changed.write(&workbench, "bad.safetensors");
        import(&workbench, "bad.safetensors", "deep/vocab.txt", "--out new")
            .fails(1, &[&["bad.safetensors"], parts].concat());
    };
    let remove = |names: &'static [&'static str]| {
        move |file: &mut Tensors| names.iter().for_each(|name| drop(file.0.remove(*name)))
    };
    rejected(
        &remove(&["module.rnn.bias_hh_l0"]),
        &["it lacks module.rnn.bias_hh_l0. "],
    );
    rejected(
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
    rejected(&missing, &all);
    rejected(
        &remove(&["module.rnn.weight_ih_l0", "module.rnn.bias_ih_l0"]),
        &["module.rnn.weight_ih_l0, module.rnn.bias_ih_l0"],
    );
    let add = |name: &'static str, shape: &'static [usize]| {
        move |file: &mut Tensors| file.set(name, shape, &vec![0.5; shape.iter().product()])
    };
    rejected(
        &add("module.attention.weight", &[2, 2]),
        &["tensors that Elman does not know: module.attention.weight. "],
    );
    rejected(
        &add("rnn.weight_ih_l0", &[11, 6]),
        &["does not know: rnn.weight_ih_l0. "],
    );
    rejected(
        &add("module.embedding.weight", &[1, 6]),
        &["does not know: module.encoder.weight. "],
    );
    rejected(
        &add("module.rnn.weight_ih_l01", &[11, 11]),
        &["does not know: module.rnn.weight_ih_l01. "],
    );
    rejected(
        &add("module.rnn.weight_ih_l99999999999", &[11, 11]),
        &["does not know: module.rnn.weight_ih_l99999999999. "],
    );
    rejected(
        &|file| (missing(file), add("a", &[1])(file)).1,
        &[all[1], "does not know: a. "],
    );
    rejected(
        &add("module.rnn.weight_ih_l0_reverse", &[11, 6]),
        &["module.rnn.weight_ih_l0_reverse", "bidirectional"],
    );
    rejected(
        &add("module.rnn.weight_hr_l0", &[3, 11]),
        &["module.rnn.weight_hr_l0", "projections", "proj_size"],
    );
    rejected(
        &add("module.rnn.weight_hh_l1", &[11, 12]),
        &["module.rnn.weight_ih_l1", "[11, 11]", "[12, 11]"],
    );
    rejected(
        &add("module.rnn.weight_ih_l0", &[11, 7]),
        &["module.rnn.weight_ih_l0", "[11, 7]", "[11, 6]"],
    );
    rejected(
        &add("module.rnn.weight_ih_l0", &[22, 6]),
        &["module.rnn.weight_ih_l0", "[22, 6]", "nn.GRU 3"],
    );
    rejected(
        &add("module.rnn.bias_ih_l1", &[11, 1]),
        &["module.rnn.bias_ih_l1", "[11, 1]", "[11]"],
    );
    rejected(
        &add("module.rnn.weight_hh_l0", &[11]),
        &["module.rnn.weight_hh_l0", "[11]", "matrix"],
    );
    rejected(
        &add("module.rnn.weight_hh_l0", &[11, 0]),
        &["module.rnn.weight_hh_l0", "[11, 0]", "matrix"],
    );
    rejected(
        &add("module.decoder.bias", &[3]),
        &["module.decoder.bias", "[3]", &format!("[{types}]")],
    );
    rejected(
        &add("module.decoder.weight", &[3, 11]),
        &[
            "module.decoder.weight",
            "[3, 11]",
            &format!("[{types}, 11]"),
        ],
    );
    rejected(
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
        rejected(
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
    rejected(
        &large,
        &["module.decoder.bias", "element [0] is 1e300", "F32"],
    );
    assert!(
        !workbench.path("new").exists(),
        "a rejected import leaves a directory behind"
    );
}

#[apply(test)]
fn rejected_vocabularies() {
    let workbench = workbench(&[("deep", DEEP)]);
    let vocabulary = String::from_utf8(workbench.read("deep/vocab.txt")).expect("UTF-8");
    let size = vocabulary.lines().count();
    let rejected = |text: &str, parts: &[&str]| {
        workbench.write("bad.txt", text);
        import(&workbench, "deep/model.safetensors", "bad.txt", "--out new").fails(1, parts);
    };
    rejected(
        &(vocabulary.clone() + "another\n"),
        &[
            "bad.txt",
            &format!("{} types", size + 1),
            &format!("{size} rows"),
        ],
    );
    rejected(
        vocabulary.trim_end().rsplit_once('\n').expect("lines").0,
        &["bad.txt", &format!("{} types", size - 1)],
    );
    rejected(
        &vocabulary.replace("</s>", "<end>"),
        &["bad.txt", "boundary", "</s> or <eos>", "--unit char"],
    );
    rejected(
        &(vocabulary.clone() + "\n"),
        &[&format!("bad.txt, line {}", size + 1), "empty"],
    );
    rejected(
        &vocabulary.replace("</s>", "a </s>"),
        &["bad.txt, line 1", "no space, tab or carriage return"],
    );
    rejected(
        &vocabulary.replace("</s>\n", "</s> 0\n"),
        &["bad.txt, line 2", "has an id"],
    );
    rejected("</s>\n</s>\n", &["</s>", "twice"]);
    rejected("", &["bad.txt", "boundary"]);
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
        "a rejected import leaves a directory behind"
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
        "a rejected import leaves a directory behind"
    );
}
