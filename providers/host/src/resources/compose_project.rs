//! `host_compose_project`: a Docker Compose project: its files on a machine, and the services that run by them.
//!
//! The project's name is the identity, and the directory the second one: containers of a project of that name which was
//! brought up from another directory are somebody else's, and never touched. Whether containers are as the files have them is
//! told by Compose's own hash of each service, so a plan says before anything is touched which are recreated, and why.

use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Claim, Diagnostic, Effect, Fetch, Job, Known,
    MarkWay, Object, Purpose, Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::compose::{self, Answer, Asked, Wanted};
use crate::kept::keeping;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, machine, plan_host, text, text_map, texts,
    unreadable, wrong,
};
use crate::resources::compose_project::files::Files;

mod files;
mod outlook;
mod reading;
mod scripts;

/// The resource type.
pub(crate) struct HostComposeProject {
    schema: Schema,
}

impl HostComposeProject {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_compose_project",
            "A Docker Compose project on a machine: its files, and the services that run by them. The machine needs Docker Engine and \
             Compose 2 (Debian 13: `docker.io`, `docker-cli` and `docker-compose`; Debian 12 has only Compose 1, which is refused); \
             Podman is not supported. A plan names the services that are created, recreated, restarted or removed, and why, by Compose's own hash \
             of each service. A service whose mounted files change is restarted, which Compose by itself does not do. Images are \
             pulled, never built. A service that ends by itself counts as done where its restart policy is `on-failure`, or another \
             one waits for it by `service_completed_successfully`; any other that does not run is started again.",
        )
        .mark(MarkWay::NaturalKey(&["host", "name", "directory"]))
        .on_delete("`docker compose down`: the containers and networks of the project are removed, and then its files. Named volumes stay with their data unless `delete_volumes` says otherwise; images stay. (Debian's `docker.io` removes all volumes when it is purged, as a delete of its `host_package` does; the module `docker-host` keeps it from that.)")
        .attribute("host", host_attribute())
        .attribute("name", Attribute::required(Type::String, "Name of the project: lower-case letters, digits, `-` and `_`.").replaces().unique())
        .attribute("directory", Attribute::required(Type::String, "Absolute path of the directory that the files lie in. It is made if it is missing; its parent has to be there.").replaces())
        .attribute("files", Attribute::required(Type::map(Type::String), "Contents by name below the directory, the Compose file among them: `{ \"compose.yaml\" = file(\"compose.yaml\"), \"conf/site.conf\" = … }`. Readable by all on the machine."))
        .attribute("sensitive_files", Attribute::optional(Type::map(Type::String), "The same for contents that are never shown, such as those of Compose's `secrets`.").sensitive())
        .attribute("sensitive_mode", Attribute::default(Type::String, "Permissions of `sensitive_files`. Compose mounts them as they are: where a container does not run as root it reads them only with `0444`.", "0600"))
        .attribute("env", Attribute::optional(Type::String, "Content of `.env`, from which Compose takes variables: lines `NAME='value'`. Never shown; readable by its owner alone.").sensitive())
        .attribute("compose_files", Attribute::optional_computed(Type::list(Type::String), "The Compose files among the files, the base first. Not given: `compose.yaml` or another of Compose's own names, and its override."))
        .attribute("profiles", Attribute::optional(Type::set(Type::String), "Profiles that are active."))
        .attribute("pull", Attribute::default(Type::String, "Whether images are pulled when the project is brought up: `missing`, those that the machine has not; `always`, all, for tags that move (a newer image at the registry alone is no reason for a plan to change anything); `never`.", "missing"))
        .attribute("remove_orphans", Attribute::default(Type::Bool, "Whether containers of services that the files no longer have, or whose profile is not active, are removed.", true))
        .attribute("wait", Attribute::default(Type::Bool, "Whether the services have to run, and be healthy where they have a health check, before the work counts as done.", true))
        .attribute("wait_timeout", Attribute::default(Type::Number, "Seconds in which they have to.", 300))
        .attribute("delete_volumes", Attribute::default(Type::Bool, "Whether a delete removes the named volumes, too. Their data are lost.", false))
        .attribute("services", Attribute::computed(Type::map(Type::String), "How each service is: `running`, `completed`, `unhealthy`, `stopped (status 137)`, `missing` …"))
        .attribute("images", Attribute::computed(Type::map(Type::String), "ID of the image that each service runs."))
        .attribute("config_hashes", Attribute::computed(Type::map(Type::String), "Compose's hash of each service that runs. Never shown: what it is made of may hold secrets.").sensitive())
        .attribute("volumes", Attribute::computed(Type::list(Type::String), "Its named volumes."));
        Self { schema }
    }
}

/// The script that reads a project, once its key is known.
fn ask(known: &Known<'_>) -> Script {
    let of = known.attributes;
    let (name, directory) = (text(of, "name"), text(of, "directory"));
    let is_written = !matches!(known.purpose, Purpose::Refresh | Purpose::BeforeCreate);
    compose::script(&Asked {
        name: &name,
        directory: &directory,
        files: Files::of(of).digests(),
        mark: known.mark,
        wants_hashes: is_written,
        compose_files: files::compose_files(of),
        profiles: files::profiles(of),
    })
}

/// The script that asks what planned files come to.
fn ask_for_model(planned: &Value) -> Script {
    let (name, directory) = (text(planned, "name"), text(planned, "directory"));
    compose::model_script(&Wanted {
        name: &name,
        directory: &directory,
        compose_files: files::compose_files(planned),
        profiles: files::profiles(planned),
        files: Files::of(planned).to_write(),
    })
}

/// What the services follow from.
const INPUTS: [&str; 6] = [
    "files",
    "sensitive_files",
    "sensitive_mode",
    "env",
    "compose_files",
    "profiles",
];

/// Whether the project has to be brought up: what it is made of changes, or one of its services is not well.
fn has_work(prior: Option<&Value>, planned: &Value) -> bool {
    let Some(prior) = prior else { return true };
    let waits = flag(planned, "wait");
    let removes = flag(planned, "remove_orphans");
    let is_bad = |state: &String| match state.as_str() {
        reading::ORPHAN => removes,
        state => !reading::is_well(state, waits),
    };
    let differs = |name: &&str| prior.get(name) != planned.get(name);
    let services = text_map(prior, "services");
    INPUTS.iter().any(differs) || services.is_empty() || services.values().any(is_bad)
}

/// The files that are there by an earlier configuration, and are wanted no more.
fn left_over(prior: Option<&Value>, wanted: &Value) -> Vec<String> {
    let wanted = Files::of(wanted);
    let wanted: Vec<&str> = wanted.names().collect();
    let there = prior.map(Files::of);
    let there = there.iter().flat_map(Files::names);
    there
        .filter(|name| !wanted.contains(name))
        .map(str::to_owned)
        .collect()
}

impl Resource for HostComposeProject {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let keys = ["name", "directory"];
        if known.purpose != Purpose::DryRun {
            return fetch(known, &keys, || ask(known));
        }
        let is_known = |name: &&str| known.attributes.get(name).is_wholly_known();
        match INPUTS.iter().all(is_known) {
            true => fetch(known, &keys, || ask_for_model(known.attributes)),
            false => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let unclear = || unreadable("a Compose project", output);
        if known.purpose == Purpose::DryRun {
            let attributes = told(
                known.attributes,
                compose::model(output).ok_or_else(unclear)?,
            )?;
            return Ok(Reading::Found(Object {
                attributes,
                id: None,
            }));
        }
        let project = compose::parse(output).ok_or_else(unclear)?;
        reading::refuse_anothers(known.attributes, &project.containers)?;
        if let Some(name) = project.others.first() {
            let directory = text(known.attributes, "directory");
            return Err(Diagnostic::remote("not-a-file", "not a regular file")
                .detail(format!(
                    "`{directory}/{name}` is a link, a directory or the like"
                ))
                .help("move it away, or give the file another name"));
        }
        if project.files.is_empty() && project.containers.is_empty() {
            return Ok(Reading::Absent);
        }
        let object = Object {
            attributes: reading::attributes(known, &project),
            id: Some(text(known.attributes, "name")),
        };
        let is_after = known.purpose == Purpose::AfterWrite;
        let is_half = project.is_pending && reading::may_be_half_made(known.purpose);
        Ok(match is_half && !is_after {
            true => Reading::HalfMade(object, "bringing it up has not come to its end".into()),
            false => Reading::Found(object),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        files::check(change)?;
        check(&change.planned)?;
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            return Err(refuse_there(&change.planned, earlier));
        }
        let is_replaced = ["name", "directory"]
            .iter()
            .any(|name| change.prior.is_some() && change.changes(name));
        let ends_with_data = |prior: &&Value| {
            is_replaced && flag(prior, "delete_volumes") && !texts(prior, "volumes").is_empty()
        };
        if let Some(prior) = change.prior.filter(ends_with_data) {
            change.effect(data_loss(prior));
        }
        let is_new = change.changes("delete_volumes");
        let volumes = change.prior.map(|prior| texts(prior, "volumes"));
        if let Some(volumes) = volumes.filter(|volumes| !volumes.is_empty() && is_new)
            && flag(&change.planned, "delete_volumes")
        {
            let names = volumes.join(", ");
            change.note(format!(
                "a delete takes the volumes along from then on, with their data: {names}"
            ));
        }
        if !has_work(change.prior, &change.planned) {
            return Ok(());
        }
        // What is removed is there while Compose is asked: what it said then would not be so afterwards.
        let told = match left_over(change.prior, &change.planned).is_empty() {
            true => change.dry_run(),
            false => None,
        };
        outlook::apply(change, told);
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let volumes = texts(prior, "volumes");
        let mut effects = Vec::new();
        let note = match (volumes.is_empty(), flag(prior, "delete_volumes")) {
            (true, _) => None,
            (false, true) => {
                effects.push(data_loss(prior));
                None
            }
            (false, false) => Some(format!("its volumes stay: {}", volumes.join(", "))),
        };
        (effects, note.into_iter().collect())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        let directory = value.get("directory");
        let (Ok(Some(on)), Some(directory)) = (machine(value), directory.as_str()) else {
            return Vec::new();
        };
        let files = Files::of(value);
        let paths = files.names().map(|name| format!("{directory}/{name}"));
        let project = format!("the Compose project in {directory}");
        paths
            .chain([project])
            .map(|what| Claim::whole(&on, what))
            .collect()
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        match job.verb {
            Verb::Delete => remove(job),
            _ => bring_up(job),
        }
    }
}

fn told(planned: &Value, answer: Answer) -> Result<Value, Diagnostic> {
    match answer {
        Answer::Told(model) => {
            reading::refuse_anothers(planned, &model.containers)?;
            outlook::told(&model, planned)
        }
        Answer::Refused(words) => Err(wrong(
            "files",
            "Compose does not take the files",
            "`docker compose config` refuses them",
        )
        .cause(words)),
        Answer::Lacks(words) => Err(Diagnostic::remote(
            "no-compose",
            "no Docker Compose on the machine",
        )
        .detail(format!(
            "the project `{}` needs Docker Engine with Compose 2",
            text(planned, "name")
        ))
        .cause(words)
        .help("install it (Debian 13: `docker.io`, `docker-cli`, `docker-compose`; or the module `docker-host`), and name that in `depends_on`")),
    }
}

fn refuse_there(planned: &Value, earlier: &Value) -> Diagnostic {
    let (name, directory) = (text(planned, "name"), text(planned, "directory"));
    let services: Vec<String> = text_map(earlier, "services").into_keys().collect();
    let what = match services.is_empty() {
        true => format!("there are files of it in `{directory}` already"),
        false => format!("it is there already, with {}", services.join(", ")),
    };
    Diagnostic::error("project-there", "a Compose project that dmp has not made")
        .detail(format!("`{name}`: {what}; it is left as it is"))
        .path(AttributePath::of("name"))
        .help(format!(
            "let it become dmp's by an `import` block with `id = \"{name}\"`, or give this one another `name` and `directory`"
        ))
}

fn data_loss(prior: &Value) -> Effect {
    Effect::DataLoss {
        what: format!("volumes {}", texts(prior, "volumes").join(", ")),
    }
}

fn check(planned: &Value) -> Result<(), Diagnostic> {
    let pull = planned.get("pull");
    let ways = ["always", "missing", "never"];
    if let Some(pull) = pull.as_str().filter(|pull| !ways.contains(pull)) {
        return Err(wrong(
            "pull",
            "not a way to pull",
            format!("`{pull}` is none of `{}`", ways.join("`, `")),
        )
        .did_you_mean(pull, ways));
    }
    let timeout = planned.get("wait_timeout");
    let is_time = |seconds: i64| (1..=86_400).contains(&seconds);
    if timeout.is_known() && !timeout.as_i64().is_some_and(is_time) {
        return Err(wrong(
            "wait_timeout",
            "not a time",
            "a number of whole seconds from 1 to 86400",
        ));
    }
    Ok(())
}

fn bring_up(job: &Job<'_>) -> Result<Work, Diagnostic> {
    let wanted = job.wanted()?;
    // What was cut off is done over: a script that finds nothing to do does nothing.
    let prior = job.prior.filter(|_| job.verb == Verb::Update);
    if !has_work(prior, wanted) {
        return Ok(Work::Steps(Vec::new()));
    }
    let on = known_machine(wanted)?;
    let name = text(wanted, "name");
    let yes = |attribute: &str| if flag(wanted, attribute) { "yes" } else { "no" };
    let script = |text: &'static str| {
        let script = Script::new(text)
            .var("name", name.clone())
            .var("directory", self::text(wanted, "directory"))
            .var("compose_files", files::compose_files(wanted).join(" "))
            .var("profiles", files::profiles(wanted).join(","))
            .var("pull", self::text(wanted, "pull"))
            .var("remove_orphans", yes("remove_orphans"))
            .var("wait", yes("wait"));
        keeping(script, job.mark)
    };
    let files = Files::of(wanted).to_write();
    let count = match files.len() {
        1 => "a file".to_owned(),
        count => format!("{count} files"),
    };
    let mut steps = vec![Step::new(
        format!("write {count} of {name}"),
        &on,
        script(scripts::WRITE).stdin(compose::payload(&files)),
    )];
    let left_over = left_over(job.prior, wanted);
    if !left_over.is_empty() {
        let run = script(scripts::REMOVE)
            .var("names", left_over.join(" "))
            .var("last", "no");
        steps.push(Step::new(
            format!("remove {} of {name}", left_over.join(", ")),
            &on,
            run,
        ));
    }
    steps.push(Step::new(format!("bring up {name}"), &on, script(scripts::UP)).within(FOR_PULLS));
    if flag(wanted, "wait") {
        let seconds = wanted.get("wait_timeout").as_i64();
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.unwrap_or(300);
        let run = script(scripts::WAIT).var("timeout", seconds.to_string());
        let step = Step::new(format!("wait until {name} is well"), &on, run);
        let deadline = Duration::from_secs(seconds.saturating_add(60));
        steps.push(step.within(deadline).waiting());
    }
    Ok(Work::Steps(steps))
}

fn remove(job: &Job<'_>) -> Result<Work, Diagnostic> {
    let prior = job.prior()?;
    let on = known_machine(prior)?;
    let name = text(prior, "name");
    let script = |text: &'static str| {
        let script = Script::new(text)
            .var("name", name.clone())
            .var("directory", self::text(prior, "directory"));
        keeping(script, job.mark)
    };
    let volumes = flag(prior, "delete_volumes");
    let down = script(scripts::DOWN).var("volumes", if volumes { "yes" } else { "no" });
    let names: Vec<String> = Files::of(prior).names().map(str::to_owned).collect();
    let files = script(scripts::REMOVE)
        .var("names", names.join(" "))
        .var("last", "yes");
    Ok(Work::Steps(vec![
        Step::new(format!("take down {name}"), &on, down),
        Step::new(format!("remove the files of {name}"), &on, files),
    ]))
}

/// How long bringing up may take: large images over a slow line.
const FOR_PULLS: Duration = Duration::from_secs(7200);

#[cfg(test)]
mod tests;
