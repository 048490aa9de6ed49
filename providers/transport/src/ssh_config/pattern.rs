//! OpenSSH's patterns: `*`, `?`, lists with commas, negation by `!`; and the patterns of paths that `Include` takes.
//! Called by `resolve`, `files` and `known_hosts`. Takes time in proportion to pattern and text, whatever they are.

/// Whether a text fits a pattern of `*` and `?`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                // The last star takes one more.
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a text fits one pattern of a list with commas, and none of those negated.
pub(super) fn matches_list(list: &str, text: &str) -> bool {
    let mut fits = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(refused) if matches(refused.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => fits |= matches(pattern.as_bytes(), text.as_bytes()),
        }
    }
    fits
}

/// The same for names of hosts: large and small letters are one.
pub(super) fn matches_hosts(list: &str, host: &str) -> bool {
    matches_list(&list.to_ascii_lowercase(), &host.to_ascii_lowercase())
}

/// Whether the name of a file fits a pattern of a shell: `*`, `?`, `[a-z]`. A dot at the beginning is not found by a
/// wildcard.
pub(super) fn matches_name(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        match one(&pattern[p.min(pattern.len())..], name[n]) {
            Some(length) => {
                p += length;
                n += 1;
            }
            None => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p.min(pattern.len())..]
        .iter()
        .all(|char| *char == '*')
}

/// How long the part of the pattern is that stands for this character, if it does.
fn one(pattern: &[char], char: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == char).then_some(2),
        ['[', rest @ ..] => {
            let negated = usize::from(matches!(rest, ['!' | '^', ..]));
            let set = &rest[negated..];
            // A bracket at the first place is one of the set.
            let end = set
                .iter()
                .skip(1)
                .position(|char| *char == ']')
                .map(|at| at + 1);
            let Some(end) = end else {
                return (char == '[').then_some(1);
            };
            (holds(&set[..end], char) != (negated == 1)).then_some(negated + end + 2)
        }
        [literal, ..] => (*literal == char).then_some(1),
        [] => None,
    }
}

fn holds(set: &[char], char: char) -> bool {
    match set {
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&char) || holds(rest, char),
        [one, rest @ ..] => *one == char || holds(rest, char),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_fits_by_one_pattern_and_by_none_that_is_negated() {
        assert!(matches_list("a*,b", "abc") && matches_list("a*,b", "b"));
        assert!(!matches_list("a*,!abc", "abc") && !matches_list("!b", "a"));
        assert!(matches_hosts("*.Example.org", "A.example.ORG"));
        assert!(matches(b"*.?x*", b"a.b.cx") && !matches(b"?", b""));
        assert!(matches(b"**", b"") && !matches(b"a", b"ab"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(pattern.as_bytes(), &[b'a'; 150]));
        assert!(!matches_name(&pattern, &"a".repeat(150)));
    }

    #[test]
    fn names_of_files_fit_as_in_a_shell() {
        assert!(matches_name("*.conf", "a.conf") && !matches_name("*.conf", ".a.conf"));
        assert!(matches_name("[0-9][!x]*", "5yz") && !matches_name("[0-9][!x]*", "5xz"));
        assert!(matches_name("[]a]", "]") && matches_name("[a", "[a") && matches_name(r"\*", "*"));
    }
}
