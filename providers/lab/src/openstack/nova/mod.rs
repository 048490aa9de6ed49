//! Nova: servers, and what they are made of.

mod flavors;
mod groups;
mod keypairs;
mod limits;
mod machine;
mod schedule;
mod server;
mod servers;

use super::Route;

pub(super) use machine::readdress;
pub(crate) use server::{Doing, Server};
pub(super) use servers::finish;

pub(super) const ROUTES: &[Route] = &[
    ("GET /v2.1/servers", servers::read::list),
    ("POST /v2.1/servers", servers::create::create),
    ("GET /v2.1/servers/detail", servers::read::list_whole),
    ("GET /v2.1/servers/{id}", servers::read::show),
    ("PUT /v2.1/servers/{id}", servers::change::update),
    ("DELETE /v2.1/servers/{id}", servers::change::delete),
    ("POST /v2.1/servers/{id}/action", servers::actions::act),
    ("GET /v2.1/servers/{id}/ips", servers::read::addresses),
    ("GET /v2.1/servers/{id}/metadata", servers::metadata::show),
    (
        "PUT /v2.1/servers/{id}/metadata",
        servers::metadata::replace,
    ),
    ("POST /v2.1/servers/{id}/metadata", servers::metadata::add),
    (
        "GET /v2.1/servers/{id}/metadata/{key}",
        servers::metadata::show_one,
    ),
    (
        "PUT /v2.1/servers/{id}/metadata/{key}",
        servers::metadata::set_one,
    ),
    (
        "DELETE /v2.1/servers/{id}/metadata/{key}",
        servers::metadata::remove_one,
    ),
    ("GET /v2.1/servers/{id}/tags", servers::tags::list),
    ("PUT /v2.1/servers/{id}/tags", servers::tags::replace),
    ("DELETE /v2.1/servers/{id}/tags", servers::tags::clear),
    ("GET /v2.1/servers/{id}/tags/{tag}", servers::tags::look),
    ("PUT /v2.1/servers/{id}/tags/{tag}", servers::tags::add),
    (
        "DELETE /v2.1/servers/{id}/tags/{tag}",
        servers::tags::remove,
    ),
    (
        "GET /v2.1/servers/{id}/os-volume_attachments",
        servers::volumes::list,
    ),
    (
        "POST /v2.1/servers/{id}/os-volume_attachments",
        servers::volumes::attach,
    ),
    (
        "GET /v2.1/servers/{id}/os-volume_attachments/{volume_id}",
        servers::volumes::show,
    ),
    (
        "PUT /v2.1/servers/{id}/os-volume_attachments/{volume_id}",
        servers::volumes::change,
    ),
    (
        "DELETE /v2.1/servers/{id}/os-volume_attachments/{volume_id}",
        servers::volumes::detach,
    ),
    (
        "GET /v2.1/servers/{id}/os-interface",
        servers::interfaces::list,
    ),
    (
        "POST /v2.1/servers/{id}/os-interface",
        servers::interfaces::plug,
    ),
    (
        "GET /v2.1/servers/{id}/os-interface/{port}",
        servers::interfaces::show,
    ),
    (
        "DELETE /v2.1/servers/{id}/os-interface/{port}",
        servers::interfaces::pull,
    ),
    (
        "GET /v2.1/servers/{id}/os-security-groups",
        servers::interfaces::groups,
    ),
    (
        "GET /v2.1/servers/{id}/os-instance-actions",
        servers::read::actions,
    ),
    (
        "GET /v2.1/servers/{id}/os-instance-actions/{request}",
        servers::read::action,
    ),
    ("GET /v2.1/flavors", flavors::list),
    ("GET /v2.1/flavors/detail", flavors::list_whole),
    ("GET /v2.1/flavors/{id}", flavors::show),
    (
        "GET /v2.1/flavors/{id}/os-extra_specs",
        flavors::extra_specs,
    ),
    ("GET /v2.1/os-keypairs", keypairs::list),
    ("POST /v2.1/os-keypairs", keypairs::create),
    ("GET /v2.1/os-keypairs/{id}", keypairs::show),
    ("DELETE /v2.1/os-keypairs/{id}", keypairs::delete),
    ("GET /v2.1/os-server-groups", groups::list),
    ("POST /v2.1/os-server-groups", groups::create),
    ("GET /v2.1/os-server-groups/{id}", groups::show),
    ("DELETE /v2.1/os-server-groups/{id}", groups::delete),
    ("GET /v2.1/limits", limits::limits),
    ("GET /v2.1/os-quota-sets/{project}", limits::quotas),
    ("GET /v2.1/os-quota-sets/{project}/defaults", limits::quotas),
    ("GET /v2.1/os-quota-sets/{project}/detail", limits::details),
    ("GET /v2.1/os-availability-zone", limits::zones),
    ("GET /v2.1/os-availability-zone/detail", limits::whole_zones),
    ("GET /v2.1/extensions", limits::extensions),
];
