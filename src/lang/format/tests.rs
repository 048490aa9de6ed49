use proptest::prelude::*;

use super::format_file;
use super::tokens::tokens;
use crate::ast::{Body, Expr, ExprKind, TemplatePart};
use crate::parse::parse_file;

fn formatted(text: &str) -> String {
    format_file(text, "t").unwrap_or_else(|failed| panic!("{text:?}: {failed:?}"))
}

#[test]
fn lines_are_indented_by_the_brackets_around_them() {
    let given = "a \"b\" {\nc {\nd = [\n1,\n{ e = f(\n2\n)}\n]\n}\n}\n";
    let wanted = "a \"b\" {\n  c {\n    d = [\n      1,\n      { e = f(\n        2\n      ) }\n    ]\n  }\n}\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn equal_signs_and_comments_of_neighbours_stand_in_columns() {
    let given =
        "a=1 # one\nlonger = 22 // two\nlist = [\n1, # x\n333 # y\n]\n\nb=1#z\n日本 = 2 # w\n";
    let wanted = "a      = 1  # one\nlonger = 22 // two\nlist = [\n  1,  # x\n  333 # y\n]\n\nb  = 1 #z\n日本 = 2 # w\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn operators_and_brackets_have_their_spaces() {
    let given = "a=x.y==1&&!  z.y||-b.c>- 2?[1 ,2]:{c=1}\nd = f ( 1,g.h [ 0 ] . i...)\ne = { for k,v in[ 1 ]:k=>v...if(k) }\n";
    let wanted = "a = x.y == 1 && !z.y || -b.c > -2 ? [1, 2] : { c = 1 }\nd = f(1, g.h[0].i...)\ne = { for k, v in [1] : k => v... if(k) }\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn texts_stay_as_they_are_but_for_what_is_evaluated_in_them() {
    let given = "a = \"  x ${ b.c }  $${ y }%{ if d.e }  \\\" %{ endif }\"\n";
    let wanted = "a = \"  x ${b.c}  $${ y }%{if d.e}  \\\" %{endif}\"\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn heredocs_stay_as_they_are() {
    let heredoc = "<<-EOT\n\n\n   x ${  f( a.b)  }  \n\t%{ if c.d }y%{ endif }\n $${ EOT\n\tEOT\n";
    let given = format!("a={heredoc}bb=[{heredoc},1]\n");
    let wanted = format!("a = {heredoc}bb = [{heredoc}, 1]\n");
    assert_eq!(formatted(&given), wanted);
}

#[test]
fn a_line_inside_an_interpolation_does_not_end_a_heredoc() {
    let given = "a=<<EOT\n${f(\nEOT\n)}\nEOT\nb   =  1\n";
    let wanted = "a = <<EOT\n${f(\nEOT\n)}\nEOT\nb = 1\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn labels_are_quoted_and_lone_interpolations_unwrapped() {
    let given = "a b \"c\"{}\nd=\"${e.f}\"\ng=\"${\"${h.i}\"}\"\nj=\"${[\n1]}\"\nk=\"${l.m}${n.o}\"\np=[\"${q.r}\"]\n";
    let wanted =
        "a \"b\" \"c\" {}\nd = e.f\ng = h.i\nj = ([\n1])\nk = \"${l.m}${n.o}\"\np = [\"${q.r}\"]\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn blank_lines_stay_and_runs_of_them_are_one() {
    let given = "a = 1\n\n\n\nb {\n\n\n  c = [\n\n\n  ]\n}\n/* x\n\n\n y */\n";
    let wanted = "a = 1\n\nb {\n\n  c = [\n\n  ]\n}\n/* x\n\n\n y */\n";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn line_ends_and_a_byte_order_mark_stay() {
    let given = "\u{feff}a=1\r\n\r\n\r\nbb=2 # c \r\nd   =  3";
    let wanted = "\u{feff}a = 1\r\n\r\nbb = 2 # c \r\nd  = 3";
    assert_eq!(formatted(given), wanted);
}

#[test]
fn what_cannot_be_parsed_is_refused() {
    let failed = format_file("a = \n b {", "t").expect_err("it is broken");
    assert!(!failed.is_empty());
}

/// What a body means: its tree without places, without what wraps an argument's whole value.
fn meaning(body: &Body) -> String {
    let mut shown = String::new();
    for (name, attribute) in &body.attributes {
        shown.push_str(&format!("{name} = {:?}\n", bare(&attribute.expr)));
    }
    for block in &body.blocks {
        let labels: Vec<&str> = block.labels.iter().map(|label| &*label.text).collect();
        let body = meaning(&block.body);
        shown.push_str(&format!("{} {labels:?} {{\n{body}}}\n", block.kind.text));
    }
    without_places(&shown)
}

fn bare(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Parenthesis(inner) => bare(inner),
        ExprKind::Template(template) => match template.parts.as_slice() {
            [TemplatePart::Interpolation(inner)] => bare(inner),
            _ => expr,
        },
        _ => expr,
    }
}

fn without_places(shown: &str) -> String {
    let mut rest = shown;
    let mut kept = String::new();
    while let Some(at) = rest.find("Span {") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[rest.find('}').map_or(rest.len(), |end| end + 1)..];
    }
    kept + rest
}

fn comments(text: &str) -> Vec<&str> {
    let all = tokens(text).into_iter();
    all.filter(super::tokens::Token::is_comment)
        .map(|token| token.text)
        .collect()
}

fn keeps_meaning_and_comments(text: &str) -> Result<(), TestCaseError> {
    let (before, failed) = parse_file(text, "t");
    let Ok(once) = format_file(text, "t") else {
        prop_assert!(!failed.is_empty());
        return Ok(());
    };
    let (after, failed) = parse_file(&once, "t");
    prop_assert!(failed.is_empty(), "{text:?} became {once:?}: {failed:?}");
    prop_assert_eq!(
        meaning(&before),
        meaning(&after),
        "{:?} became {:?}",
        text,
        once
    );
    prop_assert_eq!(comments(text), comments(&once));
    let twice = format_file(&once, "t");
    prop_assert_eq!(twice.as_ref(), Ok(&once), "from {:?}", text);
    Ok(())
}

fn gap() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just(""),
        3 => Just(" "),
        1 => Just("\t  "),
        1 => Just(" /* c */ "),
        1 => Just("/* a\n b */"),
    ]
}

/// What may stand between brackets.
fn wide_gap() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => gap().prop_map(str::to_owned),
        1 => Just("\n".to_owned()),
        1 => Just("\r\n\n\n ".to_owned()),
        1 => Just(" # c \n".to_owned()),
        1 => Just("\n  // d\n".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a.b",
        "1",
        "1.5e3",
        "true",
        "null",
        "\"t\"",
        "\"\"",
        "x.y.0.z",
        "{}",
        "[]",
        "-1",
        "v.x[*].y",
        "v.w.*.z",
        "é.b",
        "\"a ${ b.c } d\"",
        "\"$${x} %%{ \\\" \"",
        "\"%{ if a.b ~}y%{ else }n%{ endif }\"",
        "\"${~ a.b ~}\"",
        "provider :: k :: f(1)",
        "f()",
    ])
    .prop_map(str::to_owned);
    let operator = prop::sample::select(vec![
        "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||",
    ]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let item = (wide_gap(), inner.clone(), wide_gap());
        let items = prop::collection::vec(item.prop_map(|(a, b, c)| a + &b + &c), 1..4).boxed();
        let line = (gap(), inner.clone(), gap(), inner.clone(), prop::bool::ANY);
        let members = prop::collection::vec(
            line.prop_map(|(a, key, b, value, by_line)| {
                let end = if by_line { " # e\n" } else { "," };
                format!("({a}{key}){b}={value}{end}")
            }),
            1..4,
        );
        prop_oneof![
            (inner.clone(), gap(), operator.clone(), gap(), inner.clone())
                .prop_map(|(a, b, c, d, e)| format!("{a} {b}{c} {d}{e}")),
            (inner.clone(), gap(), inner.clone(), gap(), inner.clone())
                .prop_map(|(a, b, c, d, e)| format!("{a}{b}?{c}{d}: {e}")),
            items
                .clone()
                .prop_map(|items| format!("[{}]", items.join(","))),
            (gap(), items.clone()).prop_map(|(a, items)| format!("f{a}({})", items.join(","))),
            items
                .clone()
                .prop_map(|items| format!("f({}...)", items.join(","))),
            members.prop_map(|members| format!("{{{}}}", members.concat())),
            (wide_gap(), inner.clone(), wide_gap()).prop_map(|(a, b, c)| format!("({a}{b}{c})")),
            (wide_gap(), inner.clone(), wide_gap())
                .prop_map(|(a, b, c)| format!("\"${{{a}{b}{c}}}\"")),
            (
                wide_gap(),
                inner.clone(),
                wide_gap(),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|(a, b, c, d, e)| format!("[{a}for x in {b}{c}:{d} if {e}]")),
            (
                wide_gap(),
                inner.clone(),
                inner.clone(),
                wide_gap(),
                inner.clone()
            )
                .prop_map(|(a, b, c, d, e)| format!("{{for k{a},x in {b}:{c}=>{d}{e}...}}")),
            (gap(), inner.clone(), gap()).prop_map(|(a, b, c)| format!("v.w{a}[{b}]{c}.x")),
            (prop::sample::select(vec!["!", "-"]), gap(), inner)
                .prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        ]
    })
}

fn statements(depth: u32) -> BoxedStrategy<String> {
    let line_end = prop::sample::select(vec!["\n", " # c\n", "//d\n", "  \r\n", "/* e */ \n"]);
    let attribute = (gap(), gap(), expression(), gap(), line_end)
        .prop_map(|(a, b, value, c, end)| format!("NAME{a}={b}{value}{c}{end}"));
    let heredoc =
        (prop::sample::select(vec!["<<", "<<-"]), expression()).prop_map(|(sign, inner)| {
            format!("NAME={sign}EOT\n\n  x ${{ {inner} }}  \n\t y\n  EOT \n")
        });
    let other = prop::sample::select(vec![
        "\n",
        "\n\n\n",
        " # c\n",
        "/* x\n  y */\n",
        "b \"c\" d{ NAME=1 }\n",
    ]);
    let mut any = prop_oneof![attribute, heredoc, other.prop_map(str::to_owned)].boxed();
    if depth > 0 {
        let label = prop::sample::select(vec!["", " l", "\"l\"", " l /* x */ \"m\"  "]);
        let block = (label, gap(), statements(depth - 1))
            .prop_map(|(label, gap, body)| format!("b{label}{gap}{{ # o\n{body} }}\n"));
        any = prop_oneof![3 => any, 1 => block].boxed();
    }
    prop::collection::vec(any, 0..6)
        .prop_map(|all| all.concat())
        .boxed()
}

/// Each argument with a name of its own.
fn configuration() -> impl Strategy<Value = String> {
    statements(2).prop_map(|text| {
        let mut named = String::new();
        for (index, part) in text.split("NAME").enumerate() {
            if index > 0 {
                named.push_str(&format!("n{}", index * index * index));
            }
            named.push_str(part);
        }
        named
    })
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "a", " ", "\n", "=", "==", "\"", "${", "}", "{", "[", "]", "(", ")", "<<E\n", "E\n", "E",
        "1", ".", "-", "!", "#", "//", "/*", "*/", "?", ":", "=>", "~", "\r\n", "\r", ",", "$${",
        "%{ if ", "%{endif}", "::", "...", "*", "in", "for ", "\\", "é", "\t", "b = 1\n", "c {\n",
        "}\n",
    ]);
    prop::collection::vec(fragment, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_configuration_keeps_its_meaning_and_its_comments(text in configuration()) {
        prop_assert!(format_file(&text, "t").is_ok(), "{:?}", format_file(&text, "t"));
        keeps_meaning_and_comments(&text)?;
    }

    #[test]
    fn no_text_breaks_the_formatter(text in fragments()) {
        let _ = tokens(&text);
        keeps_meaning_and_comments(&text)?;
        keeps_meaning_and_comments(&format!("x = [{text}]\n"))?;
    }
}
