//! Many values as few.

use serde::Serialize;
use std::time::Duration;

/// What is wished of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Better {
    /// Less, of times and sizes.
    Lower,
    /// More, of rates.
    Higher,
}

/// Many values: what half of them kept to, and what 95 of 100 kept to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) median: f64,
    /// 95 of 100 values are as good as this; left out where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p95: Option<f64>,
}

impl Summary {
    /// Of these values.
    pub(crate) fn of(values: &[f64], better: Better) -> Self {
        let mut sorted = values.to_vec();
        match better {
            Better::Lower => sorted.sort_by(f64::total_cmp),
            Better::Higher => sorted.sort_by(|a, b| b.total_cmp(a)),
        }
        Self { median: rank(&sorted, 50), p95: Some(rank(&sorted, 95)) }
    }

    /// Of these times, in milliseconds.
    pub(crate) fn of_times(times: &[Duration]) -> Self {
        let values: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        Self::of(&values, Better::Lower)
    }

    /// A value that was counted.
    pub(crate) fn exact(value: f64) -> Self {
        Self { median: value, p95: None }
    }

    /// The median alone.
    pub(crate) fn median_only(self) -> Self {
        Self { p95: None, ..self }
    }
}

/// The smallest value that `percent` of all do not exceed.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_end_is_told() {
        let values: Vec<f64> = (1..=100).map(f64::from).rev().collect();
        assert_eq!(Summary::of(&values, Better::Lower), Summary { median: 50.0, p95: Some(95.0) });
        assert_eq!(Summary::of(&values, Better::Higher), Summary { median: 51.0, p95: Some(6.0) });
        assert_eq!(Summary::of(&[7.0], Better::Lower), Summary { median: 7.0, p95: Some(7.0) });
    }
}
