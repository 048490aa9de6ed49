//! A line of the file cut into its keyword and its arguments, with OpenSSH's quotes, escapes and comments. Called by
//! `resolve`; pure, and never panics on any text.

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// In small letters.
    pub(super) keyword: String,
    /// What stands after it, as it is written.
    pub(super) rest: &'a str,
}

impl<'a> Line<'a> {
    /// The line, unless it is empty or a comment.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n', '\x0c']);
        let (keyword, rest) = word(text)?;
        if keyword.is_empty() || keyword.starts_with('#') {
            return None;
        }
        Some(Self {
            keyword: keyword.to_ascii_lowercase(),
            rest: rest.trim_start_matches(BLANK),
        })
    }

    /// The arguments; a quote that is not closed is an error.
    pub(super) fn arguments(&self) -> Result<Vec<String>, &'static str> {
        let mut arguments = Vec::new();
        let mut rest = self.rest.chars().peekable();
        loop {
            while rest.next_if(|char| BLANK.contains(char)).is_some() {}
            match rest.peek() {
                None | Some('#') => return Ok(arguments),
                Some(_) => arguments.push(argument(&mut rest)?),
            }
        }
    }

    /// What stands after the keyword for those that take the rest of the line, such as `ProxyJump`.
    pub(super) fn whole_rest(&self) -> &'a str {
        self.rest.trim_start_matches([' ', '\t', '='])
    }
}

fn argument(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, &'static str> {
    let mut argument = String::new();
    let mut quote = None;
    while let Some(&char) = rest.peek() {
        if quote.is_none() && BLANK.contains(&char) {
            break;
        }
        rest.next();
        match (char, quote) {
            ('\\', _) => {
                let next = rest.next_if(|next| {
                    matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                });
                argument.push(next.unwrap_or('\\'));
            }
            ('"' | '\'', None) => quote = Some(char),
            (_, Some(open)) if open == char => quote = None,
            _ => argument.push(char),
        }
    }
    match quote {
        None => Ok(argument),
        Some(_) => Err("a quote is not closed"),
    }
}

/// The criteria of a `Match` line, cut as the keyword is: blanks or one `=` end a word.
pub(super) fn criteria(mut rest: &str) -> Vec<String> {
    let mut words = Vec::new();
    while let Some((next, after)) = word(rest) {
        if next.is_empty() || next.starts_with('#') {
            break;
        }
        words.push(next);
        rest = after;
    }
    words
}

/// The first word and what follows. `None` at the end, or where a quote is not closed.
fn word(text: &str) -> Option<(String, &str)> {
    if text.is_empty() {
        return None;
    }
    let Some(end) = text.find([' ', '\t', '"', '=', '\r', '\n']) else {
        return Some((text.to_owned(), ""));
    };
    let (before, from) = text.split_at(end);
    if let Some(quoted) = from.strip_prefix('"') {
        let (inside, after) = quoted.split_once('"')?;
        return Some((format!("{before}{inside}"), after.trim_start_matches(BLANK)));
    }
    let after = from[1..].trim_start_matches(BLANK);
    let after = match after.strip_prefix('=') {
        Some(after) if !from.starts_with('=') => after.trim_start_matches(BLANK),
        _ => after,
    };
    Some((before.to_owned(), after))
}

const BLANK: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> (String, Result<Vec<String>, &'static str>) {
        let line = Line::of(text).expect("says something");
        let arguments = line.arguments();
        (line.keyword, arguments)
    }

    #[test]
    fn quotes_escapes_comments_and_the_equals_sign_are_taken_as_openssh_takes_them() {
        let cases: [(&str, &[&str]); 9] = [
            ("Key a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("key=a", &["a"]),
            ("key = a # rest", &["a"]),
            ("key a#b", &["a#b"]),
            ("key \"a\"b", &["ab"]),
            (r"key a\ b", &["a b"]),
            (r#"key C:\foo\"x"#, &[r#"C:\foo"x"#]),
            ("\"key\" a\r", &["a"]),
            ("key ==a", &["=a"]),
        ];
        for (text, expected) in cases {
            let (keyword, found) = arguments(text);
            assert_eq!(keyword, "key", "{text}");
            assert_eq!(found.expect("is whole"), expected, "{text}");
        }
        assert!(arguments("key \"a").1.is_err());
        assert_eq!(Line::of("  # nothing"), None);
        assert_eq!(
            criteria("host=a user \"b c\" # x"),
            ["host", "a", "user", "b c"]
        );
    }
}
