//! Cuts a text that the parser has accepted into tokens. Only white space between tokens is left out.

use crate::parse::{is_name_part, is_name_start};

/// What a token is, as far as the layout has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Newline,
    /// `# …` or `// …` with the end of its line.
    LineComment,
    /// `/* … */`.
    BlockComment,
    Name,
    Number,
    OpenQuote,
    /// What stands in quotes, up to the next `${` or `%{`.
    Text,
    CloseQuote,
    /// From `<<` to the name that ends it.
    Heredoc,
    /// `${` or `${~`.
    Interpolation,
    /// `%{` or `%{~`.
    Directive,
    /// `}` or `~}`.
    SequenceEnd,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParenthesis,
    CloseParenthesis,
    Dot,
    DoubleColon,
    Comma,
    Ellipsis,
    Equal,
    Minus,
    Not,
    Colon,
    Question,
    Arrow,
    /// All other operators.
    Operator,
    /// What the parser knows nothing of.
    Other,
}

/// A token and the space before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// How many spaces stand before it.
    pub(super) space: usize,
}

impl<'t> Token<'t> {
    pub(super) fn new(kind: Kind, text: &'t str) -> Self {
        Self {
            kind,
            text,
            space: 0,
        }
    }

    /// Whether the line ends with it.
    pub(super) fn ends_line(&self) -> bool {
        self.kind == Kind::Newline || (self.kind == Kind::LineComment && self.text.ends_with('\n'))
    }

    pub(super) fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::LineComment | Kind::BlockComment)
    }

    /// What it adds to the number of open brackets.
    pub(super) fn opens(&self) -> isize {
        match self.kind {
            Kind::OpenBrace
            | Kind::OpenBracket
            | Kind::OpenParenthesis
            | Kind::Interpolation
            | Kind::Directive => 1,
            Kind::CloseBrace | Kind::CloseBracket | Kind::CloseParenthesis | Kind::SequenceEnd => {
                -1
            }
            _ => 0,
        }
    }
}

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner {
        text,
        at: 0,
        tokens: Vec::new(),
    };
    scanner.run(false);
    scanner.tokens
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn add(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        self.tokens.push(Token::new(kind, text));
        self.at += length;
    }

    fn bump(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    /// Up to the end of the text, or of the `${…}` that was opened before.
    fn run(&mut self, is_sequence: bool) {
        let mut braces: usize = 0;
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            let is_last = is_sequence && braces == 0;
            match next {
                '}' if is_last => return self.add(Kind::SequenceEnd, 1),
                '~' if is_last && rest.starts_with("~}") => {
                    return self.add(Kind::SequenceEnd, 2);
                }
                '\n' => self.add(Kind::Newline, 1),
                '\r' if rest.starts_with("\r\n") => self.add(Kind::Newline, 2),
                ' ' | '\t' | '\r' => self.at += 1,
                '#' => self.line_comment(),
                '/' if rest.starts_with("//") => self.line_comment(),
                '/' if rest.starts_with("/*") => {
                    self.add(Kind::BlockComment, through(rest, "*/"));
                }
                '"' => self.quoted(),
                '<' if rest.starts_with("<<") => self.heredoc(),
                '0'..='9' => self.add(Kind::Number, number_length(rest)),
                _ if is_name_start(next) => {
                    let length = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
                    self.add(Kind::Name, length);
                }
                _ => {
                    let found = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
                    let (length, kind) = found
                        .map_or((next.len_utf8(), Kind::Other), |(sign, kind)| {
                            (sign.len(), *kind)
                        });
                    match kind {
                        Kind::OpenBrace => braces += 1,
                        Kind::CloseBrace => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    self.add(kind, length);
                }
            }
        }
    }

    fn line_comment(&mut self) {
        self.add(Kind::LineComment, through(self.rest(), "\n"));
    }

    fn quoted(&mut self) {
        self.add(Kind::OpenQuote, 1);
        let mut start = self.at;
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                self.at += 3;
            } else if next == '"' || rest.starts_with("${") || rest.starts_with("%{") {
                if start < self.at {
                    let text = &self.text[start..self.at];
                    self.tokens.push(Token::new(Kind::Text, text));
                }
                if next == '"' {
                    return self.add(Kind::CloseQuote, 1);
                }
                self.sequence();
                start = self.at;
            } else {
                if next == '\\' {
                    self.at += 1;
                }
                self.bump();
            }
        }
    }

    /// `${…}` or `%{…}`.
    fn sequence(&mut self) {
        let rest = self.rest();
        let kind = match rest.starts_with('$') {
            true => Kind::Interpolation,
            false => Kind::Directive,
        };
        let is_stripping = rest[2..].starts_with('~');
        self.add(kind, if is_stripping { 3 } else { 2 });
        self.run(true);
    }

    /// One token, whatever is in it. A line inside `${…}` does not end it.
    fn heredoc(&mut self) {
        let start = self.at;
        let known = self.tokens.len();
        let header = through(self.rest(), "\n");
        let marker = self.rest()[..header].trim_start_matches(['<', '-']).trim();
        self.at += header;
        let mut at_line_start = true;
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            if at_line_start {
                let line = rest.split('\n').next().unwrap_or_default();
                if line.trim() == marker {
                    self.at += line.trim_end().len();
                    break;
                }
            }
            at_line_start = false;
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                self.at += 3;
            } else if rest.starts_with("${") || rest.starts_with("%{") {
                self.sequence();
            } else {
                at_line_start = next == '\n';
                self.bump();
            }
        }
        self.tokens.truncate(known);
        let text = &self.text[start..self.at];
        self.tokens.push(Token::new(Kind::Heredoc, text));
    }
}

/// The length of a text up to and with what ends it.
fn through(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = bytes
            .get(length + 1 + sign)
            .map_or(0, |_| digits(length + 1 + sign));
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

/// What is written with signs; one that begins another stands after it.
const SIGNS: [(&str, Kind); 28] = [
    ("...", Kind::Ellipsis),
    ("::", Kind::DoubleColon),
    ("=>", Kind::Arrow),
    ("==", Kind::Operator),
    ("!=", Kind::Operator),
    ("<=", Kind::Operator),
    (">=", Kind::Operator),
    ("&&", Kind::Operator),
    ("||", Kind::Operator),
    ("{", Kind::OpenBrace),
    ("}", Kind::CloseBrace),
    ("[", Kind::OpenBracket),
    ("]", Kind::CloseBracket),
    ("(", Kind::OpenParenthesis),
    (")", Kind::CloseParenthesis),
    (".", Kind::Dot),
    (",", Kind::Comma),
    ("=", Kind::Equal),
    ("-", Kind::Minus),
    ("!", Kind::Not),
    (":", Kind::Colon),
    ("?", Kind::Question),
    ("<", Kind::Operator),
    (">", Kind::Operator),
    ("+", Kind::Operator),
    ("*", Kind::Operator),
    ("/", Kind::Operator),
    ("%", Kind::Operator),
];
