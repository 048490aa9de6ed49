//! The form of nginx' configuration files: directives that end with `;`, and blocks.

use super::ServiceError;

/// A directive with its words, and what stands in its block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) line: usize,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Self>>,
}

/// Reads a file's text.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<Directive>, ServiceError> {
    let mut open: Vec<(Vec<Directive>, usize, Vec<String>)> = Vec::new();
    let mut here: Vec<Directive> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 1;
    let mut begun = 1;
    let wrong = |line: usize, why: &str| ServiceError::Line {
        path: path.to_owned(),
        line,
        why: why.to_owned(),
    };
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\n' => line += 1,
            '#' => while rest.next_if(|next| *next != '\n').is_some() {},
            ';' => here.push(Directive {
                line: begun,
                words: std::mem::take(&mut words),
                block: None,
            }),
            '{' => {
                if open.len() >= 16 {
                    return Err(wrong(line, "blocks in blocks without end"));
                }
                open.push((std::mem::take(&mut here), begun, std::mem::take(&mut words)));
            }
            '}' => {
                let Some((outer, began, named)) = open.pop() else {
                    return Err(wrong(line, "a `}` that closes nothing"));
                };
                if !words.is_empty() {
                    return Err(wrong(line, "a directive without `;`"));
                }
                let block = std::mem::replace(&mut here, outer);
                here.push(Directive {
                    line: began,
                    words: named,
                    block: Some(block),
                });
            }
            quote @ ('"' | '\'') => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        Some(next) if next == quote => break,
                        Some(next) => word.push(next),
                        None => return Err(wrong(line, "a quote that is not closed")),
                    }
                }
                line += word.matches('\n').count();
                words.push(word);
            }
            letter if letter.is_whitespace() => {}
            letter => {
                if words.is_empty() {
                    begun = line;
                }
                let mut word = String::from(letter);
                while let Some(next) =
                    rest.next_if(|next| !next.is_whitespace() && !";{}".contains(*next))
                {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    match (open.is_empty(), words.is_empty()) {
        (true, true) => Ok(here),
        (false, _) => Err(wrong(line, "a block that is not closed")),
        (true, false) => Err(wrong(line, "a directive without `;`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_blocks_quotes_and_comments_are_read_with_their_lines() {
        let text = "# top\nserver {\n  listen 8080;\n  location / { root \"/srv/a b\"; }\n}\n";
        let read = parse("x", text).expect("is whole");
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].line, read[0].words.as_slice()),
            (2, ["server".to_owned()].as_slice())
        );
        let block = read[0].block.as_ref().expect("is one");
        assert_eq!(block[0].words, ["listen", "8080"]);
        let inner = block[1].block.as_ref().expect("is one");
        assert_eq!(inner[0].words, ["root", "/srv/a b"]);
        assert_eq!(inner[0].line, 4);
    }

    #[test]
    fn what_is_not_closed_is_told_with_its_line() {
        for (text, said) in [
            ("server {\n", "x:2: a block that is not closed"),
            ("}\n", "x:1: a `}` that closes nothing"),
            ("listen 80", "x:1: a directive without `;`"),
            ("a 'b;\n", "x:1: a quote that is not closed"),
        ] {
            assert_eq!(parse("x", text).expect_err("is wrong").to_string(), said);
        }
        assert!(parse("x", &"a {".repeat(1000)).is_err());
    }
}
