//! Tera templates: rendered here, in the plan, so that the diff shows what will stand in the file.

use dmp_sdk::{AttributePath, Diagnostic, Kind, Type, Value};
use tera::{Context, Tera};

use crate::on_host::wrong;

/// Renders a template; unknown while it or one of its variables is. What is secret in it makes the whole secret.
pub(super) fn render(template: &Value, vars: &Value) -> Result<Value, Diagnostic> {
    let marks = template
        .deep_marks()
        .union(&vars.deep_marks())
        .without_origins();
    let Some(text) = template.as_str().filter(|_| vars.is_wholly_known()) else {
        return Ok(Value::unknown(Type::String).marked(&marks));
    };
    let mut context = Context::new();
    if !vars.is_null() {
        let members = vars.as_members().ok_or_else(|| {
            wrong(
                "vars",
                "not an object",
                "`vars` names the values: `{ port = 80 }`",
            )
        })?;
        for (name, value) in members {
            context.insert_value(name.to_string(), to_tera(value));
        }
    }
    let rendered = Tera::default()
        .render_str(text, &context, false)
        .map_err(|error| {
            let mut words = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                words.push_str(&format!(": {inner}"));
                cause = inner.source();
            }
            Diagnostic::error("template", "cannot render a template")
                .path(AttributePath::of("template"))
                .cause(words)
        })?;
    Ok(Value::from(rendered).marked(&marks))
}

fn to_tera(value: &Value) -> tera::Value {
    match value.kind() {
        Kind::Null | Kind::Unknown(_) => tera::Value::none(),
        Kind::Bool(value) => (*value).into(),
        Kind::Number(number) => match number.to_i64() {
            Some(whole) => whole.into(),
            None => number.to_string().parse::<f64>().unwrap_or(f64::NAN).into(),
        },
        Kind::String(text) => text.as_ref().into(),
        Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
            items.iter().map(to_tera).collect::<Vec<_>>().into()
        }
        Kind::Map(members) | Kind::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.to_string().into(), to_tera(value)));
            members.collect::<tera::Map>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Marks;

    use super::*;

    #[test]
    fn variables_of_every_kind_are_rendered() {
        let vars = Value::object_of([
            ("name", "größe".into()),
            ("ports", Value::tuple(vec![80.into(), 443.into()])),
            ("tls", Value::object_of([("on", true.into())])),
        ]);
        let template =
            "{{ name }} <&>{% for port in ports %} {{ port }}{% endfor %} {{ tls.on }}\n";
        let rendered = render(&template.into(), &vars).expect("renders");
        assert_eq!(rendered.as_str(), Some("größe <&> 80 443 true\n"));
    }

    #[test]
    fn a_variable_that_is_not_there_is_an_error_with_its_name() {
        let error = render(&"{{ nope }}".into(), &Value::null()).expect_err("strict");
        assert!(error.to_string().contains("nope"), "{error}");
    }

    #[test]
    fn unknown_and_secret_variables_make_the_content_so() {
        let vars = Value::object_of([("a", Value::unknown(Type::String))]);
        assert!(!render(&"{{ a }}".into(), &vars).expect("waits").is_known());
        let vars = Value::object_of([("a", Value::from("x").marked(&Marks::sensitive()))]);
        let rendered = render(&"{{ a }}".into(), &vars).expect("renders");
        assert!(rendered.marks().is_sensitive());
    }
}
