//! Tasks: how they are, what they say, and lists of them.

use serde_json::{Value, json};

use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::task::{Task, Upid};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /cluster/tasks", of_cluster),
    ("GET /nodes/{node}/tasks", of_node),
    ("DELETE /nodes/{node}/tasks/{upid}", stop),
    ("GET /nodes/{node}/tasks/{upid}/status", status),
    ("GET /nodes/{node}/tasks/{upid}/log", log),
];

/// Returns what a task is called and whose it is.
fn about(upid: &Upid, task: &Task) -> Value {
    let mut told = json!({
        "upid": upid.0, "node": task.node, "pid": task.pid, "pstart": task.pstart, "starttime": task.started,
        "type": task.kind, "id": task.id,
    });
    match task.user.split_once('!') {
        Some((user, token)) => {
            told["user"] = json!(user);
            told["tokenid"] = json!(token);
        }
        None => told["user"] = json!(task.user),
    }
    told
}

/// Returns the task of the path, if it is the caller's own or a privilege lets it be another's.
fn task<'a>(call: &'a Call<'_>, privilege: &str) -> Result<(Upid, &'a Task), Failure> {
    let name = call.parameters.needed("upid");
    if name.split(':').count() != 9 || !name.starts_with("UPID:") {
        return Err(Failure::parameter("upid", "unable to parse worker upid"));
    }
    let upid = Upid(name.to_owned());
    let task = call
        .world
        .tasks
        .get(&upid)
        .ok_or_else(|| Failure::parameter("upid", "no such task"))?;
    let is_own = task.user == call.caller.name()
        || call.caller.token.is_none()
            && task.user.split('!').next() == Some(call.caller.user.as_str());
    if !is_own {
        call.must(&format!("/nodes/{}", task.node), &[privilege])?;
    }
    Ok((upid, task))
}

fn status(call: &mut Call<'_>) -> Outcome {
    let (upid, task) = task(call, "Sys.Audit")?;
    let mut told = about(&upid, task);
    told["status"] = json!(if task.exit.is_some() {
        "stopped"
    } else {
        "running"
    });
    if let Some(exit) = &task.exit {
        told["exitstatus"] = json!(exit);
    }
    Answer::data(told)
}

fn log(call: &mut Call<'_>) -> Outcome {
    let start = call.parameters.number("start").unwrap_or(0usize);
    let limit = match call.parameters.number("limit").unwrap_or(50usize) {
        0 => usize::MAX,
        limit => limit,
    };
    let (_, task) = task(call, "Sys.Audit")?;
    let lines = (1..).zip(&task.log).skip(start).take(limit);
    let lines = lines.map(|(number, text): (usize, _)| json!({ "n": number, "t": text }));
    Answer::part(lines.collect(), task.log.len())
}

fn stop(call: &mut Call<'_>) -> Outcome {
    let (upid, task) = task(call, "Sys.Modify")?;
    let ended = call.world.clock_of(&task.node) / 1000;
    if call.world.running.remove(&upid) {
        let work = call
            .world
            .tasks
            .get(&upid)
            .and_then(|task| task.work.clone());
        if let Some(work) = work {
            super::work::give_up(call.world, &work);
        }
        if let Some(task) = call.world.tasks.get_mut(&upid) {
            task.exit = Some("received interrupt".into());
            task.ended = ended;
            task.work = None;
            task.log.push("TASK ERROR: received interrupt".into());
        }
    }
    Answer::done()
}

fn listed(upid: &Upid, task: &Task) -> Value {
    let mut told = about(upid, task);
    if let Some(exit) = &task.exit {
        told["endtime"] = json!(task.ended);
        told["status"] = json!(exit);
    }
    told
}

fn of_cluster(call: &mut Call<'_>) -> Outcome {
    let sees_all = call.may("/", &["Sys.Audit"]);
    let own = call.caller.name();
    let tasks = call
        .world
        .tasks
        .iter()
        .filter(|(_, task)| sees_all || task.user == own);
    let mut told: Vec<_> = tasks
        .map(|(upid, task)| (task.started, listed(upid, task)))
        .collect();
    told.sort_by_key(|(started, _)| std::cmp::Reverse(*started));
    told.truncate(100);
    Answer::data(told.into_iter().map(|(_, told)| told).collect::<Vec<_>>())
}

fn of_node(call: &mut Call<'_>) -> Outcome {
    let node = call.node();
    let sees_all = call.may(&format!("/nodes/{node}"), &["Sys.Audit"]);
    let own = call.caller.name();
    let parameters = &call.parameters;
    let source = parameters.text("source").unwrap_or("archive");
    let fits = |task: &Task| {
        let is_running = task.exit.is_none();
        let has_failed = task
            .exit
            .as_deref()
            .is_some_and(|exit| exit != "OK" && !exit.starts_with("WARNINGS"));
        task.node == node
            && (sees_all || task.user == own)
            && match source {
                "active" => is_running,
                "archive" => !is_running,
                _ => true,
            }
            && parameters.text("vmid").is_none_or(|vmid| vmid == task.id)
            && parameters
                .text("typefilter")
                .is_none_or(|kind| kind == task.kind)
            && parameters
                .text("userfilter")
                .is_none_or(|part| task.user.contains(part))
            && parameters
                .number("since")
                .is_none_or(|since: u64| task.started >= since)
            && parameters
                .number("until")
                .is_none_or(|until: u64| task.started <= until)
            && (!parameters.is_set("errors") || has_failed)
    };
    let mut found: Vec<_> = call
        .world
        .tasks
        .iter()
        .filter(|(_, task)| fits(task))
        .collect();
    found.sort_by_key(|(upid, task)| (std::cmp::Reverse(task.started), (*upid).clone()));
    let total = found.len();
    let start = parameters.number("start").unwrap_or(0);
    let limit = parameters.number("limit").unwrap_or(50);
    let told = found
        .into_iter()
        .skip(start)
        .take(limit)
        .map(|(upid, task)| listed(upid, task));
    Answer::part(told.collect(), total)
}
