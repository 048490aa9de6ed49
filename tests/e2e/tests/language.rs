//! The language against what OpenTofu makes of the same expressions, as the live suite `language` has recorded it; and
//! what only a run shows of it.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use dmp_testkit::language;
use support::Sandbox;

#[test]
fn expressions_mean_what_they_mean_in_opentofu() {
    let expressions = language::expressions();
    let recorded = language::recorded();
    assert_eq!(
        expressions.len(),
        recorded.len(),
        "`DMP_LIVE_RECORD=1 cargo xtask live language` records answers to new expressions"
    );
    let dmp = language::ask_dmp(Path::new(env!("CARGO_BIN_EXE_dmp-e2e")), &expressions);
    let faults = language::faults(&expressions, &recorded, &dmp);
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        expressions.len(),
        faults.join("\n")
    );
}

#[test]
fn what_differs_on_purpose_is_explained_and_tried() {
    let tried: Vec<String> = language::differences(&language::expressions())
        .into_keys()
        .collect();
    let explained: Vec<String> = language::explained().into_iter().collect();
    assert_eq!(tried, explained);
}

#[test]
fn bad_input_is_an_error_and_no_crash() {
    let many = |text: &str| text.repeat(100_000);
    let expressions = [
        many("["),
        format!("{}1{}", many("("), many(")")),
        format!("{}true", many("!")),
        format!("1{}", many("+1")),
        format!("a{}", many("[0]")),
        format!("{}1", many("true ? ")),
        many("upper("),
        many("\"${"),
        "1e999999999".to_owned(),
        "1e9999 * 1e9999".to_owned(),
        "1 / 0".to_owned(),
        "1 % 0".to_owned(),
        "range(1e9)".to_owned(),
        "range(0, 1, 1e-9999)".to_owned(),
        "format(\"%999999999d\", 1)".to_owned(),
        "format(\"%.999999999f\", 1)".to_owned(),
        "indent(1e18, \"a\\nb\")".to_owned(),
        "pow(1e300, 1e300)".to_owned(),
        format!("parseint(\"{}\", 10)", many("9")),
        format!("tonumber(\"{}\")", many("9")),
        format!("jsondecode(\"{}\")", many("[")),
        format!("yamldecode(\"{}\")", many("[")),
        format!("yamldecode(\"{}\")", many("- ")),
        "yamldecode(\"a: &a [*a]\")".to_owned(),
        "regex(\"((a{1000}){1000}){1000}\", \"a\")".to_owned(),
        format!("regex(\"{}\", \"a\")", many("(")),
        format!("fileset(\".\", \"{}\")", many("{")),
        "file(\"/dev/zero\")".to_owned(),
        "setproduct(range(60000), range(60000), range(60000))".to_owned(),
        "timeadd(\"9999-12-31T23:59:59Z\", \"9999h\")".to_owned(),
        "templatefile(\"endless\", {})".to_owned(),
        "templatetera(\"slow\", {})".to_owned(),
        "templatetera(\"growing\", {})".to_owned(),
        "templatetera(\"multiplied\", {})".to_owned(),
        "templatetera(\"deep\", {})".to_owned(),
        "templatetera(\"itself\", {})".to_owned(),
    ];
    let sandbox = Sandbox::stack("");
    sandbox.write("endless", "${templatefile(\"endless\", {})}");
    let turns = "{% for a in range(end=100000) %}";
    let ends = "{% endfor %}{% endfor %}{% endfor %}";
    sandbox.write("slow", &format!("{turns}{turns}{turns}{ends}"));
    let doubled = "{% set_global x = x ~ x %}{% endfor %}";
    sandbox.write("growing", &format!("{{% set x = \"x\" %}}{turns}{doubled}"));
    let text = format!("{{% set x %}}{turns}aa{{% endfor %}}{{% endset %}}");
    let multiplied = "{{ x | replace(from=\"a\", to=x) }}";
    sandbox.write("multiplied", &format!("{text}{multiplied}"));
    sandbox.write("deep", &format!("{{{{ {}1 }}}}", many("(")));
    sandbox.write("itself", "{% include \"itself\" %}");
    let mut child = sandbox
        .command(&["console", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("is piped");
    let lines = expressions.join("\n");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("ends");
    writer.join().expect("ends").expect("is read");
    assert_eq!(output.status.code(), Some(1));
    let answers = String::from_utf8(output.stdout).expect("is text");
    assert_eq!(answers.lines().count(), expressions.len());
    for (expression, answer) in expressions.iter().zip(answers.lines()) {
        let start: String = expression.chars().take(60).collect();
        assert!(
            answer.starts_with("{\"diagnostics\":[{"),
            "{start}: {answer}"
        );
    }
}

#[test]
fn what_is_made_by_chance_is_known_once_it_is_applied() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
locals { id = uuid() }
resource "test_entry" "a" {
  key  = "a"
  text = "${local.id} ${local.id} ${uuid()} ${timestamp()} ${bcrypt("secret", 4)}"
}
resource "test_entry" "b" {
  count = 2
  key   = "b-${count.index}"
  text  = uuid()
}
"#,
    );
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("(known after apply)");
    sandbox.run(&["apply", "--yes"]).expect_success();
    let state = sandbox.look();
    let text = |key: &str| state.entries[key].text.clone();
    let made = text("a");
    let parts: Vec<&str> = made.split(' ').collect();
    assert_eq!(parts[0], parts[1], "a local value is one value");
    assert_ne!(parts[0], parts[2]);
    assert!(
        parts[0].len() == 36 && parts[0].as_bytes()[14] == b'4',
        "{made}"
    );
    assert!(
        parts[3].starts_with("20") && parts[3].ends_with('Z'),
        "{made}"
    );
    assert!(
        parts[4].starts_with("$2a$04$") && parts[4].len() == 60,
        "{made}"
    );
    assert_ne!(text("b-0"), text("b-1"));
}

#[test]
fn a_saved_plan_keeps_its_moment() {
    let sandbox = Sandbox::stack(
        r#"
provider "test" { cloud = "CLOUD" }
resource "test_entry" "a" {
  key  = "a"
  text = plantimestamp()
}
"#,
    );
    sandbox.run(&["plan", "--out", "kept"]).expect_success();
    std::thread::sleep(Duration::from_millis(1100));
    let shown = sandbox.run(&["show", "kept"]).expect_success();
    sandbox.run(&["apply", "kept"]).expect_success();
    let text = sandbox.look().entries["a"].text.clone();
    assert!(shown.out.contains(&text), "{text} in\n{}", shown.out);
}

#[test]
fn files_are_found_from_the_stack_wherever_dmp_is_started() {
    let sandbox = Sandbox::stack(
        r#"
module "inner" { source = "./inner" }
output "inner" { value = module.inner.text }
output "own" { value = "${file("own.txt")} ${file("${path.module}/own.txt")} ${file("${path.root}/own.txt")}" }
"#,
    );
    sandbox.write("own.txt", "own");
    std::fs::create_dir(sandbox.stack_folder().join("inner")).expect("a folder");
    sandbox.write(
        "inner/main.hcl",
        r#"output "text" { value = file("${path.module}/inner.txt") }"#,
    );
    sandbox.write("inner/inner.txt", "inside");
    let given = |words: &[&str], folder: &Path| {
        let output = sandbox
            .command(words)
            .current_dir(folder)
            .output()
            .expect("starts");
        String::from_utf8(output.stdout).expect("is text")
    };
    let words = [
        "console",
        "--eval",
        "[module.inner.text, file(\"own.txt\")]",
    ];
    let wanted = "[\"inside\", \"own\"]\n";
    assert_eq!(given(&words, &sandbox.stack_folder()), wanted);
    let from_above = [["--chdir", "stack"].as_slice(), words.as_slice()].concat();
    assert_eq!(given(&from_above, sandbox.path()), wanted);
}

#[test]
fn an_output_is_printed_with_every_character_it_has() {
    let sandbox = Sandbox::stack(r#"output "text" { value = "a\u001b[1mb\u007f" }"#);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let raw = sandbox.run(&["output", "--raw", "text"]).expect_success();
    assert_eq!(raw.out, "a\u{1b}[1mb\u{7f}");
    let json = sandbox.run(&["output", "--json", "text"]).expect_success();
    assert_eq!(json.out, "\"a\\u001b[1mb\u{7f}\"\n");
}

#[test]
fn a_file_that_nobody_has_written_by_hand_is_refused_before_it_is_read() {
    let sandbox = Sandbox::stack("");
    let line = "# nothing but a comment, again and again, until the file is far too large\n";
    sandbox.write("huge.hcl", &line.repeat(50_000_000 / line.len()));
    sandbox
        .run(&["validate"])
        .expect_code(1)
        .says("`huge.hcl`: it is larger than 16777216 bytes");
}

#[test]
fn what_a_template_of_tera_counts_is_not_in_its_text() {
    let sandbox = Sandbox::stack(
        "output \"text\" {\n  value = templatetera(\"t\", { names = [\"a\", \"b\"] })\n}\n",
    );
    let text = "{% for name in names -%}\n  {% set line = name ~ \"!\" -%}\n  {{ line }}\n{% endfor -%}\n|{{ names | join(sep=\", \") }}\n";
    sandbox.write("t", text);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let raw = sandbox.run(&["output", "--raw", "text"]).expect_success();
    assert_eq!(raw.out, "a!\nb!\n|a, b\n");
}
