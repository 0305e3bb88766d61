//! Tests of the rates and verdicts: those of rnnlm and of PyTorch.

use super::*;
use crate::field::Choice;

fn run(log_probabilities: &[f64]) -> Vec<(f32, bool, bool)> {
    let recipe = Recipe::default();
    let mut schedule = Schedule::new(&recipe);
    log_probabilities
        .iter()
        .zip(1..)
        .map(|(&value, epoch)| {
            let verdict = schedule.after_epoch(&recipe, epoch, value);
            assert_eq!(verdict.keep, !verdict.roll_back);
            (
                schedule.rate(&recipe, 1, 1),
                verdict.roll_back,
                verdict.stop,
            )
        })
        .collect()
}

#[test]
fn rnnlm_schedule_epoch_by_epoch() {
    // 1000/900 is an improvement; 900/899 is not significant: halve; 899/850 is significant,
    // and halves again; 850/860 is worse: roll back and stop.
    let steps = run(&[-1000.0, -900.0, -899.0, -850.0, -860.0]);
    assert_eq!(
        steps,
        [
            (0.1, false, false),
            (0.1, false, false),
            (0.05, false, false),
            (0.025, false, false),
            (0.0125, true, true)
        ]
    );
}

#[test]
fn a_worse_epoch_is_rolled_back_and_counts_as_the_previous_one() {
    let steps = run(&[-1000.0, -1100.0, -1001.0, -999.5]);
    assert_eq!(steps[1], (0.05, true, false));
    assert_eq!(steps[2], (0.025, false, false));
    assert_eq!(steps[3], (0.0125, false, true));
}

#[test]
fn nan_is_not_an_improvement() {
    assert_eq!(run(&[-1000.0, f64::NAN])[1], (0.05, true, false));
}

/// The rate and the verdict after each epoch, given the validation log-probabilities.
fn verdicts(recipe: &Recipe, log_probabilities: &[f64]) -> (Vec<f32>, Vec<Verdict>) {
    recipe.validate().expect("a recipe");
    let mut schedule = Schedule::new(recipe);
    let after = log_probabilities.iter().zip(1..).map(|(&value, epoch)| {
        let verdict = schedule.after_epoch(recipe, epoch, value);
        (schedule.rate(recipe, 1, 1), verdict)
    });
    after.unzip()
}

fn assert_rates(recipe: &Recipe, got: impl IntoIterator<Item = f32>, want: &[f64]) {
    let got: Vec<_> = got.into_iter().collect();
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (f64::from(*got) - want).abs() <= 1e-6 * want,
            "{} {index}: {got} and {want}",
            recipe.schedule.name()
        );
    }
}

/// ```python
/// def rates(scheduler, steps, *losses):
///     optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
///     schedule, seen = scheduler(optimizer), []
///     for step in range(steps):
///         seen.append(optimizer.param_groups[0]["lr"])
///         optimizer.step()
///         schedule.step(*(loss[step] for loss in losses))
///     return seen
/// rates(lambda o: CosineAnnealingLR(o, T_max=7, eta_min=0.004), 7)
/// rates(lambda o: LinearLR(o, start_factor=1, end_factor=0.04, total_iters=7), 7)
/// rates(lambda o: OneCycleLR(o, max_lr=0.1, total_steps=n), n)  # for n in 1, 2, 11
/// rates(lambda o: LinearLR(o, start_factor=1 / 5, end_factor=1, total_iters=4), 7)
/// ```
#[test]
fn rates_of_updates_are_those_of_pytorch() {
    let constant = Recipe {
        schedule: ScheduleKind::Constant,
        ..Recipe::default()
    };
    let of = |schedule| Recipe {
        schedule,
        lr_end: 0.004,
        ..constant.clone()
    };
    let cases: [(Recipe, &[f64]); 6] = [
        (
            of(ScheduleKind::Cosine),
            &[
                0.1,
                0.095246506,
                0.08192751,
                0.062681005,
                0.041318995,
                0.02207249,
                0.0087534943,
            ],
        ),
        (
            of(ScheduleKind::Linear),
            &[
                0.1,
                0.086285714,
                0.072571429,
                0.058857143,
                0.045142857,
                0.031428571,
                0.017714286,
            ],
        ),
        (of(ScheduleKind::OneCycle), &[4e-7]),
        (of(ScheduleKind::OneCycle), &[0.081174565, 4e-7]),
        (
            of(ScheduleKind::OneCycle),
            &[
                0.004,
                0.042234111,
                0.096026142,
                0.097974657,
                0.088447572,
                0.072608705,
                0.053058271,
                0.033005803,
                0.015743251,
                0.0041045543,
                4e-7,
            ],
        ),
        (
            Recipe {
                warm_up: 5,
                ..constant
            },
            &[0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1],
        ),
    ];
    for (recipe, want) in cases {
        let schedule = Schedule::new(&recipe);
        assert_rates(
            &recipe,
            (1..=want.len() as u32).map(|step| schedule.rate(&recipe, step, want.len() as u64)),
            want,
        );
    }
}

/// ```python
/// losses = [5, 4, 4, 4.5, 3.9, 3.95, 3.9, 4, 4.1, 3.8, 3.7, 3.8]
/// for n in 0, 1, 2:
///     plateau = lambda o: ReduceLROnPlateau(o, factor=0.7, patience=n, threshold=0)
///     rates(plateau, 13, losses + [0])
/// for n in 1, 4:
///     rates(lambda o: MultiplicativeLR(o, lambda epoch: 0.7 if epoch >= n else 1), 7)
/// ```
#[test]
fn rates_of_epochs_are_those_of_pytorch() {
    let losses = [5.0, 4.0, 4.0, 4.5, 3.9, 3.95, 3.9, 4.0, 4.1, 3.8, 3.7, 3.8];
    let log_probabilities = losses.map(|loss| -1000.0 * loss);
    let of = |schedule| Recipe {
        schedule,
        lr_decay: 0.7,
        ..Recipe::default()
    };
    let plateau = |lr_patience| Recipe {
        lr_patience,
        ..of(ScheduleKind::Plateau)
    };
    let step = |lr_decay_after| Recipe {
        lr_decay_after,
        ..of(ScheduleKind::Step)
    };
    let cases: [(Recipe, &[f64]); 5] = [
        (
            plateau(0),
            &[
                0.1, 0.1, 0.1, 0.07, 0.049, 0.049, 0.0343, 0.02401, 0.016807, 0.0117649, 0.0117649,
                0.0117649, 0.00823543,
            ],
        ),
        (
            plateau(1),
            &[
                0.1, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.049, 0.049, 0.0343, 0.0343, 0.0343, 0.0343,
            ],
        ),
        (
            plateau(2),
            &[
                0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.07, 0.07,
            ],
        ),
        (
            step(1),
            &[0.1, 0.07, 0.049, 0.0343, 0.02401, 0.016807, 0.0117649],
        ),
        (step(4), &[0.1, 0.1, 0.1, 0.1, 0.07, 0.049, 0.0343]),
    ];
    for (recipe, want) in cases {
        let epochs = &log_probabilities[..want.len() - 1];
        assert_rates(
            &recipe,
            [recipe.lr].into_iter().chain(verdicts(&recipe, epochs).0),
            want,
        );
    }
}

#[test]
fn the_best_epoch_is_kept_and_patience_stops() {
    let log_probabilities = [-9.0, -8.0, -8.0, f64::NAN, -7.0, -7.5, -7.2, -7.0];
    let best = Recipe {
        schedule: ScheduleKind::Constant,
        patience: Some(3),
        ..Recipe::default()
    };
    for (recipe, keeps) in [
        (
            best.clone(),
            [true, true, false, false, true, false, false, false],
        ),
        (
            Recipe {
                keep: Keep::Last,
                ..best
            },
            [true; 8],
        ),
    ] {
        let (_, verdicts) = verdicts(&recipe, &log_probabilities);
        assert_eq!(
            verdicts
                .iter()
                .map(|verdict| verdict.keep)
                .collect::<Vec<_>>(),
            keeps
        );
        assert!(verdicts.iter().all(|verdict| !verdict.roll_back));
        assert_eq!(verdicts.iter().position(|verdict| verdict.stop), Some(7));
    }
}
