//! Work that comes to the first rank part after part, such as the lines of a file, and that all
//! ranks do.

use super::ranks::Ranks;
use crate::error::Result;

/// Work in parts. Only the first rank has them and gets their results.
pub trait Work {
    /// Whether the next parts may come after any time, as from a person or another program.
    fn waits_for_parts(&self) -> bool {
        false
    }

    /// The next parts, at most `count`, one for each rank; none at the end.
    ///
    /// # Errors
    /// If there is no next part because of an error.
    fn next(&mut self, count: usize) -> Result<Vec<Vec<u32>>>;

    /// The results of a part, on any rank.
    ///
    /// # Errors
    /// If the part fails.
    fn compute(&mut self, part: &[u32]) -> Result<Vec<f64>>;

    /// Takes the results of the parts that [`Work::next`] gave, in their order: of all parts, or of
    /// those before one that has failed.
    ///
    /// # Errors
    /// If the results cannot be used.
    fn take(&mut self, results: Vec<Vec<f64>>) -> Result<()>;
}

impl Ranks {
    /// Does all of the work. The results do not depend on the number of ranks, as long as those of
    /// a part do not depend on other parts.
    ///
    /// # Errors
    /// On all ranks, if one of them fails.
    pub fn divide(&self, work: &mut impl Work) -> Result<()> {
        let waits = self.of_first(u8::from(work.waits_for_parts())) > 0;
        loop {
            let next = match self.is_first() {
                true => work.next(self.count()),
                false => Ok(Vec::new()),
            };
            let (parts, end) = match next {
                Ok(parts) => (parts, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            };
            let count = match waits {
                true => self.unwatched(|ranks| ranks.of_first(parts.len())),
                false => self.of_first(parts.len()),
            };
            if count == 0 {
                return self.agree(end);
            }
            let own = self.scatter(&parts);
            let computed = self.together(|| match self.index() < count {
                true => work.compute(&own),
                false => Ok(Vec::new()),
            });
            let (values, computed) = match computed {
                Ok(values) => (values, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            };
            let failed = self.gather(&[u8::from(computed.is_err())]);
            let complete = failed.iter().take_while(|failed| failed[0] == 0).count();
            let mut results = self.gather(&values);
            results.truncate(complete.min(count));
            let taken = match self.is_first() {
                true => work.take(results),
                false => Ok(()),
            };
            self.agree(computed.and(taken))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::parallel::ranks::tests::on;

    /// Squares the numbers from 0 to `count`, each a part.
    struct Squares {
        count: u32,
        next: u32,
        fails_at: Option<u32>,
        taken: Vec<f64>,
    }

    impl Work for Squares {
        fn next(&mut self, count: usize) -> Result<Vec<Vec<u32>>> {
            let first = self.next;
            self.next = self.count.min(first + count as u32);
            Ok((first..self.next).map(|number| vec![number]).collect())
        }

        fn compute(&mut self, part: &[u32]) -> Result<Vec<f64>> {
            match self.fails_at == Some(part[0]) {
                true => Err(Error::Gpu(format!("part {}", part[0]))),
                false => Ok(vec![f64::from(part[0]).powi(2)]),
            }
        }

        fn take(&mut self, results: Vec<Vec<f64>>) -> Result<()> {
            self.taken.extend(results.concat());
            Ok(())
        }
    }

    fn squares(ranks: usize, count: u32, fails_at: Option<u32>) -> Vec<(Vec<f64>, String)> {
        on(ranks, |ranks| {
            let mut work = Squares {
                count,
                next: 0,
                fails_at,
                taken: Vec::new(),
            };
            let result = ranks.divide(&mut work);
            let message = result.err().map(|error| error.to_string());
            (work.taken, message.unwrap_or_default())
        })
    }

    #[test]
    fn results_have_the_order_of_the_parts() {
        for ranks in [1, 2, 3] {
            for count in [0, 1, 2, 3, 7] {
                let want: Vec<f64> = (0..count).map(|i| f64::from(i).powi(2)).collect();
                for (rank, (taken, message)) in squares(ranks, count, None).into_iter().enumerate()
                {
                    assert_eq!(message, "", "{count} parts on {ranks} ranks");
                    let want = if rank == 0 { &want[..] } else { &[] };
                    assert_eq!(taken, want, "{count} parts on {ranks} ranks");
                }
            }
        }
    }

    #[test]
    fn what_precedes_a_failure_is_taken() {
        let results = squares(3, 9, Some(4));
        assert_eq!(results[0].0, [0.0, 1.0, 4.0, 9.0]);
        assert!(results[1].1.contains("part 4"), "{results:?}");
        for other in [0, 2] {
            assert!(results[other].1.contains("rank 1 on"), "{results:?}");
        }
    }
}
