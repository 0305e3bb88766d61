//! The vocabulary of another program: one token a line, its number the line's, or Kaldi's
//! `token number` lines.

use std::path::Path;

use crate::checkpoint::{read_text, vocabulary_file::unescape};
use crate::corpus::{Unit, Vocabulary};
use crate::error::{Error, Result};

/// A vocabulary with the boundary in its place.
#[derive(Debug, PartialEq)]
pub(super) struct ForeignVocabulary {
    /// The types, the boundary first, the others in the file's order.
    pub(super) vocabulary: Vocabulary,
    /// The boundary's number in the file, and so in the tables that belong to it.
    pub(super) boundary: usize,
    /// What was changed, a sentence each.
    pub(super) notes: Vec<String>,
}

/// What other programs call the end of a line.
const ENDS: [&str; 2] = ["</s>", "<eos>"];

/// Reads a vocabulary.
///
/// # Errors
/// If the file cannot be read, a line holds no token of the unit, numbers do not fit the lines, a
/// token stands twice, or none is the boundary.
pub(super) fn read(path: &Path, unit: Unit) -> Result<ForeignVocabulary> {
    parse(&read_text(path)?, &path.display().to_string(), unit)
}

fn parse(text: &str, file: &str, unit: Unit) -> Result<ForeignVocabulary> {
    let lines: Vec<&str> = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .collect();
    if let Some(empty) = lines.iter().position(|line| line.is_empty()) {
        return Err(bad_line(
            file,
            empty,
            "",
            "it is empty",
            "Give every type a line; characters that cannot stand in one are \\n, \\r",
        ));
    }
    let tokens = match lines.first().and_then(|line| with_number(line, unit)) {
        Some(_) => by_number(&lines, file, unit)?,
        None => lines,
    };
    let mut notes = Vec::new();
    let mut types = match unit {
        Unit::Word => words(&tokens, file, &mut notes)?,
        Unit::Char | Unit::Byte => characters(&tokens, file, unit)?,
        Unit::Bpe => {
            let rule = "subwords need the tokenizer that makes them of a text, and a list of types \
                says nothing of it";
            return Err(Error::usage(
                "--unit bpe",
                rule,
                "Import models of words, characters or bytes, or train one with --unit bpe",
            ));
        }
    };
    let boundary = move_boundary(&mut types, file, unit, &mut notes)?;
    Ok(ForeignVocabulary {
        vocabulary: Vocabulary::new(types)?,
        boundary,
        notes,
    })
}

fn bad_line(file: &str, number: usize, line: &str, rule: impl Into<String>, hint: &str) -> Error {
    Error::invalid(format!("{file}, line {}: {line:?}", number + 1), rule, hint)
}

/// A line of Kaldi's: a token, white space, a number.
fn with_number(line: &str, unit: Unit) -> Option<(&str, usize)> {
    let (token, number) = line.trim_end().rsplit_once([' ', '\t'])?;
    let token = if unit == Unit::Word {
        token.trim()
    } else {
        token
    };
    (!token.is_empty()).then_some((token, number.parse().ok()?))
}

/// The tokens in the order of their numbers.
fn by_number<'a>(lines: &[&'a str], file: &str, unit: Unit) -> Result<Vec<&'a str>> {
    let mut tokens = vec![None; lines.len()];
    for (place, line) in lines.iter().enumerate() {
        let invalid = |rule: String| {
            bad_line(
                file,
                place,
                line,
                rule,
                "Give every line a token and its number, or no line a number",
            )
        };
        let (token, number) = with_number(line, unit)
            .ok_or_else(|| invalid("the first line has a number, and this one has none".into()))?;
        let slot = tokens.get_mut(number).filter(|slot| slot.is_none());
        *slot.ok_or_else(|| {
            invalid(format!(
                "the numbers must be 0 to {}, each once",
                lines.len() - 1
            ))
        })? = Some(token);
    }
    Ok(tokens.into_iter().flatten().collect())
}

/// Words hold no white space. Backslashes are escapes, as in Elman's own files, where all of them
/// can be.
fn words(tokens: &[&str], file: &str, notes: &mut Vec<String>) -> Result<Vec<String>> {
    let is_word = |token: &str| !token.is_empty() && !token.contains(char::is_whitespace);
    if let Some(bad) = tokens.iter().position(|token| !is_word(token)) {
        let hint = "Give one word a line, or Kaldi's `word number` lines from the first on; for \
            characters take --unit char";
        return Err(bad_line(
            file,
            bad,
            tokens[bad],
            "a word holds no white space",
            hint,
        ));
    }
    let unescaped: Option<Vec<String>> = tokens
        .iter()
        .map(|token| unescape(token).filter(|word| is_word(word)))
        .collect();
    if tokens.iter().any(|token| token.contains('\\')) {
        notes.push(match unescaped {
            Some(_) => format!(
                "the backslashes of {file} are read as escapes, as in Elman's \
                vocab.txt: \\\\ is one backslash"
            ),
            None => format!(
                "the backslashes of {file} stand for themselves: not all of them are \
                escapes of Elman's vocab.txt"
            ),
        });
    }
    Ok(unescaped.unwrap_or_else(|| tokens.iter().map(|&token| token.to_owned()).collect()))
}

/// A character is itself or an escape; a name in angle brackets, such as `<unk>`, is a type that no
/// text holds.
fn characters(tokens: &[&str], file: &str, unit: Unit) -> Result<Vec<String>> {
    let is_one = |token: &str| {
        let mut characters = token.chars();
        let fits = characters
            .next()
            .is_some_and(|first| unit == Unit::Char || u32::from(first) <= 0xff);
        fits && characters.next().is_none()
    };
    let read = |(place, &token): (usize, &&str)| {
        let found = [Some(token.to_owned()), unescape(token)]
            .into_iter()
            .flatten()
            .find(|token| is_one(token));
        found
            .or_else(|| (token.starts_with('<') && token.ends_with('>')).then(|| token.to_owned()))
            .ok_or_else(|| {
                let rule = match unit {
                    Unit::Byte => {
                        "it is no byte: a character up to U+00FF, or an escape such as \\n"
                    }
                    _ => "it is no single character, and no escape such as \\n",
                };
                bad_line(file, place, token, rule, "Words take --unit word")
            })
    };
    tokens.iter().enumerate().map(read).collect()
}

/// Makes the boundary the first type, under Elman's name; the number that it had.
fn move_boundary(
    types: &mut [String],
    file: &str,
    unit: Unit,
    notes: &mut Vec<String>,
) -> Result<usize> {
    let own = unit.boundary();
    let found = std::iter::once(own)
        .chain(ENDS)
        .find_map(|name| types.iter().position(|token| token == name));
    let Some(boundary) = found else {
        let hint = match unit {
            Unit::Word => {
                "Call the type that ends a line </s> or <eos>; where types are characters, take \
                 --unit char or byte"
            }
            _ => {
                "Give the newline a line of its own, as \\n; where types are words, take --unit \
                 word"
            }
        };
        return Err(Error::invalid(
            file,
            format!("it lacks the boundary, {own:?}, which is the context before a text"),
            hint,
        ));
    };
    if types[boundary] != own {
        notes.push(format!(
            "{} of {file} is now {own:?}, Elman's name for the end of a line",
            types[boundary]
        ));
        own.clone_into(&mut types[boundary]);
    }
    if boundary > 0 {
        notes.push(format!(
            "{own:?} was number {boundary} in {file} and is now number 0, in all tables; the types \
             before it moved up by one"
        ));
        types[..=boundary].rotate_right(1);
    }
    Ok(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(text: &str, unit: Unit) -> (Vec<String>, usize, usize) {
        let found = parse(text, "words.txt", unit).expect("a vocabulary");
        (
            found.vocabulary.types().to_vec(),
            found.boundary,
            found.notes.len(),
        )
    }

    fn message(text: &str, unit: Unit) -> String {
        parse(text, "words.txt", unit)
            .expect_err("no vocabulary")
            .to_string()
    }

    #[test]
    fn the_boundary_comes_first_under_its_name() {
        let (words, boundary, notes) = types("a\nb\n<eos>\nc\n", Unit::Word);
        assert_eq!(
            (words.join(" ").as_str(), boundary, notes),
            ("</s> a b c", 2, 2)
        );
        let (words, boundary, notes) = types("</s>\r\na\r\n<eos>", Unit::Word);
        assert_eq!(
            (words.join(" ").as_str(), boundary, notes),
            ("</s> a <eos>", 0, 0)
        );
        let (characters, boundary, _) = types("a\n \n\\\n\\n\n<unk>\n", Unit::Char);
        assert_eq!((characters.concat().as_str(), boundary), ("\na \\<unk>", 3));
        assert!(message("a\nb\n", Unit::Word).contains("--unit char"));
        assert!(message("a\n</t>\n", Unit::Char).contains("newline"));
    }

    #[test]
    fn kaldi_numbers_lines_in_any_order() {
        let (words, boundary, _) = types("a 1\n7\t3\n<eps> 0\n</s>   2\n", Unit::Word);
        assert_eq!((words.join(" ").as_str(), boundary), ("</s> <eps> a 7", 2));
        let (characters, ..) = types("\\n 0\n  1\n2 2\n", Unit::Char);
        assert_eq!(characters.concat(), "\n 2");
        for (text, part) in [
            ("a 0\n</s>\n", "line 2"),
            ("a 0\n</s> 2\n", "0 to 1"),
            ("a 1\n</s> 1\n", "line 2"),
            ("a\n</s> 1\n", "line 2"),
        ] {
            assert!(
                message(text, Unit::Word).contains(part),
                "{text:?}: {}",
                message(text, Unit::Word)
            );
        }
    }

    #[test]
    fn backslashes_are_escapes_where_all_of_them_can_be() {
        assert_eq!(types("</s>\na\\\\b\n", Unit::Word).0[1], "a\\b");
        assert_eq!(types("</s>\na\\\\b\n\\x\n", Unit::Word).0[1], "a\\\\b");
        assert_eq!(
            types("</s>\n\\n\n", Unit::Word).0[1],
            "\\n",
            "no word is a newline"
        );
    }

    #[test]
    fn lines_that_are_no_token_are_named() {
        assert!(message("</s>\n\na\n", Unit::Word).contains("line 2"));
        assert!(message("\\n\nab\n", Unit::Char).contains("--unit word"));
        assert!(message("\\n\n\u{100}\n", Unit::Byte).contains("U+00FF"));
        assert!(message("</s>\na\na\n", Unit::Word).contains("twice"));
        assert!(message("</s>\na\n", Unit::Bpe).contains("tokenizer"));
    }
}
