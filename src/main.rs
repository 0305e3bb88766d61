//! x
use elman::*;
use std::path::Path;
fn arg<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
fn main() {
    let dir: String = arg("DIR", "/tmp/cut".into());
    let c = corpus::Corpus::read(
        Path::new(&format!("{dir}/train.txt")),
        Some(Path::new(&format!("{dir}/valid.txt"))),
        corpus::Unit::Word,
        Default::default(),
    )
    .unwrap();
    println!("V {} N {}", c.vocabulary.len(), c.train.len());
    let mut device = match arg::<String>("DEVICE", "cpu".into()).as_str() {
        "cpu" => device::Device::cpu(arg("THREADS", 2)),
        d => d.parse::<device::DeviceChoice>().unwrap().open(2).unwrap().0,
    };
    println!("{}", device.name());
    let config = model::Config { vocab_size: c.vocabulary.len(), hidden_size: arg("H", 50), ..Default::default() };
    let recipe = train::Recipe {
        batch: arg("B", 32),
        bptt: arg("T", 16),
        lr: arg("LR", 0.1),
        optimizer: arg("OPT", "adagrad".into()),
        clip: arg("CLIP", 0.0),
        epochs: arg("EPOCHS", 20),
        min_improvement: arg("MI", 1.003),
        reduction: if arg::<String>("RED", "mean".into()) == "sum" { train::Reduction::Sum } else { train::Reduction::Mean },
        ..Default::default()
    };
    let values = model::initial_values(&config, 1);
    let mut t = train::Trainer::new(&mut device, config, &values, recipe, &c).unwrap();
    let (test, _) = corpus::read_tokens(Path::new(&format!("{dir}/test.txt")), corpus::Unit::Word, &c.vocabulary).unwrap();
    let start = std::time::Instant::now();
    loop {
        match t.advance(&mut device).unwrap() {
            train::Event::Epoch(r) => println!(
                "{} train {:.3} valid ppl {:.2} lr {} tok/s {:.0} {:.1}s {}",
                r.epoch,
                r.train_loss.exp(),
                r.valid_perplexity,
                r.lr,
                r.tokens_per_second,
                r.seconds,
                r.rolled_back
            ),
            train::Event::Finished => break,
            train::Event::Windows { loss, tokens_per_second, .. } => {
                if arg("VERBOSE", 0) == 1 {
                    println!("  {loss:.4} {tokens_per_second:.0}")
                }
            }
        }
    }
    let e = evaluate::Evaluator::new(&mut device, t.model(), false).unwrap();
    println!("test {:?} in {:.1}s", e.evaluate(&mut device, t.model(), &test).unwrap(), start.elapsed().as_secs_f64());
}
