//! The comparator of the tests, and its own tests.

use super::harness::{apply, test};

/// The largest accepted difference from an expected value: `absolute + relative * |expected|`.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// The part that does not depend on the expected value.
    pub absolute: f64,
    /// The part proportional to the expected value.
    pub relative: f64,
}

/// Panics with the message of [`compare`] if the values differ.
#[track_caller]
pub fn assert_close<A: Into<f64> + Copy, B: Into<f64> + Copy>(
    what: &str,
    got: &[A],
    want: &[B],
    tolerance: Tolerance,
) {
    assert_close_shaped(what, &[], got, want, tolerance);
}

/// [`assert_close`] that also names the coordinates of the worst element in a row-major tensor of
/// `shape`.
#[track_caller]
pub fn assert_close_shaped<A: Into<f64> + Copy, B: Into<f64> + Copy>(
    what: &str,
    shape: &[usize],
    got: &[A],
    want: &[B],
    tolerance: Tolerance,
) {
    if let Err(message) = compare(what, shape, got, want, tolerance) {
        panic!("{message}");
    }
}

/// Compares element by element, f32 or f64 on either side. With an empty `shape`, messages have no
/// coordinates.
///
/// Both sides must be finite, of the same length, and not empty: comparing nothing proves nothing.
///
/// # Errors
/// The worst element with its position, error and tolerance, and the count of the other failures.
#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "`difference > allowed` would let NaN pass"
)]
pub fn compare<A: Into<f64> + Copy, B: Into<f64> + Copy>(
    what: &str,
    shape: &[usize],
    got: &[A],
    want: &[B],
    tolerance: Tolerance,
) -> Result<(), String> {
    let Tolerance { absolute, relative } = tolerance;
    let sensible = |part: f64| part.is_finite() && part >= 0.0;
    if !(sensible(absolute) && sensible(relative)) {
        return Err(format!(
            "{what}: {tolerance:?} accepts everything or nothing"
        ));
    }
    if got.len() != want.len() {
        return Err(format!(
            "{what}: got {} elements, want {}",
            got.len(),
            want.len()
        ));
    }
    if got.is_empty() {
        return Err(format!("{what}: nothing to compare"));
    }
    if !shape.is_empty() && shape.iter().product::<usize>() != got.len() {
        return Err(format!(
            "{what}: {} elements are not of the shape {shape:?}",
            got.len()
        ));
    }
    let pairs: Vec<(f64, f64)> = got
        .iter()
        .zip(want)
        .map(|(&got, &want)| (got.into(), want.into()))
        .collect();

    let not_finite: Vec<usize> = (0..pairs.len())
        .filter(|&i| !(pairs[i].0.is_finite() && pairs[i].1.is_finite()))
        .collect();
    if let Some(&first) = not_finite.first() {
        let (got, want) = pairs[first];
        let place = place(shape, first);
        return Err(format!(
            "{what}: not finite {place}: got {got:e}, want {want:e}; {} others of {}",
            not_finite.len() - 1,
            pairs.len()
        ));
    }

    let mut failures = 0;
    let mut worst: Option<(f64, usize)> = None;
    for (i, (got, want)) in pairs.iter().enumerate() {
        let difference = (got - want).abs();
        let allowed = absolute + relative * want.abs();
        if !(difference <= allowed) {
            failures += 1;
            let excess = difference / allowed;
            if worst.is_none_or(|(most, _)| excess > most) {
                worst = Some((excess, i));
            }
        }
    }
    let Some((_, i)) = worst else { return Ok(()) };
    let (got, want) = pairs[i];
    let (difference, allowed) = ((got - want).abs(), absolute + relative * want.abs());
    Err(format!(
        "{what}: worst {}: got {got:e}, want {want:e}, error {difference:e}, allowed {allowed:e} \
         ({absolute:e} + {relative:e} of it); \
         {} others fail of {}",
        place(shape, i),
        failures - 1,
        pairs.len()
    ))
}

/// The position of an element as text.
fn place(shape: &[usize], index: usize) -> String {
    if shape.is_empty() {
        return format!("at index {index}");
    }
    let mut rest = index;
    let mut coordinates: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let coordinate = rest % size;
            rest /= size;
            coordinate
        })
        .collect();
    coordinates.reverse();
    format!("at {coordinates:?} of {shape:?} (index {index})")
}

/// The tolerance of the tests below, with both parts.
const TOLERANCE: Tolerance = Tolerance {
    absolute: 1e-6,
    relative: 1e-5,
};
/// No difference is accepted.
const EXACT: Tolerance = Tolerance {
    absolute: 0.0,
    relative: 0.0,
};
/// Small and large values, and a zero, for which only the absolute part of a tolerance remains.
const NUMBERS: [f32; 6] = [0.0, 1.0, -2.5, 1e-3, 1e4, -7.0];

/// [`NUMBERS`] with one value replaced.
fn numbers_with(index: usize, value: f32) -> [f32; 6] {
    let mut numbers = NUMBERS;
    numbers[index] = value;
    numbers
}

/// Whether the comparator fails.
fn fails(got: &[f32], want: &[f32], tolerance: Tolerance) -> bool {
    compare("numbers", &[], got, want, tolerance).is_err()
}

/// Also without a tolerance, and across types.
#[apply(test)]
fn equal_values_pass() {
    assert!(!fails(&NUMBERS, &NUMBERS, TOLERANCE));
    assert!(!fails(&NUMBERS, &NUMBERS, EXACT));
    assert!(
        !fails(&[0.0], &[-0.0], EXACT),
        "both zeros are the same number"
    );
    assert_close("f32 against f64", &NUMBERS, &NUMBERS.map(f64::from), EXACT);
}

/// Half of the tolerance, at every element and with both signs.
#[apply(test)]
fn error_within_tolerance_passes() {
    for (i, &number) in NUMBERS.iter().enumerate() {
        let allowed = TOLERANCE.absolute + TOLERANCE.relative * f64::from(number).abs();
        for sign in [-0.5, 0.5] {
            let near = (f64::from(number) + sign * allowed) as f32;
            assert!(
                !fails(&numbers_with(i, near), &NUMBERS, TOLERANCE),
                "{near} for {number}"
            );
        }
    }
}

/// Ten times the tolerance, at every element and with both signs.
#[apply(test)]
fn error_beyond_tolerance_fails() {
    for (i, &number) in NUMBERS.iter().enumerate() {
        let allowed = TOLERANCE.absolute + TOLERANCE.relative * f64::from(number).abs();
        for sign in [-10.0, 10.0] {
            let far = (f64::from(number) + sign * allowed) as f32;
            assert!(
                fails(&numbers_with(i, far), &NUMBERS, TOLERANCE),
                "{far} for {number}"
            );
        }
    }
    assert!(
        fails(&[f32::from_bits(1.0_f32.to_bits() + 1)], &[1.0], EXACT),
        "the last bit"
    );
    assert!(fails(&[-1.0], &[1.0], TOLERANCE), "the sign");
}

/// At every element, on either side and on both, with any tolerance.
#[apply(test)]
fn non_finite_values_fail() {
    let wide = Tolerance {
        absolute: 1e300,
        relative: 1e300,
    };
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for i in 0..NUMBERS.len() {
            for tolerance in [EXACT, TOLERANCE, wide] {
                let spoilt = numbers_with(i, bad);
                assert!(fails(&spoilt, &NUMBERS, tolerance), "{bad} on the left");
                assert!(fails(&NUMBERS, &spoilt, tolerance), "{bad} on the right");
                assert!(fails(&spoilt, &spoilt, tolerance), "{bad} on both sides");
            }
        }
    }
}

/// Every element is compared.
#[apply(test)]
fn different_lengths_and_shapes_fail() {
    assert!(fails(&NUMBERS[..5], &NUMBERS, TOLERANCE));
    assert!(fails(&NUMBERS, &NUMBERS[..5], TOLERANCE));
    assert!(fails(&[], &NUMBERS, TOLERANCE));
    assert!(fails(&[], &[], TOLERANCE), "nothing was compared");
    assert!(compare("numbers", &[2, 3], &NUMBERS, &NUMBERS, TOLERANCE).is_ok());
    assert!(compare("numbers", &[2, 4], &NUMBERS, &NUMBERS, TOLERANCE).is_err());
}

/// A tolerance with which everything or nothing passes.
#[apply(test)]
fn invalid_tolerances_fail() {
    for part in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(
            fails(
                &NUMBERS,
                &NUMBERS,
                Tolerance {
                    absolute: part,
                    relative: 0.0
                }
            ),
            "absolute {part}"
        );
        assert!(
            fails(
                &NUMBERS,
                &NUMBERS,
                Tolerance {
                    absolute: 0.0,
                    relative: part
                }
            ),
            "relative {part}"
        );
    }
}

/// The message has the position, both values, the error and the count of the other failures.
#[apply(test)]
fn message_names_worst_element() {
    let mut got = NUMBERS;
    got[1] += 0.25;
    got[5] += 64.0;
    got[4] += 1.0;
    let message = compare("numbers", &[2, 3], &got, &NUMBERS, TOLERANCE)
        .expect_err("three elements are wrong");
    for part in [
        "numbers",
        "[1, 2] of [2, 3]",
        "index 5",
        "got 5.7e1",
        "want -7e0",
        "error 6.4e1",
        "2 others",
        "of 6",
    ] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

/// With the same message.
#[apply(test)]
fn assert_close_panics() {
    // Panics are printed, even expected ones; so there are only two, and their text explains them.
    let what = "a failure that the comparator's own test provokes";
    let got = numbers_with(1, 1.25);
    for (shape, panic) in [
        (
            vec![],
            std::panic::catch_unwind(|| assert_close(what, &got, &NUMBERS, TOLERANCE)),
        ),
        (
            vec![3, 2],
            std::panic::catch_unwind(|| {
                assert_close_shaped(what, &[3, 2], &got, &NUMBERS, TOLERANCE);
            }),
        ),
    ] {
        let message =
            compare(what, &shape, &got, &NUMBERS, TOLERANCE).expect_err("one element is wrong");
        assert_eq!(
            panic.expect_err("must panic").downcast_ref::<String>(),
            Some(&message)
        );
    }
}
