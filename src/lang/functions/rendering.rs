//! Tera within bounds. Tera itself counts nothing: a loop in a loop runs for years, and `x ~ x` in one fills any memory.
//!
//! Three things hold it. The text is rendered on a thread of its own, and who waits for it gives up in the end. Into each loop
//! and each component a call is put that counts, and stops the thread when nobody waits any more; behind each `set` one that looks how
//! large the value has become. What multiplies texts or makes lists is registered anew, with a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tera::{Context, Error, Kwargs, State, Tera, TeraResult, Value};

use crate::evaluate::LONGEST_TEXT;

/// Why there is no text.
pub(super) enum Failed {
    /// It would be longer than a text may be.
    TooLong,
    /// It takes too long.
    TooSlow,
    /// Tera says so, in these words.
    Tera(String),
    /// What was made is no UTF-8.
    NoText,
}

/// Renders a template.
pub(super) fn render(name: &str, text: &str, context: Context) -> Result<String, Failed> {
    let Some(counted) = counted(text) else {
        let why = "its tags are too long, or nested too deeply";
        return Err(Failed::Tera(why.to_owned()));
    };
    let budget = Arc::new(Budget::default());
    let (done, wait) = mpsc::channel();
    let (name, text, of_thread) = (name.to_owned(), text.to_owned(), Arc::clone(&budget));
    let began = thread::Builder::new().stack_size(STACK).spawn(move || {
        // Nobody may wait any more.
        let _ = done.send(rendered(&name, &text, &counted, &context, &of_thread));
    });
    if let Err(error) = began {
        return Err(Failed::Tera(error.to_string()));
    }
    match wait.recv_timeout(LONGEST) {
        Ok(outcome) => outcome,
        Err(_) => {
            budget.left.store(0, Ordering::Relaxed);
            Err(Failed::TooSlow)
        }
    }
}

fn rendered(
    name: &str,
    text: &str,
    counted: &str,
    context: &Context,
    budget: &Arc<Budget>,
) -> Result<String, Failed> {
    // What is wrong in it is told of the text as it was written.
    let checked = plain().add_raw_template(name, text);
    checked.map_err(|error| Failed::Tera(words(&error)))?;
    let mut tera = plain();
    bound(&mut tera, budget);
    let added = tera.add_raw_template(name, counted);
    added.map_err(|error| Failed::Tera(words(&error)))?;
    let mut made = Bounded(Vec::new(), Arc::clone(budget));
    let outcome = tera.render_to(name, context, &mut made);
    if made.0.len() >= LONGEST_TEXT {
        return Err(Failed::TooLong);
    }
    match outcome {
        Ok(()) => String::from_utf8(made.0).map_err(|_| Failed::NoText),
        Err(_) if budget.is_spent() => Err(Failed::TooSlow),
        Err(error) => Err(Failed::Tera(words(&error))),
    }
}

fn plain() -> Tera {
    let mut tera = Tera::default();
    // Files of hosts are no pages: what they hold is written as it is.
    tera.autoescape_on(Vec::<&str>::new());
    tera.register_function(STEP, |_: Kwargs, _: &State| "");
    tera.register_function(SIZE, |_: Kwargs, _: &State| "");
    tera
}

/// Steps that are left: turns of loops, calls of components, elements of ranges.
struct Budget {
    left: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(MOST_STEPS),
        }
    }
}

impl Budget {
    fn spend(&self, steps: u64) -> TeraResult<()> {
        let less = |left: u64| Some(left.saturating_sub(steps));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        match before {
            Ok(before) if before > steps => Ok(()),
            _ => Err(Error::message("the template takes too many steps")),
        }
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// Registers what counts, and with a limit what multiplies.
fn bound(tera: &mut Tera, budget: &Arc<Budget>) {
    let steps = Arc::clone(budget);
    tera.register_function(STEP, move |_: Kwargs, _: &State| {
        steps.spend(1).map(|()| "")
    });
    tera.register_function(SIZE, |given: Kwargs, _: &State| {
        let value = given.must_get::<Value>("value")?;
        let mut room = LONGEST_TEXT;
        fits(&value, &mut room, 0)?;
        Ok::<_, Error>("")
    });
    let steps = Arc::clone(budget);
    tera.register_function("range", move |given: Kwargs, _: &State| {
        let numbers = range(&given)?;
        steps.spend(numbers.len() as u64)?;
        Ok::<_, Error>(numbers)
    });
    tera.register_filter("replace", |text: &str, given: Kwargs, _: &State| {
        let (from, to) = (
            given.must_get::<&str>("from")?,
            given.must_get::<&str>("to")?,
        );
        let found = text.matches(from).count();
        small_enough(text.len().saturating_add(found.saturating_mul(to.len())))?;
        Ok::<_, Error>(text.replace(from, to))
    });
    tera.register_filter("join", |items: &[Value], given: Kwargs, _: &State| {
        let between = given.get::<&str>("sep")?.unwrap_or_default();
        let mut joined = String::new();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                joined.push_str(between);
            }
            fits(item, &mut LONGEST_TEXT.saturating_sub(joined.len()), 0)?;
            joined.push_str(&item.to_string());
            small_enough(joined.len())?;
        }
        Ok::<_, Error>(joined)
    });
    tera.register_filter("indent", |text: &str, given: Kwargs, _: &State| {
        indent(text, &given)
    });
}

/// As Tera has it: at most 100,000 numbers.
fn range(given: &Kwargs) -> TeraResult<Vec<i128>> {
    let start = given.get::<i128>("start")?.unwrap_or_default();
    let end = given.must_get::<i128>("end")?;
    let step = given.get::<i128>("step_by")?.unwrap_or(1);
    if step == 0 || (start > end && step > 0) {
        return Err(Error::message(
            "`range` does not come from `start` to `end` by `step_by`",
        ));
    }
    let mut numbers = Vec::new();
    let mut at = start;
    while if step > 0 { at < end } else { at > end } {
        if numbers.len() >= LONGEST_RANGE {
            return Err(Error::message(format!(
                "`range` gives at most {LONGEST_RANGE} numbers"
            )));
        }
        numbers.push(at);
        let Some(next) = at.checked_add(step) else {
            break;
        };
        at = next;
    }
    Ok(numbers)
}

/// As Tera has it: the first line and empty ones stay as they are, if it is not said otherwise.
fn indent(text: &str, given: &Kwargs) -> TeraResult<String> {
    let width = given.get::<usize>("width")?.unwrap_or(4).min(1000);
    let with = given.get::<&str>("indentation")?.unwrap_or(" ");
    if with.chars().count() != 1 {
        return Err(Error::message("`indentation` of `indent` is one character"));
    }
    let first = given.get::<bool>("first")?.unwrap_or(false);
    let blank = given.get::<bool>("blank")?.unwrap_or(false);
    let space = with.repeat(width);
    let mut indented = String::new();
    for (index, line) in text.lines().enumerate() {
        let is_indented = match index {
            0 => first,
            _ => {
                indented.push('\n');
                blank || !line.is_empty()
            }
        };
        if is_indented {
            indented.push_str(&space);
        }
        indented.push_str(line);
        small_enough(indented.len())?;
    }
    if text.ends_with('\n') {
        indented.push('\n');
    }
    Ok(indented)
}

fn small_enough(length: usize) -> TeraResult<()> {
    match length <= LONGEST_TEXT {
        true => Ok(()),
        false => Err(too_long()),
    }
}

fn too_long() -> Error {
    Error::message(format!("a value would be longer than {LONGEST_TEXT} bytes"))
}

/// Takes what a value needs, when it is written out, from what there is.
fn fits(value: &Value, room: &mut usize, depth: usize) -> TeraResult<()> {
    if depth > DEEPEST {
        return Err(Error::message("a value is nested too deeply"));
    }
    let size = value.as_str().map_or(1, |text| text.len() + 1);
    *room = room.checked_sub(size).ok_or_else(too_long)?;
    if let Some(items) = value.as_array() {
        return items
            .iter()
            .try_for_each(|item| fits(item, room, depth + 1));
    }
    if let Some(members) = value.as_map() {
        return members
            .values()
            .try_for_each(|member| fits(member, room, depth + 1));
    }
    Ok(())
}

/// The template with calls that count in it; `None` if Tera, which goes into brackets and blocks recursively, would go too
/// deep. What can't be read here stays as it is.
fn counted(text: &str) -> Option<String> {
    let mut made = String::with_capacity(text.len());
    let mut set_blocks = Vec::new();
    let mut depth: usize = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        made.push_str(&text[at..start]);
        let end = match text.as_bytes().get(start + 1) {
            Some(b'#') => text[start..].find("#}").map(|end| start + end + 2),
            Some(b'{') => tag_end(text, start + 2, "}}"),
            Some(b'%') => tag_end(text, start + 2, "%}"),
            _ => Some(start + 1),
        };
        let Some(end) = end else {
            made.push_str(&text[start..]);
            return Some(made);
        };
        made.push_str(&text[start..end]);
        at = end;
        let is_comment = text[start..].starts_with("{#");
        if !is_comment && is_too_deep(&text[start..end]) {
            return None;
        }
        if !text[start..].starts_with("{%") {
            continue;
        }
        let inside = text[start + 2..end - 2].trim_start_matches('-');
        let trims = inside.ends_with('-');
        let inside = inside.trim_end_matches('-').trim();
        let (word, rest) = match inside.find(|letter: char| !is_name_part(letter)) {
            Some(end) => (&inside[..end], inside[end..].trim_start()),
            None => (inside, ""),
        };
        // White space behind the tag stays as the tag has it.
        let close = if trims { " -}}" } else { " }}" };
        let name = rest.split(|letter: char| !is_name_part(letter)).next();
        match word {
            "if" | "for" | "filter" | "block" | "component" | "set" | "set_global" => depth += 1,
            _ if word.starts_with("end") => depth = depth.saturating_sub(1),
            _ => {}
        }
        // A `set` that is no block has no end.
        if word.starts_with("set") && rest.contains('=') {
            depth = depth.saturating_sub(1);
        }
        if depth > DEEPEST {
            return None;
        }
        match word {
            "raw" => {
                let Some(end) = raw_end(text, at) else {
                    made.push_str(&text[at..]);
                    return Some(made);
                };
                made.push_str(&text[at..end]);
                at = end;
            }
            "for" | "component" => made.push_str(&format!("{{{{ {STEP}(){close}")),
            "set" | "set_global" => {
                let name = name.unwrap_or_default();
                match rest.contains('=') {
                    true => made.push_str(&format!("{{{{ {SIZE}(value={name}){close}")),
                    false => set_blocks.push(name),
                }
            }
            "endset" => {
                if let Some(name) = set_blocks.pop() {
                    made.push_str(&format!("{{{{ {SIZE}(value={name}){close}"));
                }
            }
            _ => {}
        }
    }
    made.push_str(&text[at..]);
    Some(made)
}

/// Whether a tag is longer, or has more brackets in each other, than anybody writes.
fn is_too_deep(tag: &str) -> bool {
    let mut open: usize = 0;
    let opens = |byte: u8| {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > DEEPEST
    };
    tag.len() > LONGEST_TAG || tag.bytes().any(opens)
}

/// Behind the end of a tag, which is not one in a text.
fn tag_end(text: &str, from: usize, end: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut quote = None;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'' | b'`')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(end.as_bytes()) => return Some(at + end.len()),
            (None, _) => {}
        }
        at += 1;
    }
    None
}

/// Behind the tag that ends what is written as it is.
fn raw_end(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + text[at..].find("{%")?;
        let inside = text[start + 2..].trim_start_matches('-').trim_start();
        if inside.starts_with("endraw") {
            return text[start..].find("%}").map(|end| start + end + 2);
        }
        at = start + 2;
    }
}

fn is_name_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What an error says, with lines as they were written.
fn words(error: &Error) -> String {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        why = inner.to_string();
        cause = inner.source();
    }
    let mut clean = String::with_capacity(why.len());
    let mut rest = why.as_str();
    let open = ["{{ dmp_step(", "{{ dmp_size("];
    while let Some(at) = open.iter().filter_map(|open| rest.find(open)).min() {
        clean.push_str(&rest[..at]);
        rest = rest[at..]
            .find("}}")
            .map_or("", |end| &rest[at + end + 2..]);
    }
    clean.push_str(rest);
    clean
}

/// What was rendered so far; it ends the rendering of a text that is longer than one may be, or for which nobody waits.
struct Bounded(Vec<u8>, Arc<Budget>);

impl std::io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        let room = match self.1.is_spent() {
            true => 0,
            false => LONGEST_TEXT.saturating_sub(self.0.len()),
        };
        let taken = more.len().min(room);
        self.0.extend_from_slice(&more[..taken]);
        // Nothing taken is an error to who writes.
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How long a template may take.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_STEPS: u64 = 2_000_000;
const LONGEST_RANGE: usize = 100_000;
/// Only what is used of it takes memory.
const STACK: usize = 256 << 20;
const DEEPEST: usize = 200;
const LONGEST_TAG: usize = 64 << 10;
const STEP: &str = "dmp_step";
const SIZE: &str = "dmp_size";

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Result<String, String> {
        render("t", text, Context::new()).map_err(|failed| match failed {
            Failed::TooLong => "too long".to_owned(),
            Failed::TooSlow => "too slow".to_owned(),
            Failed::Tera(why) => why,
            Failed::NoText => "no text".to_owned(),
        })
    }

    #[test]
    fn counting_changes_no_character_of_what_is_rendered() {
        for text in [
            "{% for n in range(end=3) %} {{ n }}\n{% endfor %}|",
            "{% for n in range(end=3) -%}\n  {{ n }}\n{%- endfor -%}\n|",
            "a {% set x = \"%}\" -%} b {{ x }}{% raw %}{% for x in y %}{% endraw %}{# {% for #}",
            "{% set x %}1{% for n in [1, 2] %}{{ n }}{% endfor %}{% endset %}<{{ x }}>",
            "{{ \"a\\nb\\n\" | indent(width=2, first=true) }}{{ [1, \"b\", true] | join(sep=\", \") }}",
            "{{ \"aXbX\" | replace(from=\"X\", to=\"--\") }}{{ range(start=5, end=0, step_by=-2) | join }}",
            "{% if true %}{{ \"}}\" }}{% else %}{% endif %}{ % {",
        ] {
            let mut tera = Tera::default();
            tera.autoescape_on(Vec::<&str>::new());
            tera.add_raw_template("t", text).expect(text);
            let wanted = tera.render("t", &Context::new()).expect(text);
            assert_eq!(rendered(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn no_template_runs_without_end_or_fills_the_memory() {
        let range = "range(end=100000)";
        for (text, expected) in [
            (
                format!(
                    "{{% for a in {range} %}}{{% for b in {range} %}}{{% endfor %}}{{% endfor %}}"
                ),
                "too slow",
            ),
            (
                format!(
                    "{{% set x = \"ab\" %}}{{% for a in {range} %}}{{% set_global x = x ~ x %}}{{% endfor %}}"
                ),
                "longer than",
            ),
            (
                format!("{{% for a in {range} %}}{}{{% endfor %}}", "x".repeat(1000)),
                "too long",
            ),
            (
                "{% set x = \"a\" %}".to_owned() + &"{% set x = x ~ x %}".repeat(60),
                "longer than",
            ),
            (
                "{% set x = [1] %}".to_owned() + &"{% set x = [x, x] %}".repeat(60),
                "longer than",
            ),
            (
                format!(
                    "{{% set t %}}{{% for a in {range} %}}aaaa{{% endfor %}}{{% endset %}}{{{{ t | replace(from=\"a\", to=t) }}}}"
                ),
                "longer than",
            ),
            (
                format!("{{{{ {range} | join(sep=\"{}\") }}}}", "x".repeat(1000)),
                "longer than",
            ),
            (
                format!(
                    "{{% set t %}}{{% for a in {range} %}}a\n{{% endfor %}}{{% endset %}}{{{{ t | indent(width=1000) }}}}"
                ),
                "longer than",
            ),
        ] {
            let failed = rendered(&text).expect_err(&text[..60]);
            assert!(failed.contains(expected), "{}: {failed}", &text[..60]);
        }
    }

    #[test]
    fn an_error_shows_the_template_as_it_was_written() {
        let failed =
            rendered("{% for a in [1] %}{{ missing.part }}{% endfor %}").expect_err("fails");
        assert!(
            failed.contains("missing") && !failed.contains("dmp_"),
            "{failed}"
        );
    }
}
