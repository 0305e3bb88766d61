//! Reading n-best lists, a list at a time.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::field::choices;

choices! {
    /// The form of a line.
    pub enum ListFormat {
        /// Words alone, as for rnnlm -nbest.
        Rnnlm = "rnnlm",
        /// The acoustic score, the language model's score and the number of words, all before the
        /// words; scores are log10 (SRILM's nbest-format).
        Srilm = "srilm",
    }
}

choices! {
    /// Where the list of a hypothesis is named.
    pub enum Ids {
        /// The first column of every line: neighbouring lines of one name are a list.
        FirstColumn = "first-column",
        /// Nowhere: an empty line ends a list.
        None = "none",
    }
}

/// One hypothesis.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its line, from 1 on.
    pub line: u64,
    /// The acoustic score, log10; 0 where there is none.
    pub acoustic: f64,
    /// The score that another language model gave, log10, where there is one.
    pub language: Option<f64>,
    /// The words.
    pub words: Vec<String>,
}

/// The hypotheses of one utterance or sentence, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The name; a number from 1 on where lists have none.
    pub id: String,
    /// At least one.
    pub hypotheses: Vec<Hypothesis>,
}

/// Reads lists from a stream.
pub struct ListReader {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    form: ListFormat,
    ids: Ids,
    line: u64,
    lists: u64,
    /// The first hypothesis of the next list, with its name.
    next: Option<(String, Hypothesis)>,
}

impl std::fmt::Debug for ListReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListReader")
            .field("path", &self.path)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl ListReader {
    /// Begins to read; `path` is for messages.
    pub fn new(reader: Box<dyn BufRead>, path: &Path, form: ListFormat, ids: Ids) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            form,
            ids,
            line: 0,
            lists: 0,
            next: None,
        }
    }

    /// The next list; none at the end.
    ///
    /// # Errors
    /// If the stream cannot be read, or a line is no hypothesis.
    pub fn next_list(&mut self) -> Result<Option<List>> {
        let mut list = self.next.take().map(|(id, first)| List {
            id,
            hypotheses: vec![first],
        });
        while let Some(line) = self.next_line()? {
            let is_empty = line.split_ascii_whitespace().next().is_none();
            if is_empty && self.ids == Ids::None {
                if list.is_some() {
                    break;
                }
                continue;
            }
            let (id, hypothesis) = self.parse(&line)?;
            match &mut list {
                Some(list) if id.as_ref().is_none_or(|id| *id == list.id) => {
                    list.hypotheses.push(hypothesis);
                }
                Some(_) => {
                    self.next = id.map(|id| (id, hypothesis));
                    break;
                }
                None => {
                    list = Some(List {
                        id: id.unwrap_or_else(|| (self.lists + 1).to_string()),
                        hypotheses: vec![hypothesis],
                    });
                }
            }
        }
        self.lists += u64::from(list.is_some());
        Ok(list)
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
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| self.wrong("", "it is not UTF-8", "Convert the lists to UTF-8"))
    }

    fn wrong(&self, line: &str, rule: impl Into<String>, hint: &str) -> Error {
        let line = if line.is_empty() {
            String::new()
        } else {
            format!(": {:?}", line.trim_end())
        };
        Error::invalid(
            format!("{}, line {}{line}", self.path.display(), self.line),
            rule,
            hint,
        )
    }

    fn parse(&self, line: &str) -> Result<(Option<String>, Hypothesis)> {
        let mut fields = line.split_ascii_whitespace();
        let id = match self.ids {
            Ids::None => None,
            Ids::FirstColumn => Some(fields.next().map(str::to_owned).ok_or_else(|| {
                self.wrong(
                    line,
                    "the name of its list is missing",
                    "Begin every line with one, or take --ids none, where an empty line ends a \
                     list",
                )
            })?),
        };
        let (mut acoustic, mut language, mut count) = (0.0, None, None);
        if self.form == ListFormat::Srilm {
            let mut number = |what: &str| {
                let field = fields.next().unwrap_or("");
                field
                    .parse::<f64>()
                    .ok()
                    .filter(|score| score.is_finite())
                    .ok_or_else(|| {
                        self.wrong(
                            line,
                            format!("{what}, {field:?}, is no finite number"),
                            "SRILM's lines are `acoustic-score lm-score number-of-words words \
                             …`, \
                         behind the list's name where --ids is first-column",
                        )
                    })
            };
            acoustic = number("the acoustic score")?;
            language = Some(number("the language model's score")?);
            count = Some(number("the number of words")?);
        }
        let words: Vec<String> = fields.map(str::to_owned).collect();
        if words.is_empty() {
            return Err(self.wrong(
                line,
                "it has no words",
                "Give every hypothesis a word at least, or leave it out",
            ));
        }
        // SRILM counts the words between <s> and </s> and may write these too.
        let inner = words
            .iter()
            .filter(|word| !["<s>", "</s>"].contains(&word.as_str()))
            .count();
        if count.is_some_and(|count| count != inner as f64 && count != words.len() as f64) {
            let rule = format!(
                "it says {} words and has {}",
                count.unwrap_or_default(),
                words.len()
            );
            return Err(self.wrong(
                line,
                rule,
                "Restore the list, or take --form rnnlm for lines of words alone",
            ));
        }
        let words = match self.form {
            ListFormat::Srilm => words
                .into_iter()
                .filter(|word| !["<s>", "</s>"].contains(&word.as_str()))
                .collect(),
            ListFormat::Rnnlm => words,
        };
        Ok((
            id,
            Hypothesis {
                line: self.line,
                acoustic,
                language,
                words,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, form: ListFormat, ids: Ids) -> Result<Vec<List>> {
        let mut reader = ListReader::new(
            Box::new(std::io::Cursor::new(text.to_owned())),
            Path::new("lists"),
            form,
            ids,
        );
        let mut lists = Vec::new();
        while let Some(list) = reader.next_list()? {
            lists.push(list);
        }
        Ok(lists)
    }

    fn shape(lists: &[List]) -> Vec<(&str, Vec<String>)> {
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
    fn lists_of_every_form() {
        let own = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let lists = read(
            "u1 a b\nu1 a c\nu2\td\r\nu1 e\n",
            ListFormat::Rnnlm,
            Ids::FirstColumn,
        )
        .expect("lists");
        assert_eq!(
            shape(&lists),
            [
                ("u1", own(&["a b", "a c"])),
                ("u2", own(&["d"])),
                ("u1", own(&["e"]))
            ]
        );
        let lists = read("\na b\na\n\n\nc", ListFormat::Rnnlm, Ids::None).expect("lists");
        assert_eq!(
            shape(&lists),
            [("1", own(&["a b", "a"])), ("2", own(&["c"]))]
        );
        let lists = read(
            "u -100.5 -7 2 <s> a b </s>\nu -99 -8.25 1 a\n",
            ListFormat::Srilm,
            Ids::FirstColumn,
        )
        .expect("lists");
        assert_eq!(shape(&lists), [("u", own(&["a b", "a"]))]);
        assert_eq!(
            (
                lists[0].hypotheses[1].acoustic,
                lists[0].hypotheses[1].language,
                lists[0].hypotheses[1].line
            ),
            (-99.0, Some(-8.25), 2)
        );
        assert_eq!(read("", ListFormat::Rnnlm, Ids::None).expect("nothing"), []);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, form, ids, line, why) in [
            (
                "u a\nu\n",
                ListFormat::Rnnlm,
                Ids::FirstColumn,
                "line 2",
                "no words",
            ),
            (
                "u a\n \n",
                ListFormat::Rnnlm,
                Ids::FirstColumn,
                "line 2",
                "name of its list",
            ),
            (
                "-1 x 1 a\n",
                ListFormat::Srilm,
                Ids::None,
                "line 1",
                "language model's score",
            ),
            (
                "-1 -2 1\n",
                ListFormat::Srilm,
                Ids::None,
                "line 1",
                "no words",
            ),
            (
                "-1 -2 3 a b\n",
                ListFormat::Srilm,
                Ids::None,
                "line 1",
                "says 3 words",
            ),
            (
                "-1 nan 1 a\n",
                ListFormat::Srilm,
                Ids::None,
                "line 1",
                "no finite number",
            ),
            (
                "u -1 -2\n",
                ListFormat::Srilm,
                Ids::FirstColumn,
                "line 1",
                "number of words",
            ),
        ] {
            let message = read(text, form, ids).expect_err(text).to_string();
            assert!(
                message.contains(line) && message.contains(why),
                "{text:?}: {message}"
            );
        }
    }
}
