//! A diagnostic with the source lines it speaks of.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use dmp_lang::Sources;
use dmp_sdk::{Diagnostic, Severity, Span};
use serde_json::{Value as Json, json};

use crate::style::Style;

/// Renders a diagnostic as a person reads it.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group: Group<'_> = Group::with_title(level.primary_title(diagnostic.summary.as_str()));
    let spanned = diagnostic.span.as_ref().filter(|span| is_in(sources, span));
    if let Some(span) = spanned {
        for snippet in snippets(diagnostic, span, sources) {
            group = group.element(snippet);
        }
    } else if !diagnostic.detail.is_empty() {
        group = group.element(Level::NOTE.no_name().message(diagnostic.detail.as_str()));
    }
    let renderer = match style {
        Style::Coloured => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
    let mut line = |name: &str, said: &str| {
        text.push('\n');
        text.push_str(&style.bold(&format!("{name}:")));
        for (at, part) in said.lines().enumerate() {
            text.push_str(if at == 0 { " " } else { "\n       " });
            text.push_str(part);
        }
    };
    if let Some(address) = &diagnostic.address {
        line("object", &address.to_string());
    }
    if let Some(cause) = &diagnostic.cause {
        line("cause", cause);
    }
    if let Some(state) = &diagnostic.state {
        line("state", state);
    }
    for help in &diagnostic.help {
        line("help", help);
    }
    text.push('\n');
    text
}

fn is_in(sources: &Sources, span: &Span) -> bool {
    sources
        .text(&span.file)
        .is_some_and(|text| span.end <= text.len() && text.is_char_boundary(span.start))
}

/// One snippet per file, the diagnostic's own first.
fn snippets<'a>(
    diagnostic: &'a Diagnostic,
    span: &'a Span,
    sources: &'a Sources,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut files: Vec<&'a str> = vec![&span.file];
    for label in diagnostic
        .labels
        .iter()
        .filter(|label| is_in(sources, &label.span))
    {
        if !files.contains(&label.span.file.as_ref()) {
            files.push(&label.span.file);
        }
    }
    let snippet = |file: &'a str| {
        let text = sources.text(file).map_or("", |text| text.as_ref());
        let mut snippet = Snippet::source(text).path(file);
        if *span.file == *file {
            let mut primary = AnnotationKind::Primary.span(span.start..span.end.max(span.start));
            if !diagnostic.detail.is_empty() {
                primary = primary.label(diagnostic.detail.as_str());
            }
            snippet = snippet.annotation(primary);
        }
        let labels = diagnostic
            .labels
            .iter()
            .filter(|label| *label.span.file == *file);
        for label in labels {
            let context = AnnotationKind::Context.span(label.span.start..label.span.end);
            snippet = snippet.annotation(context.label(label.text.as_str()));
        }
        snippet
    };
    files.into_iter().map(snippet).collect()
}

/// A diagnostic for machines, with line and column beside the bytes.
#[must_use]
pub fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> Json {
    let mut json = serde_json::to_value(diagnostic).unwrap_or_default();
    let position = diagnostic
        .span
        .as_ref()
        .and_then(|span| sources.position(span));
    if let (Some(members), Some(position)) = (json.as_object_mut(), position) {
        members.insert("line".into(), json!(position.line));
        members.insert("column".into(), json!(position.column));
    }
    json
}
