//! Calls of the function table.
