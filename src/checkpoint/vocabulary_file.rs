//! `vocab.txt`: one type per line; the line index is the type's id. Backslashes, control characters
//! and Unicode's line and paragraph separators are escaped as in JSON, so that no type contains
//! what any program reads as the end of a line.

use std::path::Path;
use std::str::Chars;

use crate::error::{Error, Result};

/// The text of the file.
pub(crate) fn write(types: &[String]) -> String {
    types.iter().map(|token| escape(token) + "\n").collect()
}

/// Parses the text of the file at `path`.
///
/// # Errors
/// If a backslash does not start an escape.
pub(crate) fn read(text: &str, path: &Path) -> Result<Vec<String>> {
    text.split_terminator('\n')
        .enumerate()
        .map(|(index, line)| unescape(line).ok_or_else(|| bad_line(path, index, line)))
        .collect()
}

fn bad_line(path: &Path, index: usize, line: &str) -> Error {
    Error::invalid(
        format!("{}, line {}: {line:?}", path.display(), index + 1),
        "a backslash must start \\\\, \\n, \\t, \\r, \\b, \\f or \\u and four hexadecimal digits",
        "Restore the file from a copy of the model",
    )
}

/// Escapes the backslashes, control characters and line separators of a type.
pub fn escape(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for character in token.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\u{2028}' | '\u{2029}' => push_code(character, &mut text),
            control if control.is_control() => push_code(control, &mut text),
            other => text.push(other),
        }
    }
    text
}

fn push_code(character: char, text: &mut String) {
    text.push_str(&format!("\\u{:04x}", u32::from(character)));
}

/// Undoes [`escape`]; `None` if a backslash does not start an escape.
pub(super) fn unescape(line: &str) -> Option<String> {
    let mut token = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            token.push(character);
            continue;
        }
        token.push(match characters.next()? {
            '\\' => '\\',
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => code(&mut characters)?,
            _ => return None,
        });
    }
    Some(token)
}

/// The character whose code is the next four hexadecimal digits.
fn code(characters: &mut Chars<'_>) -> Option<char> {
    let mut digits = (0..4).map(|_| characters.next()?.to_digit(16));
    let code = digits.try_fold(0, |code, digit| Some(code * 16 + digit?))?;
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>> {
        super::read(text, Path::new("model/vocab.txt"))
    }

    #[test]
    fn reading_returns_the_types_that_were_written() {
        let mut types: Vec<String> = (0..=255_u8)
            .map(|byte| char::from(byte).to_string())
            .collect();
        let odd = [
            "a\\nb",
            "漢字",
            "e\u{301}",
            "👩‍👩‍👧",
            " ",
            "\u{2028}",
            "\u{2029}",
        ];
        types.extend(odd.map(str::to_owned));
        let text = write(&types);
        assert_eq!(text.matches('\n').count(), types.len());
        assert_eq!(read(&text).expect("readable"), types);
        // Where Python's `splitlines` ends a line.
        let line_ends = "\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        assert!(!text.contains(|character| line_ends.contains(character)));
    }

    #[test]
    fn separators_of_older_files_are_read() {
        assert_eq!(read("a\u{2028}b\n").expect("readable"), ["a\u{2028}b"]);
    }

    #[test]
    fn what_is_not_an_escape_is_reported() {
        for line in ["\\x", "\\", "\\u+041", "\\u41", "\\ud800"] {
            let message = read(&format!("a\n{line}\n"))
                .expect_err("not an escape")
                .to_string();
            assert!(message.contains("model/vocab.txt, line 2"), "{message}");
        }
        assert_eq!(read("\\u0041\n").expect("an escape"), ["A"]);
    }
}
