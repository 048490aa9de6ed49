//! Regular expressions of RE2, which Terraform has, in the notation of the `regex` crate.
//!
//! Both have the same ideas and nearly the same notation. What differs is rewritten here: classes such as `\\d` mean ASCII,
//! a `{` that begins no repetition stands for itself, `\\Q…\\E` quotes, `[` and `&&` inside a class stand for themselves. What only
//! the crate knows is refused.

use std::iter::Peekable;
use std::str::Chars;

/// The pattern for the `regex` crate, or why it is none of RE2.
pub(super) fn translated(pattern: &str) -> Result<String, &'static str> {
    let mut translation = Translation {
        rest: pattern,
        result: String::new(),
        repeated: false,
        may_repeat: false,
    };
    while !translation.rest.is_empty() {
        translation.step()?;
    }
    Ok(translation.result)
}

struct Translation<'p> {
    rest: &'p str,
    result: String,
    /// Whether a repetition ends here: another may not follow.
    repeated: bool,
    /// Whether something ends here that may be repeated.
    may_repeat: bool,
}

impl Translation<'_> {
    fn step(&mut self) -> Result<(), &'static str> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(());
        };
        match first {
            '\\' => return self.escape(),
            '[' => return self.class(),
            '*' | '+' | '?' => {
                self.take(1);
                return self.repeat(&first.to_string());
            }
            '{' => match repetition(self.rest) {
                Some((counts, length)) => {
                    if counts
                        .iter()
                        .flatten()
                        .any(|count| *count > MOST_REPETITIONS)
                    {
                        return Err("it repeats something more than a thousand times");
                    }
                    let text = self.rest[..length].to_owned();
                    self.take(length);
                    return self.repeat(&text);
                }
                None => self.push("\\{", 1),
            },
            '}' => self.push("\\}", 1),
            '(' => return self.group(),
            '|' | '^' => {
                self.result.push(first);
                self.take(1);
                self.repeated = false;
                self.may_repeat = first == '^';
                return Ok(());
            }
            other => self.push(&other.to_string(), other.len_utf8()),
        }
        Ok(())
    }

    fn take(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    /// Something that may be repeated.
    fn push(&mut self, translated: &str, length: usize) {
        self.result.push_str(translated);
        self.take(length);
        self.repeated = false;
        self.may_repeat = true;
    }

    fn repeat(&mut self, text: &str) -> Result<(), &'static str> {
        if !self.may_repeat {
            return Err("there is nothing before a repetition that it could repeat");
        }
        if self.repeated {
            return Err("a repetition is repeated; put the first in parentheses");
        }
        self.result.push_str(text);
        if self.rest.starts_with('?') {
            self.result.push('?');
            self.take(1);
        }
        self.repeated = true;
        Ok(())
    }

    fn group(&mut self) -> Result<(), &'static str> {
        let inner = self.rest.strip_prefix("(?");
        let is_named = inner.is_some_and(|inner| inner.starts_with("P<") || inner.starts_with('<'));
        let length = match inner {
            Some(inner) if !is_named => {
                let end = inner.find([':', ')']).ok_or("a group is not closed")?;
                if !inner[..end].chars().all(|c| "imsU-".contains(c)) {
                    return Err("a `(?` is followed by something that RE2 does not have");
                }
                2 + end + 1
            }
            Some(inner) => 2 + inner.find('>').ok_or("the name of a group is not closed")? + 1,
            None => 1,
        };
        self.result.push_str(&self.rest[..length]);
        self.take(length);
        self.repeated = false;
        self.may_repeat = false;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let Some(escaped) = self.rest[1..].chars().next() else {
            return Err("it ends with a `\\`");
        };
        if escaped == 'Q' {
            let inner = &self.rest[2..];
            let end = inner.find("\\E").unwrap_or(inner.len());
            let quoted = regex::escape(&inner[..end]);
            let length = (2 + end + 2).min(self.rest.len());
            self.push(&quoted, length);
            return Ok(());
        }
        let length = 1 + escaped.len_utf8();
        match (ascii_class(escaped), escaped) {
            (Some(class), 'd' | 's' | 'w') => self.push(&format!("[{class}]"), length),
            (Some(class), _) => self.push(&format!("[^{class}]"), length),
            (None, 'b') => self.push("(?-u:\\b)", length),
            (None, 'p' | 'P' | 'x') => {
                let end = match self.rest[length..].starts_with('{') {
                    true => self.rest.find('}').ok_or("an escape is not closed")? + 1,
                    false => length,
                };
                let text = self.rest[..end].to_owned();
                self.push(&text, end);
            }
            _ => {
                let text = self.rest[..length].to_owned();
                self.push(&text, length);
            }
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), &'static str> {
        let mut inner = String::from("[");
        let mut rest = self.rest[1..].chars().peekable();
        if rest.next_if_eq(&'^').is_some() {
            inner.push('^');
        }
        let mut is_first = true;
        loop {
            let Some(c) = rest.next() else {
                return Err("a `[` is not closed");
            };
            match c {
                ']' if !is_first => break,
                ']' => inner.push_str("\\]"),
                '[' => match posix(&rest) {
                    Some(name) => {
                        inner.push_str(&format!("[{name}]"));
                        for _ in name.chars().chain([']']) {
                            rest.next();
                        }
                    }
                    None => inner.push_str("\\["),
                },
                '&' | '~' => {
                    inner.push('\\');
                    inner.push(c);
                }
                '\\' => class_escape(&mut rest, &mut inner)?,
                c => inner.push(c),
            }
            is_first = false;
        }
        inner.push(']');
        let left: usize = rest.map(char::len_utf8).sum();
        self.push(&inner, self.rest.len() - left);
        Ok(())
    }
}

fn class_escape(rest: &mut Peekable<Chars<'_>>, inner: &mut String) -> Result<(), &'static str> {
    let Some(escaped) = rest.next() else {
        return Err("it ends with a `\\`");
    };
    match ascii_class(escaped) {
        Some(class) if escaped.is_lowercase() => {
            // What looks like a range up to a class is none.
            if rest.peek() == Some(&'-') || inner.ends_with('-') {
                inner.push_str(&format!("[{class}]"));
            } else {
                inner.push_str(class);
            }
        }
        Some(class) => inner.push_str(&format!("[^{class}]")),
        None => {
            inner.push('\\');
            inner.push(escaped);
        }
    }
    Ok(())
}

/// What a class of Perl means for ASCII.
fn ascii_class(letter: char) -> Option<&'static str> {
    match letter {
        'd' | 'D' => Some("0-9"),
        's' | 'S' => Some("\\t\\n\\f\\r "),
        'w' | 'W' => Some("0-9A-Za-z_"),
        _ => None,
    }
}

/// `:name:`, if that is what follows, and a `]` after it.
fn posix(rest: &Peekable<Chars<'_>>) -> Option<String> {
    let text: String = rest.clone().take(12).collect();
    let (name, _) = text.strip_prefix(':')?.split_once(":]")?;
    Some(format!(":{name}:"))
}

/// The counts of `{n}`, `{n,}` or `{n,m}`, and its length.
fn repetition(text: &str) -> Option<([Option<u32>; 2], usize)> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !are_digits(least) || !are_digits(most) {
        return None;
    }
    let count = |text: &str| match text {
        "" => None,
        text => Some(text.parse().unwrap_or(u32::MAX)),
    };
    Some(([count(least), count(most)], inner.len() + 2))
}

const MOST_REPETITIONS: u32 = 1000;
