//! Expressions and their values: a table, and laws over generated expressions.

use std::cell::RefCell;
use std::collections::BTreeSet;

use dmp_sdk::Address;
use proptest::prelude::*;

use super::*;
use crate::reference::{Reference, Target};
use crate::scope::{Bindings, Scope};
use crate::{parse_expression, references};

fn scope() -> Bindings {
    Bindings::new()
        .with_variable("s", "secret".into())
        .with_variable("n", 3.into())
        .with_variable("l", Value::list(vec!["a".into(), "b".into()]))
        .with_variable("set", Value::set(vec!["b".into(), "a".into()]))
        .with_variable(
            "m",
            Value::map(
                [("k".into(), 1.into()), ("z".into(), 2.into())]
                    .into_iter()
                    .collect(),
            ),
        )
        .with_variable(
            "o",
            Value::object_of([("id", 1.into()), ("name", "x".into())]),
        )
        .with_variable("nothing", Value::null())
        .with_variable("u", Value::unknown(Type::String))
        .with_variable("un", Value::unknown(Type::Number))
        .with_variable("ul", Value::unknown(Type::list(Type::String)))
        .with_variable("ua", Value::unknown(Type::Any))
}

/// A value as it is written, tuples and lists alike; unknowns as their type in angle brackets.
fn shown(value: &Value) -> String {
    let list = |items: &[Value]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match value.kind() {
        Kind::Null => "null".into(),
        Kind::Unknown(unknown) => format!("<{}>", unknown.ty),
        Kind::Bool(truth) => truth.to_string(),
        Kind::Number(number) => number.to_string(),
        Kind::String(text) => format!("{text:?}"),
        Kind::List(items) | Kind::Tuple(items) => format!("[{}]", list(items)),
        Kind::Set(items) => format!("set({})", list(items)),
        Kind::Map(members) | Kind::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", shown(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// What an expression gives: its value, or the details of its errors.
fn given(text: &str) -> String {
    let outcome = parse_expression(text, "test").and_then(|expr| evaluate(&expr, &scope()));
    match outcome {
        Ok(value) => shown(&value),
        Err(failed) => {
            let details: Vec<String> = failed.iter().map(|failed| failed.detail.clone()).collect();
            format!("error: {}", details.join("; "))
        }
    }
}

fn table(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(text, wanted)| given(text) != *wanted)
        .map(|(text, wanted)| format!("{text}\n  wanted {wanted}\n  given  {}", given(text)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn operators_convert_and_numbers_are_decimal() {
    table(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("\"1\" + 1", "2"),
        ("0.1 + 0.2", "0.3"),
        ("9007199254740993 + 1", "9007199254740994"),
        ("-7 % 3", "-1"),
        ("7 / 2", "3.5"),
        ("1 / 0", "error: division by zero"),
        ("5 % 0", "error: division by zero"),
        ("-var.n", "-3"),
        ("- 5", "-5"),
        ("!true", "false"),
        ("!\"true\"", "false"),
        ("1 < 2 && 2 < 3", "true"),
        ("1 == \"1\"", "false"),
        ("[1, 2] == [1, 2]", "true"),
        ("[1] == tolist([1])", "false"),
        ("{a = 1} == {a = 1}", "true"),
        ("null == null", "true"),
        ("var.s == null", "false"),
        ("var.u == null", "<bool>"),
        ("var.u == 5", "false"),
        ("[var.u, 1] == [\"x\", 2]", "false"),
        ("1 - 2 - 3", "-4"),
        ("\"x\" + 1", "error: a number is required"),
        (
            "null + [1]",
            "error: a number is required here, and this is null; a number is required, not a tuple",
        ),
        ("1e400 > 1", "true"),
    ]);
}

#[test]
fn logic_is_decided_from_the_left() {
    table(&[
        ("false && var.missing", "false"),
        ("true || var.missing", "true"),
        ("var.nothing == null || var.nothing.x == 1", "true"),
        ("tobool(var.u) && false", "false"),
        ("tobool(var.u) || false", "<bool>"),
    ]);
}

#[test]
fn unknowns_give_unknowns_of_the_right_type() {
    table(&[
        ("var.un + 1", "<number>"),
        ("var.un > 1", "<bool>"),
        ("\"a${var.u}\"", "<string>"),
        ("\"${var.ul}\"", "<list(string)>"),
        ("[for x in var.ul : x]", "<any>"),
        ("var.ul[0]", "<string>"),
        ("var.ul[*]", "<list(string)>"),
        ("var.ua.b.c", "<any>"),
        ("[1, var.u]", "[1, <string>]"),
        ("length([1, var.u])", "2"),
        ("upper(var.u)", "<string>"),
        ("{(var.u) = 1}", "<any>"),
        ("var.un > 1 ? \"a\" : 2", "<string>"),
        ("var.u + [1]", "error: a number is required, not a tuple"),
        ("var.un.x", "error: a number has no attribute `x`"),
    ]);
}

#[test]
fn what_is_taken_out_of_a_value_is_there_or_the_error_says_what_is() {
    table(&[
        ("var.o.name", "\"x\""),
        ("var.o[\"name\"]", "\"x\""),
        ("var.l[1]", "\"b\""),
        ("var.l.1", "\"b\""),
        ("var.l[\"1\"]", "\"b\""),
        ("[[1, 2], [3]].0.1", "2"),
        (
            "var.o.nme",
            "error: there is no `nme` in it, only `id`, `name`",
        ),
        (
            "var.l[2]",
            "error: there is no element 2: they count from 0 to 1",
        ),
        (
            "var.l[-1]",
            "error: there is no element -1: they count from 0 to 1",
        ),
        (
            "var.m[\"q\"]",
            "error: there is no `q` in it, only `k`, `z`",
        ),
        ("var.nothing.x", "error: `.x` can't be taken out of null"),
        ("var.set[0]", "error: the elements of a set have no index"),
        ("[var.o].name", "error: a tuple has no attribute `name`"),
        ("[var.o, var.o][*].id", "[1, 1]"),
        ("[var.o].*.id", "[1]"),
        ("[{a = [{b = 1}, {b = 2}]}][*].a[*].b", "[[1, 2]]"),
        ("[{a = [5]}].*.a[0]", "[5]"),
        ("var.o[*].id", "[1]"),
        ("var.nothing[*].id", "[]"),
        ("var.set[*]", "[\"a\", \"b\"]"),
    ]);
}

#[test]
fn loops_make_tuples_and_objects() {
    table(&[
        ("[for x in var.l : upper(x)]", "[\"A\", \"B\"]"),
        ("[for i, x in var.l : \"${i}${x}\" if i > 0]", "[\"1b\"]"),
        ("{for k, v in var.m : k => v * 2}", "{k = 2, z = 4}"),
        (
            "{for x in [\"aa\", \"ab\", \"b\"] : substr(x, 0, 1) => x...}",
            "{a = [\"aa\", \"ab\"], b = [\"b\"]}",
        ),
        (
            "{for x in [1, 1] : x => x}",
            "error: two elements give the key `1`",
        ),
        ("[for k, v in var.set : k == v]", "[true, true]"),
        ("[for x in [[1], [2]] : [for y in x : y + 1]]", "[[2], [3]]"),
        (
            "[for x in 5 : x]",
            "error: `for` goes through a list, set, tuple, map or object, and this is a number",
        ),
        (
            "[for x in null : x]",
            "error: a list(any) is required here, and this is null",
        ),
        ("[for s in [1] : s][0] + var.n", "4"),
        ("[for var in [{x = 7}] : var.x]", "[7]"),
    ]);
}

#[test]
fn texts_are_made_of_parts() {
    table(&[
        ("\"a${1 + 1}b\"", "\"a2b\""),
        ("\"${var.n}\"", "3"),
        ("\"$${x} %%{y}\"", "\"${x} %{y}\""),
        ("\"\\u00e9\\n\"", "\"é\\n\""),
        ("\"%{if var.n > 2}yes%{else}no%{endif}\"", "\"yes\""),
        ("\"%{for x in var.l}<${x}>%{endfor}\"", "\"<a><b>\""),
        ("\"a ${~ \"b\" ~} c\"", "\"abc\""),
        ("\"${null}x\"", "error: null has no form as a text"),
        (
            "\"${var.l}x\"",
            "error: a list(string) has no form as a text",
        ),
        ("<<EOT\na\n  b\nEOT\n", "\"a\\n  b\\n\""),
        (
            "<<-EOT\n    a\n      ${var.n}\n\n    c\n  EOT\n",
            "\"a\\n  3\\n\\nc\\n\"",
        ),
        (
            "<<-EOT\n    a ${1}\n  b ${2}\n    c\n  EOT\n",
            "\"  a 1\\nb 2\\n  c\\n\"",
        ),
        (
            "<<-EOT\n  %{ for x in var.l ~}\n  - ${x}\n  %{ endfor ~}\n  EOT\n",
            "\"  - a\\n  - b\\n\"",
        ),
        ("<<EOT\r\na\r\nEOT\r\n", "\"a\\n\""),
    ]);
}

#[test]
fn a_conditional_brings_both_branches_to_one_type() {
    table(&[
        ("true ? 1 : \"a\"", "\"1\""),
        ("false ? 1 : null", "null"),
        ("true ? [1] : [\"a\", \"b\"]", "[\"1\"]"),
        ("true ? 1 : var.l[9]", "1"),
        (
            "true ? 1 : [1]",
            "error: one branch is a number, the other a tuple",
        ),
        (
            "null ? 1 : 2",
            "error: a bool is required here, and this is null",
        ),
        ("true ? false ? 1 : 2 : 3", "2"),
    ]);
}

#[test]
fn an_object_key_may_be_an_expression_in_parentheses() {
    table(&[
        (
            "{(var.s) = 1, \"b c\" = 2, d : 3}",
            "{b c = 2, d = 3, secret = 1}",
        ),
        (
            "{var.s = 1}",
            "error: a key that is made by an expression needs parentheses",
        ),
        ("{\n  a = 1\n  b = 2\n}", "{a = 1, b = 2}"),
        ("{\"${var.s}-x\" = 1}", "{secret-x = 1}"),
        ("foo", "error: `foo` is not known here"),
    ]);
}

#[test]
fn what_would_exhaust_memory_or_time_is_refused() {
    table(&[
        (
            "range(100000000)",
            "error: `range`: it would have more than 65536 numbers",
        ),
        (
            "format(\"%99999999d\", 1)",
            "error: `format`: a width may be up to 65536",
        ),
        (
            "indent(1000000000, \"a\\nb\")",
            "error: `indent`: the text would be longer than 16 MiB",
        ),
        (
            "[for a in range(60000) : [for b in range(60000) : a]]",
            "error: the evaluation takes too many steps",
        ),
        ("can(regex(\"((a{1000}){1000}){1000}\", \"a\"))", "false"),
    ]);
}

#[test]
fn every_error_of_an_expression_is_told_at_once() {
    let expr = parse_expression("[1 / 0, nope(), var.missing]", "test").expect("parses");
    assert_eq!(
        evaluate(&expr, &scope()).expect_err("three things").len(),
        3
    );
}

#[test]
fn element_marks_stay_on_elements_and_shape_marks_go_to_the_result() {
    let secret = Value::from("x").marked(&Marks::sensitive());
    let origin = Marks::origin(std::sync::Arc::new(Address::managed("vm", "a")));
    let scope = Bindings::new()
        .with_variable("items", Value::tuple(vec!["a".into(), secret.clone()]))
        .with_variable("secret", secret)
        .with_variable(
            "vm",
            Value::object_of([("ip", "10.0.0.1".into())]).marked(&origin),
        );
    let value = |text: &str| {
        evaluate(&parse_expression(text, "test").expect("parses"), &scope).expect("has a value")
    };

    let made = value("[for x in var.items : upper(x)]");
    assert!(!made.marks().is_sensitive());
    assert!(!made.element(0).expect("first").marks().is_sensitive());
    assert!(made.element(1).expect("second").marks().is_sensitive());

    assert!(
        value("[for x in [1] : x if var.secret == \"y\"]")
            .marks()
            .is_sensitive()
    );
    assert!(value("var.secret == \"y\" ? 1 : 2").marks().is_sensitive());
    assert!(value("{(var.secret) = 1}").marks().is_sensitive());
    assert!(value("[1, 2][length(var.secret)]").marks().is_sensitive());
    assert!(value("try(tonumber(var.secret), 0)").marks().is_sensitive());
    assert!(value("can(tonumber(var.secret))").marks().is_sensitive());
    assert!(!value("nonsensitive(var.secret)").marks().is_sensitive());
    assert!(!value("length(var.items)").marks().is_sensitive());
    assert_eq!(value("\"ssh ${var.vm.ip}\"").marks(), &origin);
    assert_eq!(value("[for x in [var.vm] : x.ip][0]").marks(), &origin);
}

/// A scope that notes what it is asked for.
struct Noting {
    inner: Bindings,
    asked: RefCell<BTreeSet<Target>>,
}

impl Scope for Noting {
    fn lookup(&self, reference: &Reference) -> Result<Value, Diagnostics> {
        self.asked.borrow_mut().insert(reference.target.clone());
        self.inner.lookup(reference)
    }
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("\"k\"".to_owned()),
        Just("var.s".to_owned()),
        Just("var.n".to_owned()),
        Just("var.l".to_owned()),
        Just("var.m".to_owned()),
        Just("var.o".to_owned()),
        Just("var.u".to_owned()),
        Just("var.ua".to_owned()),
        Just("var.set".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        let names = prop_oneof![
            Just("upper"),
            Just("length"),
            Just("keys"),
            Just("values"),
            Just("jsonencode"),
            Just("tolist"),
            Just("toset"),
            Just("flatten"),
            Just("sort"),
            Just("tostring"),
            Just("one"),
            Just("sha256"),
            Just("yamlencode"),
            Just("distinct"),
            Just("alltrue"),
            Just("sum"),
            Just("reverse"),
            Just("compact"),
            Just("tomap"),
            Just("abs"),
            Just("can"),
        ];
        let names_two = prop_oneof![
            Just("concat"),
            Just("merge"),
            Just("lookup"),
            Just("element"),
            Just("contains"),
            Just("coalesce"),
            Just("join"),
            Just("zipmap"),
            Just("setunion"),
            Just("split"),
            Just("index"),
            Just("format"),
            Just("chunklist"),
            Just("try"),
            Just("setproduct"),
            Just("regexall"),
            Just("matchkeys"),
            Just("range"),
            Just("trimprefix"),
            Just("formatlist"),
        ];
        let operators = prop_oneof![
            Just("+"),
            Just("=="),
            Just("&&"),
            Just("||"),
            Just("<"),
            Just("*"),
            Just("!=")
        ];
        prop_oneof![
            (two.clone(), operators)
                .prop_map(|((a, b), operator)| format!("({a}) {operator} ({b})")),
            three.prop_map(|(a, b, c)| format!("{a} == {b} ? {c} : ({a})")),
            two.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            two.clone()
                .prop_map(|(a, b)| format!("{{a = {a}, (\"b${{{b}}}\") = 1}}")),
            two.clone()
                .prop_map(|(a, b)| format!("[for x in {a} : [x, {b}] if {b} != x]")),
            two.clone()
                .prop_map(|(a, b)| format!("{{for k, v in {a} : \"${{k}}\" => {b}}}")),
            inner.clone().prop_map(|a| format!("({a})[*].name")),
            two.clone().prop_map(|(a, b)| format!("({a})[{b}]")),
            inner.clone().prop_map(|a| format!("({a}).k")),
            inner
                .clone()
                .prop_map(|a| format!("\"x${{{a}}}%{{for y in {a}}}${{y}}%{{endfor}}\"")),
            (names, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (names_two, two).prop_map(|(name, (a, b))| format!("{name}({a}, {b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// What is looked up was announced: the graph would otherwise lack an edge.
    #[test]
    fn only_what_is_referred_to_is_looked_up(text in expression()) {
        let expr = parse_expression(&text, "test").expect("generated expressions parse");
        let scope = Noting { inner: scope(), asked: RefCell::default() };
        let _ = evaluate(&expr, &scope);
        let announced: BTreeSet<Target> = references(&expr).iter().map(|reference| reference.target.clone()).collect();
        prop_assert!(announced.is_superset(&scope.asked.borrow()));
    }

    /// If another secret gives another result, the result is marked.
    #[test]
    fn a_secret_that_influences_the_result_marks_it(text in expression()) {
        let expr = parse_expression(&text, "test").expect("generated expressions parse");
        let with = |secret: Value| evaluate(&expr, &scope().with_variable("s", secret.marked(&Marks::sensitive())));
        let results = [with("secret".into()), with("k".into()), with("".into())];
        for pair in results.windows(2) {
            if let [Ok(one), Ok(two)] = pair && one != two {
                prop_assert!(one.deep_marks().is_sensitive(), "{text} gives {} unmarked", shown(one));
            }
        }
    }

    /// The same for what is inside collections, and for what is not known yet.
    #[test]
    fn a_secret_element_that_influences_the_result_marks_it(text in expression()) {
        let expr = parse_expression(&text, "test").expect("generated expressions parse");
        let with = |secret: Value| {
            let secret = secret.marked(&Marks::sensitive());
            let list = Value::list(vec!["a".into(), secret.clone()]);
            let map = Value::map([("k".into(), secret.clone()), ("z".into(), "k".into())].into_iter().collect());
            evaluate(&expr, &scope().with_variable("l", list).with_variable("m", map))
        };
        let results = [with("a".into()), with("z".into()), with(Value::unknown(Type::String))];
        for pair in results.windows(2) {
            if let [Ok(one), Ok(two)] = pair && one != two {
                prop_assert!(one.deep_marks().is_sensitive(), "{text} gives {} unmarked", shown(one));
            }
        }
    }
}
