//! dmp.
fn main() {}
