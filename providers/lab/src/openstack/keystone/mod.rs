//! Keystone: who logs in, by what, and where the services are.

mod catalog;
mod people;
mod tokens;

pub(super) use tokens::caller;

use super::Route;

pub(super) const ROUTES: &[Route] = &[
    ("POST /v3/auth/tokens", tokens::issue),
    ("GET /v3/auth/tokens", tokens::show),
    ("HEAD /v3/auth/tokens", tokens::look),
    ("DELETE /v3/auth/tokens", tokens::revoke),
    ("GET /v3/auth/catalog", catalog::show),
    ("GET /v3/auth/projects", people::own_projects),
    ("GET /v3/auth/domains", people::domains),
    ("GET /v3/projects", people::projects),
    ("GET /v3/projects/{id}", people::project),
    ("GET /v3/users", people::users),
    ("GET /v3/users/{id}", people::user),
    ("GET /v3/users/{id}/projects", people::own_projects),
    ("GET /v3/domains", people::domains),
    ("GET /v3/domains/{id}", people::domain),
    ("GET /v3/regions", catalog::regions),
    ("GET /v3/services", catalog::services),
    ("GET /v3/endpoints", catalog::endpoints),
];
