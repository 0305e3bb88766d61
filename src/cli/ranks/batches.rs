//! Batches that the first rank reads, of which every rank computes one at a time.

use crate::cli::is_broken_pipe;
use crate::error::{Error, Result};

/// The batches that the ranks compute now, and why there are no more.
pub(in crate::cli) struct Batches<B> {
    present: Vec<B>,
    end: Option<End>,
}

/// Why there are no more batches.
enum End {
    /// All are read.
    Complete,
    /// There is an error after the last one.
    Failed(Error),
    /// The reader of standard output has closed it.
    Closed(Error),
}

impl<B> Batches<B> {
    pub(in crate::cli) fn new() -> Self {
        Self {
            present: Vec::new(),
            end: None,
        }
    }

    /// Reads at most `count` batches. `read` gets whether it is to wait for a batch; without, and
    /// where none is there yet, it has none. It returns an error that follows the batch, too.
    ///
    /// # Errors
    /// If an error comes before any batch.
    pub(in crate::cli) fn read(
        &mut self,
        count: usize,
        mut read: impl FnMut(bool) -> (Option<B>, Result<()>),
    ) -> Result<&[B]> {
        self.present.clear();
        while self.end.is_none() && self.present.len() < count {
            let waits = self.present.is_empty();
            let (batch, end) = read(waits);
            let is_missing = batch.is_none();
            self.present.extend(batch);
            match end {
                Err(error) => self.end = Some(End::Failed(error)),
                Ok(()) if is_missing && waits => self.end = Some(End::Complete),
                Ok(()) if is_missing => break,
                Ok(()) => {}
            }
        }
        match self.end.take() {
            Some(End::Failed(error)) if self.present.is_empty() => return Err(error),
            end => self.end = end,
        }
        Ok(&self.present)
    }

    /// Prints the batches that have results. If standard output is closed, no more are read: the
    /// other ranks end as after success.
    ///
    /// # Errors
    /// If one cannot be printed otherwise.
    pub(in crate::cli) fn print(
        &mut self,
        results: &[Vec<f64>],
        mut print: impl FnMut(B, &[f64]) -> Result<()>,
    ) -> Result<()> {
        for (batch, result) in self.present.drain(..).zip(results) {
            match print(batch, result) {
                Err(error) if is_broken_pipe(&error) => {
                    self.end = Some(End::Closed(error));
                    break;
                }
                printed => printed?,
            }
        }
        Ok(())
    }

    /// Ends the work.
    ///
    /// # Errors
    /// If standard output was closed.
    pub(in crate::cli) fn finish(self) -> Result<()> {
        match self.end {
            Some(End::Closed(error) | End::Failed(error)) => Err(error),
            Some(End::Complete) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers up to 5, after which `end` comes; every other one is to be waited for.
    fn numbers(end: fn() -> Result<()>) -> impl FnMut(bool) -> (Option<u32>, Result<()>) {
        let mut next = 0;
        move |waits| {
            if next == 5 {
                return (None, end());
            }
            if !waits && next % 2 == 0 {
                return (None, Ok(()));
            }
            next += 1;
            (Some(next), Ok(()))
        }
    }

    #[test]
    fn batches_are_those_that_are_there() {
        let mut batches = Batches::new();
        let mut read = numbers(|| Ok(()));
        let mut printed = Vec::new();
        for want in [&[1, 2][..], &[3, 4], &[5], &[], &[]] {
            assert_eq!(batches.read(3, &mut read).expect("batches"), want);
            let results = vec![Vec::new(); want.len()];
            batches
                .print(&results, |batch, _| {
                    printed.push(batch);
                    Ok(())
                })
                .expect("printed");
        }
        assert_eq!(printed, [1, 2, 3, 4, 5]);
        assert!(batches.finish().is_ok());
    }

    #[test]
    fn an_error_comes_after_what_precedes_it() {
        let mut batches = Batches::new();
        let mut read = numbers(|| Err(Error::Gpu("line 6".to_owned())));
        for want in [1, 3] {
            assert_eq!(batches.read(1, &mut read).expect("a batch"), [want]);
            assert_eq!(batches.read(1, &mut read).expect("a batch"), [want + 1]);
        }
        assert_eq!(batches.read(2, &mut read).expect("the last one"), [5]);
        assert!(batches.read(2, &mut read).is_err());
    }
}
