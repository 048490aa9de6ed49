//! How long work may take, as a `timeouts` block says it.

use std::time::Duration;

use dmp_sdk::{Diagnostic, Kind, Strictness, Type, convert};

use crate::Diagnostics;
use crate::ast::Expr;
use crate::config::Timed;
use crate::functions::duration;
use crate::scope::Scope;

/// The time that one kind of work may take; `None` where it is null or not known yet.
///
/// # Errors
/// What is wrong in the expression, or that its value is no length of time.
pub fn timeout(
    timed: Timed,
    expr: &Expr,
    scope: &dyn Scope,
) -> Result<Option<Duration>, Diagnostics> {
    let value = crate::evaluate(expr, scope)?;
    let wrong = || {
        let name = timed.as_str();
        vec![
            Diagnostic::error("wrong-timeout", "not a length of time")
                .detail(format!(
                    "`{name}` of `timeouts` is a text like `30s` or `1h30m`"
                ))
                .at(expr.span.clone()),
        ]
    };
    let text = convert(&value, &Type::String, Strictness::Exact).map_err(|_| wrong())?;
    match text.kind() {
        Kind::Null | Kind::Unknown(_) => Ok(None),
        _ => text
            .as_str()
            .and_then(duration)
            .filter(|time| !time.is_zero())
            .map(Some)
            .ok_or_else(wrong),
    }
}
