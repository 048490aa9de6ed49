//! Bodies against a schema.

use dmp_sdk::schema::Attribute;

use super::*;
use crate::parse::parse_file;
use crate::scope::Bindings;

fn schema() -> Schema {
    let disk = Type::Object(
        [("size", Type::Number, false), ("bus", Type::String, true)]
            .into_iter()
            .map(|(name, ty, optional)| {
                let member = Member {
                    ty,
                    optional,
                    default: None,
                };
                (Arc::from(name), member)
            })
            .collect(),
    );
    Schema::new("vm", "A machine.")
        .attribute("name", Attribute::required(Type::String, "Name."))
        .attribute("cores", Attribute::optional(Type::Number, "Cores."))
        .attribute(
            "password",
            Attribute::optional(Type::String, "Secret.").sensitive(),
        )
        .attribute(
            "tags",
            Attribute::optional(Type::map(Type::String), "Tags."),
        )
        .attribute(
            "disk",
            Attribute::optional(Type::list(disk), "Disks.").block(),
        )
        .attribute("id", Attribute::computed(Type::String, "Id."))
}

fn decoded(text: &str) -> Decoded {
    let (body, failed) = parse_file(text, "vm.hcl");
    assert!(failed.is_empty(), "{failed:?}");
    decode(&body, &schema(), &Bindings::new())
}

fn messages(decoded: &Decoded) -> Vec<String> {
    decoded
        .diagnostics
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_body_becomes_an_object_of_every_attribute_with_the_paths_that_were_set() {
    let decoded = decoded(
        "name = \"a\"\ncores = \"4\"\npassword = \"x\"\ntags = { a = 1 }\ndisk {\n  size = 8\n}\n",
    );
    assert_eq!(messages(&decoded), Vec::<String>::new());
    assert_eq!(decoded.value.get("cores"), 4.into());
    assert_eq!(decoded.value.get("id"), Value::null());
    assert!(decoded.value.get("password").marks().is_sensitive());
    let paths: Vec<String> = decoded.set_paths.iter().map(ToString::to_string).collect();
    assert_eq!(
        paths,
        [
            "cores",
            "disk",
            "disk[0]",
            "disk[0].size",
            "name",
            "password",
            "tags",
            "tags.a"
        ]
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let decoded = decoded("corse = 4\nid = \"x\"\ndisk {\n  siez = 1\n}\ntags = [1]\n");
    assert_eq!(
        messages(&decoded),
        [
            "unknown argument: `disk` has no argument `siez`",
            "missing argument: `size` of `disk` must be set",
            "attribute can't be set: `id` of `vm` is filled by the provider",
            "missing argument: `name` of `vm` must be set",
            "value has the wrong type: `tags`: a map(string) is required, not a tuple",
            "unknown argument: `vm` has no argument `corse`",
        ]
    );
    assert_eq!(decoded.diagnostics[5].help, ["did you mean `cores`?"]);
}

#[test]
fn null_is_not_set() {
    let decoded = decoded("name = \"a\"\ncores = null\n");
    assert!(!decoded.set_paths.contains(&AttributePath::of("cores")));
    assert!(decoded.spans.contains_key(&AttributePath::of("cores")));
}

#[test]
fn a_misspelt_member_is_told_of_at_its_place() {
    let text = "name = \"a\"\ndisk = [{ siez = 1, size = 2 }]\n";
    let decoded = decoded(text);
    assert_eq!(
        messages(&decoded),
        ["value has the wrong type: `disk[0]`: there is no member `siez` here"]
    );
    assert_eq!(decoded.diagnostics[0].help, ["did you mean `size`?"]);
    let span = decoded.diagnostics[0].span.clone().expect("has a place");
    assert_eq!(&text[span.start..span.end], "{ siez = 1, size = 2 }");
}

#[test]
fn without_evaluation_types_of_literals_are_checked() {
    let (body, _) = parse_file("name = var.x\ncores = \"many\"\n", "vm.hcl");
    let failed = check_body(&body, &schema());
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].to_string(),
        "value has the wrong type: `cores`: a number is required"
    );
}

fn dynamic(text: &str, scope: &Bindings) -> Decoded {
    let text = format!("name = \"a\"\n{text}");
    let (body, failed) = parse_file(&text, "vm.hcl");
    assert!(failed.is_empty(), "{failed:?}");
    decode(&body, &schema(), scope)
}

#[test]
fn a_dynamic_block_stands_where_its_blocks_would() {
    let scope = Bindings::new().with_variable("sizes", Value::list(vec![2.into(), 3.into()]));
    let text = "disk { size = 1 }
dynamic \"disk\" {
  for_each = var.sizes
  content {
    size = disk.value
    bus  = \"scsi${each.key}\"
  }
  iterator = each
}
disk { size = 4 }
";
    let text = text.replace("disk.value", "each.value");
    let decoded = dynamic(&text, &scope);
    assert_eq!(messages(&decoded), Vec::<String>::new());
    let disks = decoded.value.get("disk");
    let sizes: Vec<_> = disks.as_items().into_iter().flatten().collect();
    let seen: Vec<_> = sizes
        .iter()
        .map(|disk| (disk.get("size").as_i64(), disk.get("bus")))
        .collect();
    assert_eq!(
        seen,
        [
            (Some(1), Value::null()),
            (Some(2), "scsi0".into()),
            (Some(3), "scsi1".into()),
            (Some(4), Value::null()),
        ]
    );
    assert!(
        decoded
            .set_paths
            .contains(&AttributePath::of("disk").index(2).member("bus"))
    );
}

#[test]
fn a_dynamic_block_of_what_is_not_known_is_an_unknown_list_and_still_checked() {
    let scope = Bindings::new().with_variable(
        "sizes",
        Value::unknown(Type::Any).marked(&Marks::sensitive()),
    );
    let decoded = dynamic(
        "dynamic \"disk\" {\n  for_each = var.sizes\n  content {\n    sice = disk.value\n  }\n}\n",
        &scope,
    );
    let said = messages(&decoded).join("\n");
    assert!(said.contains("`disk` has no argument `sice`"), "{said}");
    assert!(said.contains("`size` of `disk` must be set"), "{said}");
    let disks = decoded.value.get("disk");
    assert!(
        !disks.is_known() && disks.marks().is_sensitive(),
        "{disks:?}"
    );
    assert!(decoded.set_paths.contains(&AttributePath::of("disk")));
    assert_eq!(decoded.set_paths.len(), 2);
}

#[test]
fn a_dynamic_block_without_elements_is_no_block() {
    let decoded = dynamic(
        "dynamic \"disk\" {\n  for_each = []\n  content {\n    size = 1\n  }\n}\n",
        &Bindings::new(),
    );
    assert_eq!(messages(&decoded), Vec::<String>::new());
    assert!(decoded.value.get("disk").is_null());
}

#[test]
fn mistakes_in_a_dynamic_block_are_told_where_they_are() {
    let one = |inside: &str| {
        let text = format!("dynamic \"disk\" {{\n{inside}\n}}\n");
        messages(&dynamic(&text, &Bindings::new())).join("\n")
    };
    let content = "content {\n  size = 1\n}";
    for (inside, expected) in [
        (
            content.to_owned(),
            "`for_each` of a `dynamic` block must be set",
        ),
        ("for_each = [1]".to_owned(), "needs a `content` block"),
        (format!("for_each = null\n{content}"), "and this is null"),
        (
            format!("for_each = \"a\"\n{content}"),
            "and this is a string",
        ),
        (
            format!("for_each = [1]\niterator = \"x\"\n{content}"),
            "without quotes",
        ),
        (
            format!("for_each = [1]\nlabels = [\"x\"]\n{content}"),
            "takes no label",
        ),
        (
            format!("for_eech = [1]\n{content}"),
            "has no argument `for_eech`",
        ),
        (
            format!("for_each = [1]\n{content}\n{content}"),
            "may be one `content`",
        ),
        (
            "for_each = [1]\nsize {\n}".to_owned(),
            "has no block `size`",
        ),
        (
            "for_each = [1]\ncontent {\n  size = dusk.value\n}".to_owned(),
            "dusk.value",
        ),
    ] {
        let said = one(&inside);
        assert!(said.contains(expected), "{inside}: {said}");
    }
    let other = dynamic(
        "dynamic \"disc\" {\n  for_each = [1]\n  content {\n  }\n}\n",
        &Bindings::new(),
    );
    assert!(messages(&other)[0].contains("has no block `disc`"));
}
