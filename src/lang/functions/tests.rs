//! Calls of the function table.

use std::sync::Arc;

use dmp_sdk::Value;

use crate::scope::{Bindings, FileError, Files};
use crate::{evaluate, function_names, parse_expression};

struct TwoFiles;

impl Files for TwoFiles {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, FileError> {
        match path {
            "a.txt" => Ok(Arc::from(*b"hello")),
            "all.tera" => Ok(Arc::from(
                *b"{{ n }} {{ n + 1 }} {{ big }} {{ f }}{% for x in xs %} {{ x }}{% endfor %}{% if m.on %} on{% endif %} <&>",
            )),
            "missing.tera" => Ok(Arc::from(*b"{{ missing }}")),
            "half.tera" => Ok(Arc::from(*b"{{ s / 2 }}")),
            "t.tpl" => Ok(Arc::from(
                *b"x = ${x}${missing_is_not_used ? \"!\" : \"?\"}",
            )),
            _ => Err(FileError::NotFound),
        }
    }

    fn exists(&self, path: &str) -> Result<bool, FileError> {
        Ok(path == "a.txt")
    }
}

/// The value as JSON, or the first error.
fn given(text: &str) -> String {
    let scope = Bindings::new().with_files(Box::new(TwoFiles));
    let outcome = parse_expression(text, "test").and_then(|expr| evaluate(&expr, &scope));
    match outcome {
        Ok(value) => super::encoding::json(&value).unwrap_or_else(|why| why),
        Err(failed) => format!("error: {}", failed[0].detail),
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
fn calls_are_checked_before_they_are_made() {
    table(&[
        ("uper(\"a\")", "error: there is no function `uper`"),
        ("upper()", "error: `upper(text)` takes one argument, not 0"),
        (
            "lookup({}, \"a\", 1, 2)",
            "error: `lookup(map, key, [default])` takes 2 to 3 arguments, not 4",
        ),
        (
            "max()",
            "error: `max(number, number…)` takes at least one argument, not 0",
        ),
        ("upper(null)", "error: `text` of `upper` may not be null"),
        (
            "abs(\"x\")",
            "error: `number` of `abs`: a number is required",
        ),
        ("max([3, 5]...)", "5"),
        (
            "upper([1])",
            "error: `text` of `upper`: a string is required, not a tuple",
        ),
        ("core::upper(\"a\")", "\"A\""),
    ]);
    assert!(function_names().len() > 90, "{}", function_names().len());
}

#[test]
fn numbers() {
    table(&[
        (
            "[abs(-2), ceil(1.2), floor(-1.2), signum(-3), pow(2, 10), pow(4, 0.5), log(8, 2)]",
            "[2,2,-2,-1,1024,2,3]",
        ),
        ("[min(3, 1, 2), max(3, 1, 2), sum([1, 2.5])]", "[1,3,3.5]"),
        (
            "[parseint(\"ff\", 16), parseint(\"-101\", 2), parseint(\"z\", 36)]",
            "[255,-5,35]",
        ),
        (
            "parseint(\"12\", 2)",
            "error: `parseint`: the text is not a whole number in base 2",
        ),
    ]);
}

#[test]
fn texts() {
    table(&[
        (
            "[upper(\"a\"), lower(\"B\"), title(\"hello world\"), strrev(\"abc\"), chomp(\"a\\n\\r\\n\")]",
            r#"["A","b","Hello World","cba","a"]"#,
        ),
        (
            "[trim(\"?!a!\", \"!?\"), trimspace(\" a \"), trimprefix(\"abc\", \"ab\"), trimsuffix(\"abc\", \"bc\")]",
            r#"["a","a","c","a"]"#,
        ),
        (
            "[substr(\"hello\", 1, 3), substr(\"hello\", -2, -1), substr(\"é\", 0, 1)]",
            r#"["ell","lo","é"]"#,
        ),
        (
            "[startswith(\"ab\", \"a\"), endswith(\"ab\", \"a\"), strcontains(\"abc\", \"b\")]",
            "[true,false,true]",
        ),
        (
            "[join(\",\", [\"a\", 1], [true]), split(\",\", \"a,b\"), split(\",\", \"\")]",
            r#"["a,1,true",["a","b"],[""]]"#,
        ),
        ("indent(2, \"a\\nb\")", r#""a\n  b""#),
        (
            "[replace(\"a-b\", \"-\", \"+\"), replace(\"ab12\", \"/([a-z]+)([0-9]+)/\", \"$2$1\")]",
            r#"["a+b","12ab"]"#,
        ),
        (
            "[regex(\"[a-z]+\", \"1ab\"), regex(\"(\\\\d)(x)?\", \"5\"), regex(\"(?P<y>\\\\d+)\", \"2024\")]",
            r#"["ab",["5",null],{"y":"2024"}]"#,
        ),
        (
            "regex(\"x\", \"y\")",
            "error: `regex`: the pattern does not match the text",
        ),
        ("regexall(\"[a-z]\", \"a1b\")", r#"["a","b"]"#),
        ("length(\"größe\")", "5"),
    ]);
}

#[test]
fn formats() {
    table(&[
        (
            "format(\"%s-%03d-%5.2f|%-4s|%q\", \"a\", 7, 3.14159, \"x\", \"y\")",
            r#""a-007- 3.14|x   |\"y\"""#,
        ),
        (
            "format(\"%v %v %v\", [1], null, true)",
            r#""[1] null true""#,
        ),
        (
            "format(\"%x %X %o %b %#x %+d %t %%\", 255, 255, 8, 5, 16, 3, true)",
            r#""ff FF 10 101 0x10 +3 true %""#,
        ),
        ("format(\"%[2]s %[1]s\", \"a\", \"b\")", r#""b a""#),
        (
            "format(\"%e %g\", 12345.678, 0.00001)",
            r#""1.234568e+04 1e-05""#,
        ),
        (
            "format(\"%d\", \"x\")",
            "error: `format`: a number is required",
        ),
        (
            "format(\"%s\")",
            "error: `format`: `%s` has no argument: there are 0",
        ),
        (
            "format(\"a\", 1)",
            "error: `format`: there are 1 arguments, and the format uses 0",
        ),
        (
            "formatlist(\"%s.%s\", [\"a\", \"b\"], \"x\")",
            r#"["a.x","b.x"]"#,
        ),
    ]);
}

#[test]
fn collections() {
    table(&[
        (
            "[concat([1], [\"a\"]), flatten([[1, [2]], [], 3]), reverse([1, 2]), slice([1, 2, 3], 1, 3)]",
            r#"[[1,"a"],[1,2,3],[2,1],[2,3]]"#,
        ),
        (
            "[contains([\"a\"], \"a\"), index([1, 2], 2), distinct([1, 1, 2]), element([1, 2], 3), element([1, 2], -1)]",
            "[true,1,[1,2],2,2]",
        ),
        (
            "[keys({b = 1, a = 2}), values({b = 1, a = 2}), lookup({a = 1}, \"b\", 0), merge({a = 1}, null, {b = 2, a = 3})]",
            r#"[["a","b"],[2,1],0,{"a":3,"b":2}]"#,
        ),
        (
            "[range(3), range(1, 4), range(4, 0, -2), range(0)]",
            "[[0,1,2],[1,2,3],[4,2],[]]",
        ),
        (
            "[sort([\"b\", \"a\"]), compact([\"a\", \"\", null]), chunklist([1, 2, 3], 2), zipmap([\"a\"], [1])]",
            r#"[["a","b"],["a"],[[1,2],[3]],{"a":1}]"#,
        ),
        (
            "[coalesce(null, \"\", \"x\"), coalesce(null, 0), coalescelist([], [1]), one([]), one([5])]",
            r#"["x",0,[1],null,5]"#,
        ),
        (
            "[alltrue([]), alltrue([true, false]), anytrue([]), anytrue([false, \"true\"])]",
            "[true,false,false,true]",
        ),
        (
            "[setunion([\"a\"], [\"b\", \"a\"]), setintersection([1, 2], [2]), setsubtract([1, 2], [2])]",
            r#"[["a","b"],[2],[1]]"#,
        ),
        (
            "setproduct([\"a\", \"b\"], [1, 2])",
            r#"[["a",1],["a",2],["b",1],["b",2]]"#,
        ),
        (
            "[matchkeys([\"x\", \"y\"], [\"a\", \"b\"], [\"b\"]), transpose({a = [\"x\", \"y\"]})]",
            r#"[["y"],{"x":["a"],"y":["a"]}]"#,
        ),
        (
            "one([1, 2])",
            "error: `one`: there must be one element or none, not 2",
        ),
        (
            "[length([1]), length({a = 1}), length(toset([1, 1]))]",
            "[1,1,1]",
        ),
    ]);
}

#[test]
fn conversions_and_control() {
    table(&[
        (
            "[tolist([1, \"a\"]), toset([\"b\", \"a\", \"b\"]), tomap({a = 1}), tostring(1), tonumber(\"2\"), tobool(\"true\")]",
            r#"[["1","a"],["a","b"],{"a":1},"1",2,true]"#,
        ),
        (
            "tolist([1, [2]])",
            "error: `tolist`: the elements have no type in common",
        ),
        (
            "[try(nope.x.y, 1), try([][0], \"a\"), can(tonumber(\"x\")), can(1)]",
            r#"[1,"a",false,true]"#,
        ),
        (
            "[issensitive(sensitive(1)), issensitive(nonsensitive(sensitive(1))), type([1, \"a\"])]",
            r#"[true,false,"tuple([number, string])"]"#,
        ),
    ]);
}

#[test]
fn encodings() {
    table(&[
        (
            "jsonencode({b = [1, null], a = \"<é>\"})",
            r#""{\"a\":\"\\u003cé\\u003e\",\"b\":[1,null]}""#,
        ),
        (
            "jsondecode(\"{\\\"a\\\": [1.50, 12345678901234567890]}\")",
            r#"{"a":[1.5,12345678901234567890]}"#,
        ),
        (
            "jsondecode(\"{\")",
            "error: `jsondecode`: the text is not JSON: line 1, column 1",
        ),
        (
            "yamlencode({a = \"b\", c = [1, {d = true, e = []}], f = {g = null}, h = \"x\\ny\\n\"})",
            r#""\"a\": \"b\"\n\"c\":\n- 1\n- \"d\": true\n  \"e\": []\n\"f\":\n  \"g\": null\n\"h\": |\n  x\n  y\n""#,
        ),
        (
            "yamldecode(yamlencode({a = [{b = [[1], {}]}], c = \"x\\n  y\\n\\nz\"}))",
            r#"{"a":[{"b":[[1],{}]}],"c":"x\n  y\n\nz"}"#,
        ),
        (
            "yamldecode(\"a: 1\\nb: [x, 1.5, true, ~]\")",
            r#"{"a":1,"b":["x",1.5,true,null]}"#,
        ),
        (
            "[base64encode(\"hi\"), base64decode(\"aGk=\"), urlencode(\"a b/ü\")]",
            r#"["aGk=","hi","a+b%2F%C3%BC"]"#,
        ),
        (
            "[md5(\"a\"), sha1(\"a\")]",
            r#"["0cc175b9c0f1b6a831c399e269772661","86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"]"#,
        ),
        (
            "sha256(\"\")",
            r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
        ),
    ]);
}

#[test]
fn networks() {
    table(&[
        (
            "[cidrhost(\"10.0.0.0/16\", 258), cidrhost(\"10.0.0.0/24\", -2), cidrhost(\"fd00::/64\", 34)]",
            r#"["10.0.1.2","10.0.0.254","fd00::22"]"#,
        ),
        (
            "[cidrnetmask(\"172.16.0.0/12\"), cidrsubnet(\"172.16.0.0/12\", 4, 2), cidrsubnet(\"fd00::/48\", 16, 10)]",
            r#"["255.240.0.0","172.18.0.0/16","fd00:0:0:a::/64"]"#,
        ),
        (
            "cidrsubnets(\"10.1.0.0/16\", 4, 4, 8, 4)",
            r#"["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]"#,
        ),
        (
            "cidrhost(\"10.0.0.0/30\", 4)",
            "error: `cidrhost`: the network has no such address",
        ),
        (
            "cidrhost(\"10.0.0.0\", 4)",
            "error: `cidrhost`: an address with a prefix length is required",
        ),
    ]);
}

#[test]
fn files() {
    table(&[
        (
            "[file(\"a.txt\"), filebase64(\"a.txt\"), fileexists(\"a.txt\"), fileexists(\"b\")]",
            r#"["hello","aGVsbG8=",true,false]"#,
        ),
        (
            "file(\"b\")",
            "error: `file`: `b` can't be read: there is no such file",
        ),
        (
            "templatefile(\"t.tpl\", {x = 1, missing_is_not_used = true})",
            r#""x = 1!""#,
        ),
        (
            "templatefile(\"t.tpl\", {x = 1})",
            "error: `missing_is_not_used` is not known here",
        ),
        (
            "[basename(\"a/b/c.txt\"), dirname(\"a/b/c.txt\"), dirname(\"c\"), dirname(\"/c\")]",
            r#"["c.txt","a/b",".","/"]"#,
        ),
    ]);
}

#[test]
fn a_template_carries_the_marks_of_its_variables() {
    let scope = Bindings::new().with_files(Box::new(TwoFiles));
    let expr = parse_expression(
        "templatefile(\"t.tpl\", {x = sensitive(1), missing_is_not_used = true})",
        "t",
    )
    .expect("parses");
    let value = evaluate(&expr, &scope).expect("renders");
    assert!(value.marks().is_sensitive());
    assert_eq!(value, Value::from("x = 1!"));
}

/// The files that examples read.
struct ExampleFiles;

impl Files for ExampleFiles {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, FileError> {
        match path {
            "hello.txt" => Ok(Arc::from(*b"hello\n")),
            "hello.tftpl" => Ok(Arc::from(*b"Hello, ${name}!\n")),
            "hello.tera" => Ok(Arc::from(*b"Hello, {{ name }}!\n")),
            _ => Err(FileError::NotFound),
        }
    }

    fn exists(&self, path: &str) -> Result<bool, FileError> {
        Ok(path == "hello.txt")
    }

    fn below(&self, _: &str) -> Result<Vec<String>, FileError> {
        Ok(vec!["hello.txt".into(), "sub/hello.tftpl".into()])
    }
}

#[test]
fn the_reference_has_every_function_with_an_example_that_is_true() {
    let entries = || {
        super::reference::FAMILIES
            .iter()
            .flat_map(|(_, entries)| *entries)
    };
    let mut named: Vec<&str> = entries().map(|entry| entry.name).collect();
    named.sort_unstable();
    assert_eq!(named, function_names());
    let scope = Bindings::new().with_files(Box::new(ExampleFiles));
    for entry in entries() {
        let expr = parse_expression(entry.example, "example").expect(entry.example);
        let value = evaluate(&expr, &scope).expect(entry.example);
        let value = dmp_sdk::codec::to_json(&value.deep_unmarked()).expect(entry.example);
        let wanted: serde_json::Value = serde_json::from_str(entry.gives).expect(entry.gives);
        assert_eq!(value, wanted, "{}", entry.example);
    }
}

#[test]
fn a_template_of_tera_sees_plain_values_and_tells_no_secret() {
    table(&[
        (
            "templatetera(\"all.tera\", {n = 5, big = 123456789012345678901234567890, f = 0.1, xs = [\"a\", 1], m = {on = true}})",
            r#""5 6 123456789012345678901234567890 0.1 a 1 on \u003c\u0026\u003e""#,
        ),
        ("can(templatetera(\"missing.tera\", {}))", "false"),
        (
            "templatetera(\"half.tera\", {s = sensitive(\"hunter2\")})",
            "error: `templatetera`: a sensitive argument is not usable",
        ),
        (
            "issensitive(templatetera(\"half.tera\", {s = sensitive(4)}))",
            "true",
        ),
        (
            "templatetera(\"nope\", {})",
            "error: `templatetera`: `nope` can't be read: there is no such file",
        ),
    ]);
}
