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

/// `LIST`: of one or two; `MAP`: of one or two; `SET`: of two or three.
fn within_bounds(cases: &[(&str, &str)]) {
    const LIST: &str = "(var.un > 1 ? tolist([\"a\"]) : tolist([\"b\", \"c\"]))";
    const MAP: &str = "(var.un > 1 ? tomap({a = 1}) : tomap({b = 2, c = 3}))";
    const SET: &str = "toset([\"a\", \"b\", var.u])";
    let written: Vec<String> = cases
        .iter()
        .map(|(text, _)| {
            text.replace("LIST", LIST)
                .replace("MAP", MAP)
                .replace("SET", SET)
        })
        .collect();
    let wanted = cases.iter().map(|(_, wanted)| *wanted);
    let cases: Vec<(&str, &str)> = written.iter().map(String::as_str).zip(wanted).collect();
    table(&cases);
}

#[test]
fn bounds_decide_comparisons_and_what_they_leave_open_stays_open() {
    within_bounds(&[
        ("length(LIST)", "<number>"),
        ("length(LIST) == 0", "false"),
        ("length(LIST) != 3", "true"),
        ("length(LIST) == 2", "<bool>"),
        ("length(LIST) >= 1", "true"),
        ("length(LIST) > 1", "<bool>"),
        ("length(LIST) < 1", "false"),
        ("length(LIST) <= 2", "true"),
        ("-1 < length(LIST)", "true"),
        ("length(LIST) + 1", "<number>"),
        ("length(LIST) == length(tolist([1, 2, 3]))", "false"),
        ("length(LIST) < length([1, 2, 3])", "true"),
        ("(LIST) == tolist([])", "false"),
        ("(LIST) == tolist([\"a\", \"b\", \"c\"])", "false"),
        ("(LIST) == tolist([\"a\"])", "<bool>"),
        ("(MAP) == tomap({})", "false"),
        ("(SET) == toset([])", "false"),
        ("(SET) == toset([\"a\", \"b\", \"c\", \"d\"])", "false"),
        ("(SET) == toset([\"a\", \"b\"])", "<bool>"),
        ("toset([var.u]) == toset([\"a\", \"b\"])", "false"),
        ("length(toset([var.u]))", "1"),
        ("length(SET) > 3", "false"),
        ("var.ul == tolist([])", "<bool>"),
        ("length(var.ul) >= 0", "<bool>"),
        ("length(LIST) > 0 ? \"some\" : \"none\"", "\"some\""),
    ]);
}

#[test]
fn bounds_go_through_what_is_made_of_a_collection() {
    within_bounds(&[
        ("tolist(SET)", "<list(string)>"),
        ("length(tolist(SET)) > 3", "false"),
        ("length(toset(LIST)) == 0", "false"),
        ("length((LIST)[*]) > 2", "false"),
        ("length(concat(LIST, tolist([\"x\"]))) == 1", "false"),
        ("length(concat(LIST, LIST)) > 4", "false"),
        ("length(concat(LIST, var.ul)) == 0", "false"),
        ("length(concat(LIST, var.ul)) > 9", "<bool>"),
        ("length(concat(LIST, var.ul...)) > 1", "<bool>"),
        ("length(slice(LIST, 0, 1))", "1"),
        ("length(slice(LIST, 0, 2))", "<number>"),
        ("length(reverse(LIST)) > 2", "false"),
        ("length(sort(LIST)) > 2", "false"),
        ("length(distinct(LIST)) == 0", "false"),
        ("length(distinct(LIST)) > 2", "false"),
        ("length(compact(LIST)) > 2", "false"),
        ("length(compact(LIST)) == 0", "<bool>"),
        ("length(keys(MAP)) > 2", "false"),
        ("length(values(MAP)) == 0", "false"),
        ("length(setunion(LIST, [\"x\", \"y\"])) > 4", "false"),
        ("length(setunion(LIST, [\"x\", \"y\"])) == 0", "false"),
        ("length(setintersection(var.ul, [\"x\"])) > 1", "false"),
        ("length(setsubtract(LIST, var.ul)) > 2", "false"),
        ("length(setsubtract(LIST, var.ul)) > 0", "<bool>"),
        ("length(setproduct(LIST, [1, 2])) < 2", "false"),
        ("length(setproduct(LIST, [1, 2])) > 4", "false"),
        ("length(setproduct(SET, LIST)) > 6", "false"),
        ("length(coalesce(LIST, var.ul)) > 2", "<bool>"),
    ]);
}

#[test]
fn what_has_a_known_length_is_known_but_for_its_elements() {
    table(&[
        ("var.un > 1 ? tolist([1]) : tolist([2])", "[<number>]"),
        ("var.un > 1 ? toset([1]) : toset([2])", "set(<number>)"),
        (
            "var.un > 1 ? toset([1, 2]) : toset([2, 3])",
            "<set(number)>",
        ),
        ("var.un > 1 ? tomap({}) : tomap({})", "{}"),
        (
            "var.un > 1 ? tomap({a = 1}) : tomap({b = 2})",
            "<map(number)>",
        ),
        ("length(var.un > 1 ? tomap({a = 1}) : tomap({b = 2}))", "1"),
        ("var.un > 1 ? tolist([1]) : null", "<list(number)>"),
        ("length(var.un > 1 ? tolist([1]) : null)", "<number>"),
        ("(var.un > 1 ? tolist([1]) : null) == tolist([])", "false"),
        (
            "[for x in var.un > 1 ? tolist([1]) : tolist([2]) : x == \"a\"]",
            "[false]",
        ),
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

    /// What is known of a value that is not known yet holds for each that it may become.
    #[test]
    fn what_is_known_of_the_unknown_holds_for_what_it_becomes(
        text in about_lengths(),
        list in proptest::collection::vec("[ab]?", 0..4),
        texts in ("[ab]", "[ab]"),
        size in 0..4_i64,
    ) {
        let expr = parse_expression(&text, "test").expect("generated expressions parse");
        let scope = |list: Value, texts: [Value; 2], size: Value| {
            let [one, two] = texts;
            Bindings::new()
                .with_variable("ul", list)
                .with_variable("u", one)
                .with_variable("v", two)
                .with_variable("un", size)
        };
        let unknown = || Value::unknown(Type::String);
        let before = scope(
            Value::unknown(Type::list(Type::String)),
            [unknown(), unknown()],
            Value::unknown(Type::Number),
        );
        let after = scope(
            Value::list(list.iter().map(|text| text.as_str().into()).collect()),
            [texts.0.as_str().into(), texts.1.as_str().into()],
            size.into(),
        );
        let (planned, found) = (evaluate(&expr, &before), evaluate(&expr, &after));
        // What is wrong in the branch that is not taken is only wrong before.
        if let (Ok(planned), Ok(found)) = (planned, found) {
            prop_assert!(
                may_become(&planned, &found),
                "{text}: planned {planned:?}, found {}",
                shown(&found)
            );
        }
    }
}

/// Whether a value that may not be known can turn out to be another.
fn may_become(planned: &Value, found: &Value) -> bool {
    let Kind::Unknown(unknown) = planned.kind() else {
        return match (planned.kind(), found.kind()) {
            // Elements move about in a set, once they are known.
            (Kind::Set(_), Kind::Set(items)) if !planned.is_wholly_known() => {
                let bounds = planned.length_bounds().expect("it is a set");
                is_within(items.len(), bounds)
            }
            (Kind::List(one), Kind::List(two)) | (Kind::Tuple(one), Kind::Tuple(two)) => {
                one.len() == two.len() && one.iter().zip(two.iter()).all(|(a, b)| may_become(a, b))
            }
            (Kind::Map(one), Kind::Map(two)) => {
                one.keys().eq(two.keys())
                    && one
                        .values()
                        .zip(two.values())
                        .all(|(a, b)| may_become(a, b))
            }
            _ => planned == found,
        };
    };
    let Some(bounds) = unknown.bounds else {
        return !(unknown.not_null && found.is_null());
    };
    let count = match found.kind() {
        Kind::Null => return !unknown.not_null,
        Kind::Number(_) => found.as_i64().and_then(|count| usize::try_from(count).ok()),
        _ => found.length_bounds().and_then(dmp_sdk::Bounds::exact),
    };
    count.is_some_and(|count| is_within(count, bounds))
}

fn is_within(count: usize, bounds: dmp_sdk::Bounds) -> bool {
    count >= bounds.least && bounds.most.is_none_or(|most| count <= most)
}

/// Collections of texts of which little is known, and what can be asked of them.
fn about_lengths() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("var.ul".to_owned()),
        Just("tolist([])".to_owned()),
        Just("tolist([\"a\", \"b\"])".to_owned()),
        Just("tolist([var.u])".to_owned()),
        Just("toset([\"a\", var.u])".to_owned()),
        Just("toset([var.u, var.v])".to_owned()),
        Just("toset([\"a\", \"c\", var.u])".to_owned()),
        Just("tolist(toset([var.u, var.v, \"a\"]))".to_owned()),
        Just("keys(var.un > 1 ? tomap({a = 1}) : tomap({b = 2, c = 3}))".to_owned()),
        Just("values(var.un > 1 ? tomap({a = \"x\"}) : tomap({b = \"y\", c = \"x\"}))".to_owned()),
    ];
    let collection = leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let one = prop_oneof![
            Just("tolist"),
            Just("toset"),
            Just("sort"),
            Just("distinct"),
            Just("reverse"),
            Just("compact"),
        ];
        let of_two = prop_oneof![
            Just("setunion"),
            Just("setsubtract"),
            Just("setintersection")
        ];
        prop_oneof![
            (one, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (of_two, two.clone()).prop_map(|(name, (a, b))| format!("{name}({a}, {b})")),
            two.clone()
                .prop_map(|(a, b)| format!("concat(tolist({a}), tolist({b}))")),
            (inner.clone(), 0..3_u8, 0..4_u8)
                .prop_map(|(a, start, end)| format!("slice(tolist({a}), {start}, {end})")),
            inner.clone().prop_map(|a| format!("tolist({a})[*]")),
            (inner.clone(), inner.clone(), 0..3_u8)
                .prop_map(|(a, b, n)| format!("(var.un > {n} ? tolist({a}) : tolist({b}))")),
            (inner.clone(), inner, 0..3_u8)
                .prop_map(|(a, b, n)| format!("(var.un > {n} ? toset({a}) : toset({b}))")),
        ]
    });
    let operators = prop_oneof![
        Just("=="),
        Just("!="),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    let pair = (collection.clone(), collection.clone());
    prop_oneof![
        collection.clone(),
        collection.clone().prop_map(|a| format!("length({a})")),
        (collection.clone(), operators.clone(), 0..5_u8)
            .prop_map(|(a, operator, n)| format!("length({a}) {operator} {n}")),
        (pair.clone(), operators)
            .prop_map(|((a, b), operator)| format!("length({a}) {operator} length({b})")),
        pair.clone()
            .prop_map(|(a, b)| format!("tolist({a}) == tolist({b})")),
        pair.clone()
            .prop_map(|(a, b)| format!("toset({a}) == toset({b})")),
        pair.clone()
            .prop_map(|(a, b)| format!("length(setproduct({a}, {b}))")),
        pair.prop_map(|(a, b)| format!("length(merge(zipmap(sort({a}), sort({b})), {{}}))")),
    ]
}
