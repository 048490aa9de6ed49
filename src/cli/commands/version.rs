//! `dmp version`.

use serde_json::json;

use super::print;
use crate::Exit;
use crate::arguments::Machine;
use crate::stack::VERSION;

pub(crate) fn run(arguments: &Machine) -> Exit {
    if arguments.json {
        let state = dmp_state::store::FORMAT;
        print(&format!(
            "{}\n",
            json!({ "version": VERSION, "state_format": state })
        ));
    } else {
        print(&format!("dmp {VERSION}\n"));
    }
    Exit::Success
}
