//! The vocabulary of another program: one token per line, whose index is its id, or Kaldi's
//! `token id` lines.

use std::path::Path;

use crate::checkpoint::in_file;
use crate::checkpoint::vocabulary_file::unescape;
use crate::corpus::{Unit, Vocabulary, is_separator};
use crate::error::{Error, Result};

/// A vocabulary whose boundary was moved to id 0.
#[derive(Debug, PartialEq)]
pub(super) struct ForeignVocabulary {
    /// The boundary, then the other types in the order of the file.
    pub(super) vocabulary: Vocabulary,
    /// The id of the boundary in the file and in the tables that belong to it.
    pub(super) boundary: usize,
    /// A sentence for each change.
    pub(super) notes: Vec<String>,
}

/// Names of the end of a line in other programs.
const LINE_ENDS: [&str; 2] = ["</s>", "<eos>"];

/// Reads a vocabulary.
///
/// # Errors
/// If the file cannot be read, a line is not a token of the unit, the ids are not those of the
/// lines, a token occurs twice, or there is no boundary.
pub(super) fn read(path: &Path, unit: Unit) -> Result<ForeignVocabulary> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    parse(&text, &path.display().to_string(), unit)
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
            "Give each type a line; write line breaks as \\n and \\r",
        ));
    }
    let tokens = match lines.first().and_then(|line| split_id(line, unit)) {
        Some(_) => sort_by_id(&lines, file, unit)?,
        None => lines,
    };
    let mut notes = Vec::new();
    let mut types = match unit {
        Unit::Word => words(&tokens, file, &mut notes)?,
        Unit::Char | Unit::Byte => characters(&tokens, file, unit)?,
        Unit::Bpe => {
            return Err(Error::config(
                "unit",
                "bpe",
                "subwords need the tokenizer that splits text into them, and a list of types does \
                 not contain it",
                "Import a model of words, characters or bytes, or train one with `unit = bpe`",
            ));
        }
    };
    let boundary = move_boundary(&mut types, file, unit, &mut notes)?;
    Ok(ForeignVocabulary {
        vocabulary: Vocabulary::new(types).map_err(|error| in_file(Path::new(file), error))?,
        boundary,
        notes,
    })
}

fn bad_line(file: &str, index: usize, line: &str, rule: impl Into<String>, hint: &str) -> Error {
    Error::invalid(format!("{file}, line {}: {line:?}", index + 1), rule, hint)
}

/// Splits one of Kaldi's lines: a token, spaces or tabs, an id. `None` for other lines.
fn split_id(line: &str, unit: Unit) -> Option<(&str, usize)> {
    let (token, id) = line
        .trim_end_matches(is_separator)
        .rsplit_once([' ', '\t'])?;
    let token = if unit == Unit::Word {
        token.trim_matches(is_separator)
    } else {
        token
    };
    (!token.is_empty()).then_some((token, id.parse().ok()?))
}

/// The tokens of Kaldi's lines in the order of their ids.
fn sort_by_id<'a>(lines: &[&'a str], file: &str, unit: Unit) -> Result<Vec<&'a str>> {
    let mut tokens = vec![None; lines.len()];
    for (index, line) in lines.iter().enumerate() {
        let invalid = |rule: String| {
            bad_line(
                file,
                index,
                line,
                rule,
                "Give an id on every line or on none",
            )
        };
        let (token, id) = split_id(line, unit)
            .ok_or_else(|| invalid("the first line has an id, and this one has none".into()))?;
        let slot = tokens.get_mut(id).filter(|slot| slot.is_none());
        *slot.ok_or_else(|| {
            invalid(format!(
                "the ids must be 0 to {}, each once",
                lines.len() - 1
            ))
        })? = Some(token);
    }
    Ok(tokens.into_iter().flatten().collect())
}

/// Words contain no character that separates words. Backslashes are escapes, as in Elman's files,
/// if all of them can be; otherwise they are literal.
fn words(tokens: &[&str], file: &str, notes: &mut Vec<String>) -> Result<Vec<String>> {
    let is_word = |token: &str| !token.is_empty() && !token.contains(is_separator);
    if let Some(index) = tokens.iter().position(|token| !is_word(token)) {
        return Err(bad_line(
            file,
            index,
            tokens[index],
            "a word contains no space, tab or carriage return",
            "Give one word per line, or Kaldi's `word id` on every line; for characters use \
             `unit = char`",
        ));
    }
    let unescaped: Option<Vec<String>> = tokens
        .iter()
        .map(|token| unescape(token).filter(|word| is_word(word)))
        .collect();
    if tokens.iter().any(|token| token.contains('\\')) {
        notes.push(match unescaped {
            Some(_) => format!(
                "the backslashes of {file} are read as escapes, as in Elman's vocab.txt: \\\\ is \
                 one backslash"
            ),
            None => format!(
                "the backslashes of {file} are read literally: not all of them are escapes of \
                 Elman's vocab.txt"
            ),
        });
    }
    Ok(unescaped.unwrap_or_else(|| tokens.iter().map(|&token| token.to_owned()).collect()))
}

/// A character is written literally or as an escape. A name in angle brackets, such as `<unk>`, is
/// a type that does not occur in text.
fn characters(tokens: &[&str], file: &str, unit: Unit) -> Result<Vec<String>> {
    let is_character = |token: &str| {
        let mut characters = token.chars();
        let in_range = characters
            .next()
            .is_some_and(|first| unit == Unit::Char || u32::from(first) <= 0xff);
        in_range && characters.next().is_none()
    };
    let read = |token: &str| {
        let is_name = token.starts_with('<') && token.ends_with('>');
        let literal = Some(token.to_owned());
        let character = [literal.clone(), unescape(token)]
            .into_iter()
            .flatten()
            .find(|token| is_character(token));
        character.or(literal.filter(|_| is_name))
    };
    let rule = match unit {
        Unit::Byte => "it is not a byte: a character up to U+00FF, or an escape such as \\n",
        _ => "it is not a single character or an escape such as \\n",
    };
    tokens
        .iter()
        .enumerate()
        .map(|(index, token)| {
            let invalid = || bad_line(file, index, token, rule, "For words use `unit = word`");
            read(token).ok_or_else(invalid)
        })
        .collect()
}

/// Moves the boundary to id 0 under Elman's name and returns its previous id.
fn move_boundary(
    types: &mut [String],
    file: &str,
    unit: Unit,
    notes: &mut Vec<String>,
) -> Result<usize> {
    let name = unit.boundary();
    let boundary = std::iter::once(name)
        .chain(LINE_ENDS)
        .find_map(|name| types.iter().position(|token| token == name));
    let Some(boundary) = boundary else {
        let hint = match unit {
            Unit::Word => {
                "Name the type that ends a line </s> or <eos>; if the types are characters, use \
                 `unit = char` or `unit = byte`"
            }
            _ => {
                "Give the newline a line, written as \\n; if the types are words, use `unit = word`"
            }
        };
        return Err(Error::invalid(
            file,
            format!("it lacks the boundary, {name:?}, which is the context before a text"),
            hint,
        ));
    };
    if types[boundary] != name {
        notes.push(format!(
            "{} of {file} is now {name:?}, Elman's name for the end of a line",
            types[boundary]
        ));
        name.clone_into(&mut types[boundary]);
    }
    if boundary > 0 {
        notes.push(format!(
            "{name:?} had id {boundary} in {file} and now has id 0 in all tables; the ids of the \
             types before it increased by one"
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
            .expect_err("an invalid vocabulary")
            .to_string()
    }

    #[test]
    fn the_boundary_is_moved_to_id_0_and_renamed() {
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
        assert!(message("a\nb\n", Unit::Word).contains("unit = char"));
        assert!(message("a\n</t>\n", Unit::Char).contains("newline"));
    }

    #[test]
    fn ids_may_be_in_any_order() {
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
    fn words_are_those_of_a_text() {
        let words = ["</s>", "10\u{a0}000", "\u{3000}a\u{85}b\u{2028}"];
        assert_eq!(types(&words.join("\n"), Unit::Word).0, words);
        let text = format!("{} 1\n{}\t0\n", words[1], words[0]);
        assert_eq!(types(&text, Unit::Word).0, words[..2]);
    }

    #[test]
    fn backslashes_are_escapes_if_all_of_them_can_be() {
        assert_eq!(types("</s>\na\\\\b\n", Unit::Word).0[1], "a\\b");
        assert_eq!(types("</s>\na\\\\b\n\\x\n", Unit::Word).0[1], "a\\\\b");
        assert_eq!(
            types("</s>\n\\n\n", Unit::Word).0[1],
            "\\n",
            "a newline is not a word"
        );
    }

    #[test]
    fn bad_lines_are_reported() {
        assert!(message("</s>\n\na\n", Unit::Word).contains("line 2"));
        assert!(message("\\n\nab\n", Unit::Char).contains("unit = word"));
        assert!(message("\\n\n\u{100}\n", Unit::Byte).contains("U+00FF"));
        assert!(message("</s>\na\na\n", Unit::Word).contains("twice"));
        assert!(message("</s>\na\n", Unit::Bpe).contains("tokenizer"));
    }
}
