//! The parser as a whole: places, recovery, and that no text breaks it.

use proptest::prelude::*;

use super::*;
use crate::ast::ExprKind;
use crate::references;

fn errors(text: &str) -> Vec<(String, String)> {
    let (_, failed) = parse_file(text, "a.hcl");
    failed
        .iter()
        .map(|failed| {
            let span = failed.span.clone().expect("has a place");
            (failed.detail.clone(), text[span.start..span.end].to_owned())
        })
        .collect()
}

fn pair(detail: &str, place: &str) -> (String, String) {
    (detail.to_owned(), place.to_owned())
}

#[test]
fn one_broken_statement_costs_one_error_and_the_rest_is_read() {
    let text = "resource \"a\" \"b\" {\n  x = [1, 2\n  y = 1 +\n}\nlocals {\n  ok = 1\n  bad = \"open\n  fine = 2\n}\n";
    let (body, failed) = parse_file(text, "a.hcl");
    assert_eq!(body.blocks.len(), 2);
    assert_eq!(body.blocks[1].body.attributes.len(), 2);
    assert_eq!(failed.len(), 2, "{failed:#?}");
}

#[test]
fn a_block_that_is_not_closed_is_told_of_at_its_head() {
    let text = "resource \"a\" \"b\" {\n  x = 1\n\nresource \"c\" \"d\" {\n  y = 2\n}\n";
    assert_eq!(
        errors(text),
        [pair(
            "the block that begins here is not closed",
            "resource \"a\" \"b\""
        )]
    );
    let (body, _) = parse_file(text, "a.hcl");
    assert_eq!(
        body.blocks
            .last()
            .map(|block| block.labels[0].text.as_ref()),
        Some("c")
    );
}

#[test]
fn errors_say_what_was_expected() {
    assert_eq!(
        errors("a = \n"),
        [pair(
            "an expression is expected here, not the end of the line",
            ""
        )]
    );
    assert_eq!(
        errors("a = 1 2\n"),
        [pair("the end of the line is expected here, not `2`", "2")]
    );
    assert_eq!(
        errors("a = (1\n"),
        [pair("`)` is expected here, not the end of the text", "")]
    );
    assert_eq!(
        errors("a = \"\\q\"\n"),
        [pair("this is no escape sequence", "\\q")]
    );
    assert_eq!(errors("a = 1\na = 2\n"), [pair("`a` is set already", "a")]);
    assert_eq!(errors("}\na = 1\n"), [pair("this `}` closes nothing", "}")]);
    assert_eq!(
        errors("a = <<EOT\nx\n"),
        [pair(
            "the heredoc that begins here has no line with `EOT` alone",
            "EOT"
        )]
    );
    assert_eq!(errors("a = <<EOT\nxEOT").len(), 1);
    assert_eq!(
        errors("a = each.foo\n"),
        [pair(
            "`each` is followed by a name: `each.key` or `each.value`",
            "each"
        )]
    );
    assert_eq!(
        errors("a = \"%{if true}x\"\n"),
        [pair(
            "`%{endif}` is missing for this directive",
            "%{if true}"
        )]
    );
}

#[test]
fn spans_are_right_behind_a_byte_order_mark_and_with_crlf() {
    let text = "\u{feff}# é\r\nblock \"x\" {\r\n  name = var.größe\r\n}\r\n";
    let (body, failed) = parse_file(text, "a.hcl");
    assert!(failed.is_empty(), "{failed:?}");
    let expr = body.blocks[0].body.expr("name").expect("is set");
    assert_eq!(&text[expr.span.start..expr.span.end], "var.größe");
    assert_eq!(
        &text[body.blocks[0].span.start..body.blocks[0].span.end],
        "block \"x\""
    );
}

#[test]
fn references_know_their_path_and_for_variables_are_none() {
    let expr = parse_expression("[for vm in module.net[\"a\"].hosts[var.i] : vm.name]", "t")
        .expect("parses");
    let found: Vec<String> = references(&expr)
        .iter()
        .map(|reference| format!("{} +{}", reference.target, reference.path.len()))
        .collect();
    assert_eq!(found, ["module.net +2", "var.i +0"]);

    let expr = parse_expression(
        "data.host_facts.all[0].cpu + proxmox_vm.a.id + self.x + path.module",
        "t",
    )
    .expect("parses");
    let found: Vec<String> = references(&expr)
        .iter()
        .map(|reference| reference.target.to_string())
        .collect();
    assert_eq!(
        found,
        ["data.host_facts.all", "proxmox_vm.a", "self", "path.module"]
    );
}

#[test]
fn every_form_parses() {
    for text in [
        "a::b(1, 2...)",
        "f(\n  1,\n  2,\n)",
        "[\n  1, # one\n  2, /* two */\n]",
        "{ for k, v in x.y : k => v... if v != null }",
        "x.y.*.z[0]",
        "x.y[*].z[0]",
        "-x.y + !true",
        "a.b ? c.d : e.f",
        "{ \"a\" : 1, b = 2, (c.d) = 3 }",
        "{ for = 1 }",
        "\"${\"${\"deep\"}\"}\"",
        "f(<<EOT\nx\nEOT\n, 1)",
        "[<<-A\n  x\n  A\n, \"y\"]",
        "1.5e-3",
        "(\n1\n+\n2\n)",
    ] {
        let parsed = parse_expression(text, "t");
        assert!(parsed.is_ok(), "{text}: {parsed:?}");
    }
}

#[test]
fn a_strip_marker_stands_at_the_brace() {
    for text in [
        "\"${x.y ~}\"",
        "\"${~ x.y}\"",
        "\"%{ if x.y ~}a%{ endif ~}\"",
    ] {
        assert!(parse_expression(text, "t").is_ok(), "{text}");
    }
    for text in ["\"${x.y~ }\"", "\"%{ if x.y }a%{ endif~ }\""] {
        assert!(parse_expression(text, "t").is_err(), "{text}");
    }
}

#[test]
fn broken_blocks_inside_of_broken_blocks_do_not_double_the_work() {
    // Each of them is looked at again from its beginning; without a bound that is 2 to the power of their number.
    let text = format!(
        "{}s = [for t in",
        "stack {\nblock x {\n}]\nstack {\n".repeat(60)
    );
    assert!(!errors(&text).is_empty());
}

#[test]
fn depth_is_an_error_and_not_a_crash() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{a=", "}"),
        ("f(", ")"),
        ("\"${", "}\""),
        ("!", ""),
        ("a.b[", "]"),
        ("[for x in y.z: ", "]"),
    ] {
        let text = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        assert!(parse_expression(&text, "t").is_err(), "{open}");
    }
    for step in [
        "+1",
        ".a",
        "[0]",
        ".*.a",
        "[*].a",
        " ? 1 : 1",
        "%{if true}",
        "${1}",
    ] {
        let text = format!("a.b{}", step.repeat(20_000));
        let _ = parse_expression(&text, "t");
        let _ = parse_template(&text, "t");
    }
    let blocks = format!("{}{}", "a {\n".repeat(20_000), "}\n".repeat(20_000));
    let (_, failed) = parse_file(&blocks, "t");
    assert!(!failed.is_empty());
}

#[test]
fn a_template_file_has_its_variables_by_name() {
    let template = parse_template(
        "%{ for a in addrs ~}\n  - ${a}\n%{ endfor ~}\nend ${name}\n",
        "t",
    )
    .expect("parses");
    let names: Vec<&ExprKind> = template.children().iter().map(|expr| &expr.kind).collect();
    assert_eq!(names.len(), 3);
    let variables = dmp_sdk::Value::object_of([
        ("addrs", dmp_sdk::Value::tuple(vec!["x".into(), "y".into()])),
        ("name", "z".into()),
    ]);
    let value =
        crate::evaluate_template(&template, &variables, &crate::Bindings::new()).expect("renders");
    assert_eq!(value.as_str(), Some("  - x\n  - y\nend z\n"));
}

#[test]
fn types_are_read_with_their_defaults() {
    let parse = |text: &str| parse_type(&parse_expression(text, "t").expect("parses"));
    let ty = parse("list(object({ a = optional(string, \"x\"), b = number }))").expect("is a type");
    assert_eq!(
        ty.to_string(),
        "list(object({a=optional(string), b=number}))"
    );
    assert_eq!(
        parse("strng").expect_err("is none")[0].help,
        ["did you mean `string`?"]
    );
    assert!(
        parse("list").is_err() && parse("list(1)").is_err() && parse("optional(string)").is_err()
    );
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("resource \"a\" \"b\" {\n"),
        Just("}\n"),
        Just("x = "),
        Just("\n"),
        Just("\""),
        Just("${"),
        Just("}"),
        Just("%{if "),
        Just("%{endif}"),
        Just("%{for x in "),
        Just("<<EOT\n"),
        Just("EOT\n"),
        Just("<<-E\n"),
        Just("E"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just("{"),
        Just("for a in b.c : "),
        Just("a.b"),
        Just("[*]"),
        Just(".*"),
        Just("..."),
        Just("1"),
        Just("-"),
        Just("é"),
        Just("\\"),
        Just("//"),
        Just("/*"),
        Just("*/"),
        Just("#"),
        Just("?"),
        Just(":"),
        Just("=>"),
        Just("~"),
        Just("\r\n"),
        Just("f("),
        Just(","),
        Just("$${"),
        Just("\\u00"),
        Just("::"),
        Just("&&"),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
}

fn stands(text: &str) -> Result<(), TestCaseError> {
    let (body, failed) = parse_file(text, "t");
    for diagnostic in failed {
        let span = diagnostic.span.clone().expect("every error has a place");
        prop_assert!(
            text.get(span.start..span.end).is_some(),
            "{span:?} is no place in {text:?}"
        );
    }
    for attribute in body.attributes.values() {
        let span = &attribute.expr.span;
        prop_assert!(text.get(span.start..span.end).is_some());
        let _ = crate::evaluate(&attribute.expr, &crate::Bindings::new());
    }
    if let Ok(expr) = parse_expression(text, "t") {
        let _ = crate::evaluate(&expr, &crate::Bindings::new());
    }
    let _ = parse_template(text, "t");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_breaks_the_parser(text in any::<String>()) {
        stands(&text)?;
    }

    #[test]
    fn no_broken_configuration_breaks_the_parser(text in fragments()) {
        stands(&text)?;
    }
}
