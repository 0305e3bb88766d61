//! Reads n-best lists, one list at a time.
//!
//! In: lines in the format of rnnlm or SRILM. Out: lists of hypotheses, or an error with the line
//! number.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::corpus::{SentenceTags, Unit, is_separator, split_line, without_byte_order_mark};
use crate::decompress::Reader;
use crate::error::{Error, Result};
use crate::field::choices;

choices! {
    /// The format of a line.
    pub enum NbestFormat {
        /// Only words, as for rnnlm -nbest.
        Rnnlm = "rnnlm",
        /// The acoustic score, the score of the language model, the number of words, and the words;
        /// scores are log10 (SRILM's nbest-format).
        Srilm = "srilm",
    }
}

choices! {
    /// Where lines contain the name of their list.
    pub enum ListIds {
        /// In the first column: consecutive lines with the same name form a list.
        FirstColumn = "first-column",
        /// Nowhere: an empty line ends a list.
        None = "none",
    }
}

/// One hypothesis.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The line number, counted from 1.
    pub line: u64,
    /// The acoustic score (log10); 0 if the format has none.
    pub acoustic: f64,
    /// The score of another language model (log10), if the format has one.
    pub language: Option<f64>,
    /// The words, split as those of a text; none for an empty hypothesis. `</s>` is not among
    /// them, except where it ends a sentence inside the hypothesis.
    pub words: Vec<String>,
}

/// The hypotheses of one utterance or sentence, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct NbestList {
    /// The name of the list; if lists have no names, its number, counted from 1.
    pub id: String,
    /// The hypotheses, at least one.
    pub hypotheses: Vec<Hypothesis>,
}

/// Reads n-best lists from a stream.
pub struct NbestReader {
    reader: Reader,
    path: PathBuf,
    format: NbestFormat,
    ids: ListIds,
    line: u64,
    lists: u64,
    /// The list that is read: its first hypotheses.
    current: Option<NbestList>,
    tags: SentenceTags,
}

impl std::fmt::Debug for NbestReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NbestReader")
            .field("path", &self.path)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl NbestReader {
    /// Creates a reader. `path` is used in error messages.
    pub fn new(reader: Reader, path: &Path, format: NbestFormat, ids: ListIds) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            format,
            ids,
            line: 0,
            lists: 0,
            current: None,
            tags: SentenceTags::default(),
        }
    }

    /// The sentence tags of the lines read so far.
    pub fn tags(&self) -> SentenceTags {
        self.tags
    }

    /// The next list; `None` at the end.
    ///
    /// # Errors
    /// If the stream cannot be read, or a line is not a hypothesis.
    pub fn next_list(&mut self) -> Result<Option<NbestList>> {
        while let Some(line) = self.next_line()? {
            if let Some(list) = self.add(&line)? {
                return Ok(Some(list));
            }
        }
        Ok(self.current.take())
    }

    /// The list whose end has not been read, where reading the next line failed.
    pub fn incomplete_list(&mut self) -> Option<NbestList> {
        self.current.take()
    }

    /// The next list, if its lines and the line that ends it can be read without waiting.
    ///
    /// # Errors
    /// As [`Self::next_list`].
    pub fn next_ready_list(&mut self) -> Result<Option<NbestList>> {
        while self.reader.buffer().contains(&b'\n') {
            let Some(line) = self.next_line()? else { break };
            if let Some(list) = self.add(&line)? {
                return Ok(Some(list));
            }
        }
        Ok(None)
    }

    /// Adds a line to the current list, or ends the list with it.
    fn add(&mut self, line: &str) -> Result<Option<NbestList>> {
        let is_empty = line.chars().all(is_separator);
        if is_empty && self.ids == ListIds::None {
            return Ok(self.current.take());
        }
        let (id, hypothesis) = self.parse(line)?;
        match &mut self.current {
            Some(list) if id.as_ref().is_none_or(|id| *id == list.id) => {
                list.hypotheses.push(hypothesis);
                Ok(None)
            }
            current => {
                self.lists += 1;
                let next = NbestList {
                    id: id.unwrap_or_else(|| self.lists.to_string()),
                    hypotheses: vec![hypothesis],
                };
                Ok(current.replace(next))
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        if self
            .reader
            .read_until(b'\n', &mut bytes)
            .map_err(Error::io("read", &self.path))?
            == 0
        {
            return Ok(None);
        }
        self.line += 1;
        if self.line == 1 {
            bytes = without_byte_order_mark(&bytes, Unit::Word).to_vec();
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| self.invalid("", "it is not UTF-8", "Convert the lists to UTF-8"))
    }

    fn invalid(&self, line: &str, rule: impl Into<String>, hint: &str) -> Error {
        let line = if line.is_empty() {
            String::new()
        } else {
            format!(": {:?}", line.trim_end_matches(is_separator))
        };
        Error::invalid(
            format!("{}, line {}{line}", self.path.display(), self.line),
            rule,
            hint,
        )
    }

    fn parse(&mut self, line: &str) -> Result<(Option<String>, Hypothesis)> {
        let mut rest = line;
        let id = match self.ids {
            ListIds::None => None,
            ListIds::FirstColumn => {
                Some(next_field(&mut rest).map(str::to_owned).ok_or_else(|| {
                    self.invalid(
                        line,
                        "the name of the list is missing",
                        "Start every line with one, or use `ids = none`, where an empty line ends \
                         a list",
                    )
                })?)
            }
        };
        let scores = match self.format {
            NbestFormat::Rnnlm => None,
            NbestFormat::Srilm => Some(self.parse_scores(line, &mut rest)?),
        };
        let mut words = Vec::new();
        let tags = split_line(
            rest.trim_end_matches(is_separator).as_bytes(),
            Unit::Word,
            |word| {
                words.push(word.to_owned());
            },
        )?;
        self.tags += tags;
        if let Some(scores) = &scores {
            // SRILM does not count <s> and </s>, but may write them.
            let written = words.len() + tags.dropped as usize;
            if scores.words != words.len() as f64 && scores.words != written as f64 {
                return Err(self.invalid(
                    line,
                    format!("it states {} words but has {written}", scores.words),
                    "Restore the list, or use `form = rnnlm` for lines that contain only words",
                ));
            }
        }
        Ok((
            id,
            Hypothesis {
                line: self.line,
                acoustic: scores.as_ref().map_or(0.0, |scores| scores.acoustic),
                language: scores.as_ref().map(|scores| scores.language),
                words,
            },
        ))
    }

    fn parse_scores(&self, line: &str, rest: &mut &str) -> Result<SrilmScores> {
        let mut number = |what: &str| {
            let field = next_field(rest).unwrap_or("");
            field
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())
                .ok_or_else(|| {
                    self.invalid(
                        line,
                        format!("{what}, {field:?}, is not a finite number"),
                        "SRILM's lines are `acoustic-score lm-score number-of-words words …`, \
                         after the name of the list with `ids = first-column`",
                    )
                })
        };
        Ok(SrilmScores {
            acoustic: number("the acoustic score")?,
            language: number("the score of the language model")?,
            words: number("the number of words")?,
        })
    }
}

/// Takes the first field off a line; `None` if there is none.
fn next_field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let start = rest.trim_start_matches(is_separator);
    let end = start.find(is_separator).unwrap_or(start.len());
    let (field, after) = start.split_at(end);
    *rest = after;
    (!field.is_empty()).then_some(field)
}

/// The numbers before the words of a line in SRILM's format.
struct SrilmScores {
    acoustic: f64,
    language: f64,
    words: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: NbestFormat, ids: ListIds) -> Result<Vec<NbestList>> {
        let mut reader = NbestReader::new(
            Reader::new(Box::new(std::io::Cursor::new(text.to_owned()))),
            Path::new("lists"),
            format,
            ids,
        );
        let mut lists = Vec::new();
        while let Some(list) = reader.next_list()? {
            lists.push(list);
        }
        Ok(lists)
    }

    fn ids_and_words(lists: &[NbestList]) -> Vec<(&str, Vec<String>)> {
        lists
            .iter()
            .map(|list| {
                (
                    list.id.as_str(),
                    list.hypotheses
                        .iter()
                        .map(|one| one.words.join(" "))
                        .collect(),
                )
            })
            .collect()
    }

    #[test]
    fn lists_of_every_format() {
        let owned = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let lists = read(
            "u1 a b\nu1 a c\nu2\td\r\nu1 e\n",
            NbestFormat::Rnnlm,
            ListIds::FirstColumn,
        )
        .expect("lists");
        assert_eq!(
            ids_and_words(&lists),
            [
                ("u1", owned(&["a b", "a c"])),
                ("u2", owned(&["d"])),
                ("u1", owned(&["e"]))
            ]
        );
        let lists = read("\na b\na\n\n\nc", NbestFormat::Rnnlm, ListIds::None).expect("lists");
        assert_eq!(
            ids_and_words(&lists),
            [("1", owned(&["a b", "a"])), ("2", owned(&["c"]))]
        );
        let lists = read(
            "u -100.5 -7 2 <s> a b </s>\nu -99 -8.25 1 a\n",
            NbestFormat::Srilm,
            ListIds::FirstColumn,
        )
        .expect("lists");
        assert_eq!(ids_and_words(&lists), [("u", owned(&["a b", "a"]))]);
        assert_eq!(
            (
                lists[0].hypotheses[1].acoustic,
                lists[0].hypotheses[1].language,
                lists[0].hypotheses[1].line
            ),
            (-99.0, Some(-8.25), 2)
        );
        assert_eq!(
            read("", NbestFormat::Rnnlm, ListIds::None).expect("nothing"),
            []
        );
    }

    #[test]
    fn empty_hypotheses() {
        let lists = read(
            "u1 a\nu1\nu1 <s> </s>\n",
            NbestFormat::Rnnlm,
            ListIds::FirstColumn,
        );
        let words = ["a", "", ""].map(str::to_owned).to_vec();
        assert_eq!(ids_and_words(&lists.expect("lists")), [("u1", words)]);
        let text = "-1 -2 1 a\n-1 -2 0\n-1 -2 0 <s> </s>\n-1 -2 2 <s> </s>\n";
        let lists = read(text, NbestFormat::Srilm, ListIds::None);
        let words = ["a", "", "", ""].map(str::to_owned).to_vec();
        assert_eq!(ids_and_words(&lists.expect("lists")), [("1", words)]);
        // Without names, an empty line is not a hypothesis, and tags alone are one.
        let lists = read("a\n</s>\n\nb\n", NbestFormat::Rnnlm, ListIds::None);
        let words = ["a", ""].map(str::to_owned).to_vec();
        assert_eq!(
            ids_and_words(&lists.expect("lists")),
            [("1", words), ("2", vec!["b".to_owned()])]
        );
    }

    #[test]
    fn words_are_those_of_a_text() {
        let text = "\u{feff}u\u{a0}1 the\u{a0} dog\u{2028}s\t a </s> b </s>\r\n";
        let lists = read(text, NbestFormat::Rnnlm, ListIds::FirstColumn).expect("lists");
        assert_eq!(lists[0].id, "u\u{a0}1");
        let words = ["the\u{a0}", "dog\u{2028}s", "a", "</s>", "b"];
        assert_eq!(lists[0].hypotheses[0].words, words);
    }

    #[test]
    fn invalid_lines_are_reported() {
        for (text, format, ids, line, reason) in [
            (
                "u a\n \n",
                NbestFormat::Rnnlm,
                ListIds::FirstColumn,
                "line 2",
                "name of the list",
            ),
            (
                "-1 x 1 a\n",
                NbestFormat::Srilm,
                ListIds::None,
                "line 1",
                "score of the language model",
            ),
            (
                "-1 -2 1\n",
                NbestFormat::Srilm,
                ListIds::None,
                "line 1",
                "states 1 words but has 0",
            ),
            (
                "-1 -2 3 a b\n",
                NbestFormat::Srilm,
                ListIds::None,
                "line 1",
                "states 3 words",
            ),
            (
                "-1 nan 1 a\n",
                NbestFormat::Srilm,
                ListIds::None,
                "line 1",
                "not a finite number",
            ),
            (
                "u -1 -2\n",
                NbestFormat::Srilm,
                ListIds::FirstColumn,
                "line 1",
                "number of words",
            ),
        ] {
            let message = read(text, format, ids).expect_err(text).to_string();
            assert!(
                message.contains(line) && message.contains(reason),
                "{text:?}: {message}"
            );
        }
    }
}
