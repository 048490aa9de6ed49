//! What is there of a type, each object as its resource type reads it: `openstack_networks` and others. `dmp query` lists
//! by them what could be imported.

use std::sync::Arc;

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, ListedBy, Schema, Type, Value,
};
use serde_json::Value as Json;

use super::answered;
use crate::cloud::Question;

/// A resource type of which all that is there can be told.
pub(crate) trait Listed: Send + Sync + 'static {
    /// The type's schema, which says by which data source it is listed.
    fn schema(&self) -> &Schema;

    /// The listings that tell it.
    fn listings(&self) -> Vec<Question>;

    /// The objects, out of the listings' answers. Each is begun as `nothing`, in which all attributes are null.
    fn objects(&self, nothing: &Value, answers: &[&Json]) -> Vec<Value>;
}

/// The data source of a type's objects.
struct Everything<T> {
    schema: Schema,
    items: &'static str,
    of: Arc<T>,
}

/// The data source by which a type is listed; none where it is not.
pub(crate) fn everything<T: Listed>(of: Arc<T>) -> Option<Arc<dyn DataSource>> {
    let own = of.schema();
    let ListedBy {
        data_source, items, ..
    } = own.listed_by?;
    let each = Type::list(own.value_type());
    let doc = "All that the project sees of a type: its own objects and those that others share; to administrators also those of other projects.";
    let schema = Schema::new(data_source, doc).layer(own.layer).attribute(
        items,
        Attribute::computed(
            each,
            "Each with the attributes of its resource type, as far as the cloud tells them.",
        ),
    );
    Some(Arc::new(Everything { schema, items, of }))
}

/// An object of a type of which nothing is known.
fn nothing(schema: &Schema) -> Value {
    let names = schema.attributes.keys().cloned();
    Value::object(names.map(|name| (name, Value::null())).collect())
}

impl<T: Listed> DataSource for Everything<T> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        self.of.listings().iter().map(Question::fetch).collect()
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let objects = self
            .of
            .objects(&nothing(self.of.schema()), &answered(answers)?);
        let value = config.with(self.items, Value::list(objects));
        Ok(DataReading::Value(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Objects;
    use crate::resources::network::Network;
    use crate::resources::server::Server;

    fn objects(of: &impl Listed, answers: &[Json]) -> Vec<Value> {
        let answers: Vec<&Json> = answers.iter().collect();
        of.objects(&nothing(of.schema()), &answers)
    }

    #[test]
    fn each_is_told_as_its_type_reads_it_without_the_mark() {
        let networks = json!([
            { "id": "a", "name": "inside", "tenant_id": "p", "description": "for the web\n\ndmp:x", "tags": ["web"], "mtu": 1450 },
            { "id": "b", "name": "public", "router:external": true, "tags": [] },
        ]);
        let found = objects(&Objects::of(Network), &[networks]);
        let names: Vec<Value> = found.iter().map(|network| network.get("name")).collect();
        assert_eq!(names, ["inside".into(), "public".into()]);
        assert_eq!(found[0].get("project_id"), "p".into());
        assert_eq!(found[0].get("tags"), Value::set(vec!["web".into()]));
    }

    #[test]
    fn servers_have_their_plugs_and_what_is_deleted_is_not_there() {
        let servers = json!([
            { "id": "s", "name": "web", "status": "ACTIVE", "flavor": { "original_name": "small" }, "metadata": {} },
            { "id": "t", "name": "old", "status": "SOFT_DELETED" },
        ]);
        let ports = json!([{ "id": "p", "device_id": "s", "network_id": "n", "fixed_ips": [{ "ip_address": "192.0.2.7" }] }]);
        let found = objects(&Server::new(), &[servers, ports, json!([])]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get("address"), "192.0.2.7".into());
        assert_eq!(found[0].get("flavor"), "small".into());
    }
}
