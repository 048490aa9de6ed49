//! The contract, against a real sshd without root's rights: read after create, second plan empty, drift, update,
//! delete twice, and what stood there before is put back.

mod data;
mod edits;
mod files;
mod object;
