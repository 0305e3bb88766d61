//! `vocab.txt`: one type a line, its number the line's; a backslash and control characters escaped
//! as in JSON.

use crate::error::{Error, Result};

/// The file's text.
pub(super) fn write(types: &[String]) -> String {
    types.iter().map(|token| escape(token) + "\n").collect()
}

/// The types of the file's text.
pub(super) fn read(text: &str) -> Result<Vec<String>> {
    text.split_terminator('\n')
        .enumerate()
        .map(|(number, line)| unescape(line).ok_or_else(|| bad_line(number, line)))
        .collect()
}

fn bad_line(number: usize, line: &str) -> Error {
    Error::invalid(
        format!("vocab.txt, line {}: {line:?}", number + 1),
        "a backslash must begin \\\\, \\n, \\t, \\r, \\b, \\f or \\u and four hexadecimal digits",
        "Restore the file from a copy of the model",
    )
}

/// The type with its backslashes and control characters escaped.
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
            control if control.is_control() => {
                text.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => text.push(other),
        }
    }
    text
}

/// The type of a line; none where a backslash begins no escape.
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
            'u' => {
                let digits: String = characters.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            _ => return None,
        });
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_odd_words_come_back() {
        let mut types: Vec<String> = (0..=255_u8)
            .map(|byte| char::from(byte).to_string())
            .collect();
        let odd = ["a\\nb", "漢字", "e\u{301}", "👩‍👩‍👧", " ", "\u{2028}"];
        types.extend(odd.map(str::to_owned));
        let text = write(&types);
        assert_eq!(text.matches('\n').count(), types.len());
        assert_eq!(read(&text).expect("readable"), types);
    }

    #[test]
    fn a_stray_backslash_is_named() {
        let message = read("a\n\\x\n").expect_err("not an escape").to_string();
        assert!(message.contains("line 2"), "{message}");
    }
}
