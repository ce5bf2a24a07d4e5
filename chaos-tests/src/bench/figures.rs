//! Medians, percentiles and alternating runs.

use std::time::Duration;

use anyhow::Result;

/// The middle of the values; NaN without any.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The smallest value that at least this share of all values does not exceed; NaN without any.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One of two alternating runs each: their results in order.
#[derive(Debug, Clone)]
pub struct Pairs<A, B> {
    /// Ours and theirs, run after run.
    pub runs: Vec<(A, B)>,
}

/// Runs both in turn, so that whatever else happens on the machine meets both. The order changes from round to round, and a
/// first round is thrown away.
pub async fn alternate<A, B>(
    rounds: usize,
    mut ours: impl AsyncFnMut() -> Result<A>,
    mut theirs: impl AsyncFnMut() -> Result<B>,
) -> Result<Pairs<A, B>> {
    let mut runs = Vec::new();
    for round in 0..=rounds {
        let pair = match round % 2 {
            0 => {
                let first = ours().await?;
                (first, theirs().await?)
            }
            _ => {
                let first = theirs().await?;
                (ours().await?, first)
            }
        };
        if round > 0 {
            runs.push(pair);
        }
    }
    Ok(Pairs { runs })
}

impl<A, B> Pairs<A, B> {
    /// Median of a figure of our runs.
    pub fn ours(&self, figure: impl Fn(&A) -> f64) -> f64 {
        median(&self.runs.iter().map(|(ours, _)| figure(ours)).collect::<Vec<_>>())
    }

    /// Median of a figure of their runs.
    pub fn theirs(&self, figure: impl Fn(&B) -> f64) -> f64 {
        median(&self.runs.iter().map(|(_, theirs)| figure(theirs)).collect::<Vec<_>>())
    }

    /// Median of the ratios of the pairs.
    pub fn ratio(&self, ours: impl Fn(&A) -> f64, theirs: impl Fn(&B) -> f64) -> f64 {
        median(&self.runs.iter().map(|(a, b)| ours(a) / theirs(b)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(median(&values), 50.0);
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.01), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[tokio::test]
    async fn the_first_round_does_not_count_and_the_order_changes() {
        let order = std::sync::Mutex::new(String::new());
        let note = |name: char| order.lock().unwrap().push(name);
        let mut ours = 0.0;
        let pairs = alternate(
            2,
            async || {
                note('a');
                ours += 2.0;
                Ok(ours)
            },
            async || {
                note('b');
                Ok(2.0)
            },
        )
        .await
        .unwrap();
        assert_eq!(*order.lock().unwrap(), "abbaab");
        assert_eq!(pairs.runs, [(4.0, 2.0), (6.0, 2.0)]);
        assert_eq!(pairs.ratio(|a| *a, |b| *b), 2.0);
    }
}
