//! Axes of charts: scales and ticks.

/// A range of values along one side of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

/// A tick of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// The ratio of the largest to the smallest value from which a logarithmic axis is easier to read.
const LOGARITHMIC_FROM: f64 = 100.0;
/// About this many intervals between ticks.
const INTERVALS: f64 = 4.0;

impl Axis {
    /// A linear axis for these finite values.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = range(values);
        if low == high {
            let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - margin, high + margin);
        }
        Self {
            low,
            high,
            is_logarithmic: false,
        }
    }

    /// The same with a margin, for texts at the ends.
    pub(super) fn with_margin(values: impl Iterator<Item = f64>) -> Self {
        let axis = Self::linear(values);
        let margin = (axis.high - axis.low) * 0.07;
        Self {
            low: axis.low - margin,
            high: axis.high + margin,
            ..axis
        }
    }

    /// The same from 0.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        Self::linear(values.chain([0.0]))
    }

    /// An axis that is logarithmic where the values differ much and are positive.
    pub(super) fn adaptive(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) = range(values.clone());
        match low > 0.0 && high / low >= LOGARITHMIC_FROM {
            true => Self {
                low,
                high,
                is_logarithmic: true,
            },
            false => Self::from_zero(values),
        }
    }

    /// A logarithmic axis of positive values.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = range(values.filter(|value| *value > 0.0));
        Self {
            low: low.max(f64::MIN_POSITIVE),
            high: if high > low {
                high
            } else {
                low.max(1e-300) * 10.0
            },
            is_logarithmic: true,
        }
    }

    /// Where a value is, from 0 to 1; none for a value that the axis has no place for.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let scale = |value: f64| match self.is_logarithmic {
            true => value.ln(),
            false => value,
        };
        let (low, high) = (scale(self.low), scale(self.high));
        let place = (scale(value) - low) / (high - low);
        place.is_finite().then_some(place)
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        let values = match self.is_logarithmic {
            true => self.powers(),
            false => self.multiples(),
        };
        let tick = |value| Tick {
            value,
            label: label(value),
        };
        values.into_iter().map(tick).collect()
    }

    /// Powers of 10 and, where these are few, 2 and 5 times them.
    fn powers(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
        let decades = last - first;
        let step = (decades / 5.0).ceil().max(1.0);
        let factors: &[f64] = if decades <= 2.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let count = (decades / step) as i32;
        let powers = (0..=count).map(|index| first + f64::from(index) * step);
        let values = powers.flat_map(|power| factors.iter().map(move |f| f * 10_f64.powf(power)));
        let inside = |value: &f64| (self.low..=self.high).contains(value);
        values.filter(inside).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of 10.
    fn multiples(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / INTERVALS;
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0]
            .into_iter()
            .find(|factor| factor * power >= rough);
        let step = factor.unwrap_or(10.0) * power;
        let first = (self.low / step).ceil();
        let count = ((self.high / step).floor() - first) as i32;
        (0..=count)
            .map(|index| (first + f64::from(index)) * step)
            .collect()
    }
}

/// The smallest and the largest finite value.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let range = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if range.0 <= range.1 {
        range
    } else {
        (0.0, 1.0)
    }
}

/// A number in few characters.
pub(super) fn label(value: f64) -> String {
    let size = value.abs();
    let (scaled, suffix) = match size {
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ if size > 0.0 && size < 1e-3 => return exponent(value),
        _ => (value, ""),
    };
    let digits = format!("{scaled:.4}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let digits = if digits == "-0" { "0" } else { digits };
    format!("{digits}{suffix}").replace('-', "\u{2212}")
}

/// A small number, such as 2·10⁻⁵ as `2e−5`.
fn exponent(value: f64) -> String {
    let text = format!("{value:.1e}").replace(".0e", "e");
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        assert_eq!(
            labels(Axis::linear([0.3, 2.1].into_iter())),
            ["0.5", "1", "1.5", "2"]
        );
        assert_eq!(
            labels(Axis::linear([0.0, 4e6].into_iter())),
            ["0", "1M", "2M", "3M", "4M"]
        );
        assert_eq!(
            labels(Axis::from_zero([0.003].into_iter())),
            ["0", "0.001", "0.002", "0.003"]
        );
        assert_eq!(
            labels(Axis::logarithmic([1e-6, 2.0].into_iter()))
                .first()
                .map(String::as_str),
            Some("1e\u{2212}6")
        );
        assert_eq!(
            labels(Axis::logarithmic([1.0, 30.0].into_iter())),
            ["1", "2", "5", "10", "20"]
        );
    }

    #[test]
    fn values_without_a_range_have_an_axis() {
        for axis in [
            Axis::linear(std::iter::empty()),
            Axis::linear([3.0, 3.0].into_iter()),
            Axis::adaptive([f64::NAN, f64::INFINITY].into_iter()),
            Axis::logarithmic([0.0, 0.0].into_iter()),
        ] {
            assert!(axis.ticks().len() < 12, "{axis:?}");
            assert!(axis.place(f64::INFINITY).is_none(), "{axis:?}");
        }
    }
}
