//! What older versions of a schema have recorded.

use super::subject::{Subject, said};
use super::{Held, Make, Verdict};
use crate::resource::Resource;
use crate::types::{Strictness, convert};
use crate::value::Value;

pub(super) async fn what_older_versions_recorded_is_upgraded(make: Make<'_>) -> Verdict {
    let case = make();
    let resource = case.resource.as_ref();
    let schema = resource.schema();
    for newer in [schema.version, schema.version + 1] {
        if resource.upgrade(newer, Value::null()).is_ok() {
            return Err(format!(
                "version {newer} is upgraded, and the present one is {}",
                schema.version
            ));
        }
    }
    for version in 1..schema.version {
        let mut values = case.recorded.iter();
        let Some(recorded) = values.find(|recorded| recorded.version == version) else {
            return Err(format!("the case has no value of version {version}"));
        };
        let upgraded = upgrade(resource, version, &recorded.attributes)?;
        if upgrade(resource, version, &recorded.attributes)? != upgraded {
            return Err(format!("version {version} becomes another value each time"));
        }
        has_the_schemas_form(resource, version, &upgraded)?;
        let subject = Subject::new(&case);
        subject
            .plan(&case.config, Some(&subject.conform(&upgraded)))
            .map_err(|why| format!("a plan over a value of version {version}: {why}"))?;
    }
    Ok(Held::Holds)
}

fn upgrade(resource: &dyn Resource, from: u32, attributes: &Value) -> Result<Value, String> {
    (from..resource.schema().version).try_fold(attributes.clone(), |value, version| {
        let upgraded = resource.upgrade(version, value);
        upgraded.map_err(|why| format!("from version {version}: {}", said(why)))
    })
}

fn has_the_schemas_form(resource: &dyn Resource, from: u32, value: &Value) -> Result<(), String> {
    let schema = resource.schema();
    for (name, _) in value.as_members().into_iter().flatten() {
        if !schema.attributes.contains_key(name) {
            return Err(format!(
                "from version {from} `{name}` is left, which the schema does not have"
            ));
        }
    }
    for (name, attribute) in &schema.attributes {
        let value = value.get(name);
        if !value.is_null() && convert(&value, &attribute.ty, Strictness::Lenient).is_err() {
            return Err(format!("from version {from} `{name}` has another type"));
        }
    }
    Ok(())
}
