//! Glance: images. Their bytes are kept, and no machine is made of them.

mod data;
mod images;
mod members;
mod schema;

pub(super) use data::forget;

use super::Route;

pub(super) const ROUTES: &[Route] = &[
    ("GET /v2/images", images::list),
    ("POST /v2/images", images::create),
    ("GET /v2/images/{id}", images::show),
    ("PATCH /v2/images/{id}", images::patch),
    ("DELETE /v2/images/{id}", images::delete),
    ("PUT /v2/images/{id}/file", data::upload),
    ("GET /v2/images/{id}/file", data::download),
    ("POST /v2/images/{id}/import", data::import),
    ("PUT /v2/images/{id}/tags/{tag}", images::add_tag),
    ("DELETE /v2/images/{id}/tags/{tag}", images::remove_tag),
    ("GET /v2/schemas/image", schema::image),
    ("GET /v2/schemas/images", schema::images),
    ("GET /v2/info/import", schema::import),
    ("GET /v2/info/stores", schema::stores),
];
