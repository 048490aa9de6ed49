//! Actions on servers: one member of the body names the action.

use serde_json::{Value, json};

use super::{alter, begin, find, note, word};
use crate::openstack::estate::{Kind, list as items};
use crate::openstack::neutron;
use crate::openstack::nova::server::{Doing, State};
use crate::openstack::nova::{flavors, limits};
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// What takes nothing but its name.
struct Simple {
    name: &'static str,
    /// What Nova calls it in its words.
    action: &'static str,
    from: &'static [State],
    task: &'static str,
    doing: Doing,
    /// How long it takes, in seconds of life.
    seconds: f64,
}

static SIMPLE: [Simple; 8] = [
    Simple {
        name: "os-start",
        action: "start",
        from: &[State::Stopped],
        task: "powering-on",
        doing: Doing::Start,
        seconds: 10.0,
    },
    Simple {
        name: "os-stop",
        action: "stop",
        from: &[State::Active, State::Error],
        task: "powering-off",
        doing: Doing::Stop,
        seconds: 10.0,
    },
    Simple {
        name: "pause",
        action: "pause",
        from: &[State::Active],
        task: "pausing",
        doing: Doing::Pause,
        seconds: 2.0,
    },
    Simple {
        name: "unpause",
        action: "unpause",
        from: &[State::Paused],
        task: "unpausing",
        doing: Doing::Unpause,
        seconds: 2.0,
    },
    Simple {
        name: "suspend",
        action: "suspend",
        from: &[State::Active],
        task: "suspending",
        doing: Doing::Suspend,
        seconds: 5.0,
    },
    Simple {
        name: "resume",
        action: "resume",
        from: &[State::Suspended],
        task: "resuming",
        doing: Doing::Resume,
        seconds: 5.0,
    },
    Simple {
        name: "confirmResize",
        action: "confirmResize",
        from: &[State::Resized],
        task: "",
        doing: Doing::Confirm,
        seconds: 2.0,
    },
    Simple {
        name: "revertResize",
        action: "revertResize",
        from: &[State::Resized],
        task: "resize_reverting",
        doing: Doing::Revert,
        seconds: 10.0,
    },
];

/// Actions of Nova that the lab does not have.
const NOT_SERVED: [&str; 16] = [
    "addFixedIp",
    "addFloatingIp",
    "changePassword",
    "createBackup",
    "createImage",
    "evacuate",
    "forceDelete",
    "migrate",
    "os-getVNCConsole",
    "os-migrateLive",
    "rescue",
    "restore",
    "shelve",
    "shelveOffload",
    "unrescue",
    "unshelve",
];

/// `POST /v2.1/servers/{id}/action`.
pub(in crate::openstack::nova) fn act(call: &mut Call<'_>) -> Outcome {
    let server = find(call)?;
    let (name, value) = call.action()?;
    if !matches!(
        name.as_str(),
        "unlock" | "os-getConsoleOutput" | "os-resetState"
    ) {
        server.must_be_unlocked(call.caller.is_admin)?;
    }
    if let Some(simple) = SIMPLE.iter().find(|simple| simple.name == name) {
        return begin_simple(call, simple);
    }
    match name.as_str() {
        "reboot" => reboot(call),
        "rebuild" => super::rebuild::rebuild(call),
        "resize" => resize(call),
        "lock" | "unlock" => {
            let is_locked = name == "lock";
            note(call, &name);
            alter(call, |server| server.is_locked = is_locked);
            Answer::empty(202)
        }
        "addSecurityGroup" | "removeSecurityGroup" => {
            set_group(call, &value, name == "addSecurityGroup")
        }
        "os-getConsoleOutput" => match server.state {
            State::Active | State::Paused | State::Resized => Answer::ok(json!({ "output": "" })),
            _ => Err(Failure::conflict(format!(
                "Instance {} is not ready",
                server.id
            ))),
        },
        "os-resetState" => reset(call, &value),
        name if NOT_SERVED.contains(&name) => {
            Err(Failure::not_served(format!("the action `{name}`")))
        }
        name => Err(Failure::bad(format!("There is no such action: {name}"))),
    }
}

fn begin_simple(call: &mut Call<'_>, simple: &Simple) -> Outcome {
    let server = find(call)?;
    // One whose machine has lost its power is stopped, whatever is kept.
    let is_off =
        server.state == State::Active && server.task.is_none() && call.world.has_lost_power(server);
    match (is_off, simple.action) {
        (true, "start") => {}
        (true, "stop") => {
            return Err(Failure::conflict(format!(
                "Cannot 'stop' instance {} while it is in vm_state stopped",
                server.id
            )));
        }
        _ => server.must_be(simple.from, simple.action)?,
    }
    if simple.task.is_empty() {
        // Nova shows nothing of this before it is done.
        let id = server.id.clone();
        note(call, simple.action);
        let step = crate::openstack::steps::Doing::Server(id, simple.doing.clone());
        call.world.begin_step(step, simple.seconds);
        return Answer::empty(204);
    }
    begin(
        call,
        simple.action,
        simple.task,
        simple.doing.clone(),
        simple.seconds,
    );
    if simple.doing == Doing::Stop {
        let id = call.id();
        call.world.press_button(&id, SHUTDOWN);
    }
    Answer::empty(202)
}

/// How long the system of a server has to go down, in seconds, before its plug is pulled (`shutdown_timeout` and
/// `wait_soft_reboot_seconds` in `nova/conf`).
const SHUTDOWN: u64 = 60;
const SOFT_REBOOT: u64 = 120;

/// `nova/api/openstack/compute/schemas/servers.py`.
static REBOOT: Object = Object {
    members: &[Member("reboot", 1, Shape::Object(&REBOOT_TYPE))],
    needed: &["reboot"],
    is_open: false,
};

static REBOOT_TYPE: Object = Object {
    members: &[Member(
        "type",
        1,
        Shape::Word(&["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]),
    )],
    needed: &["type"],
    is_open: false,
};

fn reboot(call: &mut Call<'_>) -> Outcome {
    check(&REBOOT, &call.body, call.version)?;
    let is_hard = call.body["reboot"]["type"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("hard"));
    let server = find(call)?;
    let states: &[State] = match is_hard {
        true => &[
            State::Active,
            State::Stopped,
            State::Paused,
            State::Suspended,
            State::Error,
        ],
        false => &[State::Active],
    };
    server.must_be(states, "reboot")?;
    let task = if is_hard {
        "rebooting_hard"
    } else {
        "rebooting"
    };
    alter(call, |server| {
        server.state = State::Active;
        server.fault = None;
    });
    begin(call, "reboot", task, Doing::Reboot, 10.0);
    if !is_hard {
        let id = call.id();
        call.world.press_button(&id, SOFT_REBOOT);
    }
    Answer::empty(202)
}

static RESIZE: Object = Object {
    members: &[Member("resize", 1, Shape::Object(&RESIZE_TO))],
    needed: &["resize"],
    is_open: false,
};

static RESIZE_TO: Object = Object {
    members: &[
        Member(
            "flavorRef",
            1,
            Shape::Either(&[Shape::Text(1, 255), Shape::Number(0, i64::MAX)]),
        ),
        Member("OS-DCF:diskConfig", 1, Shape::Word(&["AUTO", "MANUAL"])),
    ],
    needed: &["flavorRef"],
    is_open: false,
};

fn resize(call: &mut Call<'_>) -> Outcome {
    check(&RESIZE, &call.body, call.version)?;
    let reference = match &call.body["resize"]["flavorRef"] {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let server = find(call)?;
    let found = flavors::find(&call.world.openstack.ground, &reference);
    let Some((place, flavor)) = found else {
        return Err(Failure::bad(format!(
            "Flavor {reference} could not be found."
        )));
    };
    server.must_be(&[State::Active, State::Stopped], "resize")?;
    if flavor.name == server.flavor.name {
        return Err(Failure::bad("When resizing, instances must change flavor!"));
    }
    if flavor.disk > 0 && flavor.disk < server.flavor.disk && server.image.is_some() {
        return Err(Failure::bad(
            "Flavor's disk is smaller than what the server has. Resize to a larger flavor.",
        ));
    }
    let more = [
        ("cores", flavor.vcpus - server.flavor.vcpus),
        ("ram", flavor.ram - server.flavor.ram),
    ];
    limits::check(call, &more)?;
    begin(call, "resize", "resize_prep", Doing::Resize(place), 20.0);
    Answer::empty(202)
}

fn set_group(call: &mut Call<'_>, value: &Value, is_added: bool) -> Outcome {
    let name = word(value, "name").unwrap_or_default();
    let server = find(call)?;
    let (id, project) = (server.id.clone(), server.project.clone());
    let group = call.world.openstack.group_named(&project, &name);
    let group = group.ok_or_else(|| {
        Failure::missing(format!(
            "Security group {name} not found for project {project}."
        ))
    })?;
    let mut has_it = false;
    for port in neutron::ports_in_use(&call.world.openstack, &id) {
        let Some(shown) = call.world.openstack.get_mut(Kind::Port, &port) else {
            continue;
        };
        let mut groups = items(shown, "security_groups").to_vec();
        has_it |= groups.iter().any(|known| *known == group.as_str());
        groups.retain(|known| *known != group.as_str());
        if is_added {
            groups.push(json!(group));
        }
        if shown.get("port_security_enabled") != Some(&json!(false)) {
            shown.insert("security_groups".into(), groups.into());
        }
    }
    match is_added || has_it {
        true => Answer::empty(202),
        false => Err(Failure::missing(format!(
            "Security group {name} is not associated with the instance {id}"
        ))),
    }
}

/// What only an administrator may do: to say in which state a server is.
fn reset(call: &mut Call<'_>, value: &Value) -> Outcome {
    if !call.caller.is_admin {
        return Err(Failure::forbidden(
            "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed.",
        ));
    }
    let state = match value["state"].as_str() {
        Some("active") => State::Active,
        Some("error") => State::Error,
        _ => {
            return Err(Failure::bad(
                "Invalid input for field/attribute state. Value: it is not one of ['active', 'error']",
            ));
        }
    };
    let id = call.id();
    call.world.drop_steps_of(&id);
    alter(call, |server| {
        server.state = state;
        server.task = None;
        server.fault = None;
    });
    Answer::empty(202)
}
