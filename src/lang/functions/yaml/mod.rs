//! YAML, read and written as Terraform does.

mod read;
mod write;

use super::{Function, Gives, nullable, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("yamldecode", &[text("text")], Gives::Any, read::yamldecode),
    Function::new(
        "yamlencode",
        &[nullable("value")],
        Gives::Text,
        write::yamlencode,
    ),
];
