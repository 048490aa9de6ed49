//! What is planned, read and done. What Docker and Compose say here was recorded; with the real ones it is tried in
//! `tests/live/tests/hosts/docker.rs`.

use super::*;
use crate::facts::compose::tests::container;
use crate::facts::file::digest;
use crate::on_host::tests::{self, a_machine, found, parse, plan, said, steps, value};

const COMPOSE: &str = "services: {web: {image: 'tiny:1'}}\n";

fn map(members: &[(&str, &str)]) -> Value {
    let member = |(name, text): &(&str, &str)| ((*name).into(), Value::from(*text));
    Value::map(members.iter().map(member).collect())
}

fn config(given: &[(&str, Value)]) -> Value {
    let base = [
        ("host", a_machine().to_value()),
        ("name", "app".into()),
        ("directory", "/srv/app".into()),
        ("files", map(&[("compose.yaml", COMPOSE)])),
    ];
    let all = [given, &base].concat();
    value(HostComposeProject::new().schema(), &all)
}

/// What is read where the Compose file is as wanted.
fn read_for(config: &Value, purpose: Purpose, lines: &str) -> Value {
    let sum = digest(COMPOSE.as_bytes());
    let stdout = format!("file compose.yaml 644 {sum}\nanswers\n{lines}");
    found(
        parse(
            &HostComposeProject::new(),
            config,
            purpose,
            stdout.as_bytes(),
        )
        .expect("parses"),
    )
}

fn made(config: &Value) -> Value {
    read_for(
        config,
        Purpose::AfterWrite,
        &container("web", "running", "healthy", "h1"),
    )
}

fn titles(verb: Verb, prior: Option<&Value>, wanted: Option<&Value>) -> Vec<String> {
    let nothing = Value::null();
    tests::titles(steps(
        &HostComposeProject::new(),
        verb,
        prior,
        wanted,
        Some(&nothing),
    ))
}

fn refused(given: &[(&str, Value)]) -> String {
    let config = config(given);
    match plan(&HostComposeProject::new(), &config, None, None) {
        Err(error) => said(&error),
        Ok(_) => panic!("is planned"),
    }
}

#[test]
fn what_runs_as_its_files_have_it_is_left_alone() {
    let config = config(&[]);
    let prior = made(&config);
    assert_eq!(prior.get("services"), map(&[("web", "running")]));
    let planned = plan(&HostComposeProject::new(), &config, Some(&prior), None).expect("plans");
    assert_eq!(planned.value, prior);
    assert_eq!(titles(Verb::Update, Some(&prior), Some(&prior)), [""; 0]);
}

#[test]
fn a_setting_that_touches_no_container_is_only_recorded() {
    let before = made(&config(&[]));
    let config = config(&[("delete_volumes", true.into()), ("pull", "always".into())]);
    let planned = plan(&HostComposeProject::new(), &config, Some(&before), None).expect("plans");
    assert!(planned.value.is_wholly_known());
    assert_eq!(
        titles(Verb::Update, Some(&before), Some(&planned.value)),
        [""; 0]
    );
}

#[test]
fn drift_is_a_service_that_stopped_went_or_was_made_otherwise() {
    let config = config(&[]);
    let recorded = made(&config);
    let now = |lines: &str| {
        let found = read_for(&recorded, Purpose::Refresh, lines);
        text_map(&found, "services")["web"].clone()
    };
    let web = |status: &str, hash: &str| container("web", status, "", hash);
    assert_eq!(now(&web("running", "h1")), "running");
    assert_eq!(now(&web("exited", "h1")), "stopped (status 0)");
    assert_eq!(now(""), "missing");
    assert_eq!(now(&web("running", "h2")), "running, configured otherwise");
    assert_eq!(
        now(&format!("{}image tiny:1 sha256:c3\n", web("running", "h1"))),
        "running, of an earlier image than `tiny:1` is now"
    );
    let two = [web("running", "h1"), web("exited", "h1")].concat();
    assert_eq!(now(&two), "1 of 2 stopped (status 0)");
    let more = [web("running", "h1"), container("old", "running", "", "h")].concat();
    let found = read_for(&recorded, Purpose::Refresh, &more);
    assert_eq!(text_map(&found, "services")["old"], reading::ORPHAN);

    for lines in [
        web("exited", "h1"),
        String::new(),
        web("running", "h2"),
        more,
    ] {
        let found = read_for(&recorded, Purpose::Refresh, &lines);
        let planned = plan(&HostComposeProject::new(), &config, Some(&found), None).expect("plans");
        assert_ne!(planned.value, found, "{lines}");
        assert_eq!(
            titles(Verb::Update, Some(&found), Some(&planned.value)),
            [
                "write a file of app",
                "bring up app",
                "wait until app is well"
            ],
        );
    }
}

#[test]
fn a_missing_replica_is_seen_by_what_is_recorded() {
    let config = config(&[]);
    let web = container("web", "running", "", "h1");
    let recorded = read_for(&config, Purpose::AfterWrite, &web.repeat(2));
    assert_eq!(text_map(&recorded, "services")["web"], "2 running");
    let found = read_for(&recorded, Purpose::Refresh, &web);
    assert_eq!(text_map(&found, "services")["web"], "1 of 2 running");
    assert!(has_work(Some(&found), &config));
}

#[test]
fn where_docker_does_not_answer_nothing_is_taken_for_gone() {
    let recorded = made(&config(&[]));
    let sum = digest(COMPOSE.as_bytes());
    let stdout = format!("file compose.yaml 644 {sum}\nlacks Docker does not answer: no socket\n");
    let reading = parse(
        &HostComposeProject::new(),
        &recorded,
        Purpose::Refresh,
        stdout.as_bytes(),
    );
    let found = found(reading.expect("parses"));
    assert_eq!(
        text_map(&found, "services")["web"],
        "not known: Docker does not answer: no socket"
    );
    assert_eq!(found.get("config_hashes"), recorded.get("config_hashes"));
}

#[test]
fn a_changed_file_is_shown_as_it_is_and_a_secret_keeps_its_mark() {
    let config = config(&[("env", "A='1'\n".into())]);
    let stdout = format!(
        "file compose.yaml 644 00\ncontent compose.yaml {}\nfile .env 644 {}\nanswers\n",
        "c2VydmljZXM6IHt9Cg==",
        digest(b"A='1'\n")
    );
    let reading = parse(
        &HostComposeProject::new(),
        &config,
        Purpose::Refresh,
        stdout.as_bytes(),
    );
    let found = found(reading.expect("parses"));
    assert_eq!(text_map(&found, "files")["compose.yaml"], "services: {}\n");
    assert!(found.get("env").marks().is_sensitive());
    assert_eq!(text(&found, "sensitive_mode"), "0644 (.env)");
}

#[test]
fn a_project_of_another_directory_is_never_taken_for_this_one() {
    let line = container("web", "running", "", "h").replace("/srv/app", "/home/alice");
    let stdout = format!("answers\n{line}");
    for purpose in [Purpose::BeforeCreate, Purpose::Refresh, Purpose::Settle] {
        let error = parse(
            &HostComposeProject::new(),
            &config(&[]),
            purpose,
            stdout.as_bytes(),
        );
        let error = said(&error.expect_err("is refused"));
        assert!(
            error.contains("one of the directory `/home/alice`"),
            "{error}"
        );
    }
}

#[test]
fn a_project_that_dmp_has_not_made_is_refused_and_the_import_named() {
    let config = config(&[]);
    let earlier = read_for(
        &config,
        Purpose::BeforeCreate,
        &container("web", "running", "", "h1"),
    );
    let error = plan(&HostComposeProject::new(), &config, None, Some(&earlier));
    let error = said(&error.err().expect("is refused"));
    assert!(
        error.contains("it is there already, with web") && error.contains("import"),
        "{error}"
    );
}

#[test]
fn what_was_cut_off_is_half_made_until_it_is_through() {
    let config = config(&[]);
    let sum = digest(COMPOSE.as_bytes());
    let web = container("web", "running", "", "h1");
    let stdout = format!("file compose.yaml 644 {sum}\npending\nanswers\n{web}");
    let read = |purpose| {
        parse(
            &HostComposeProject::new(),
            &config,
            purpose,
            stdout.as_bytes(),
        )
    };
    assert!(matches!(read(Purpose::Settle), Ok(Reading::HalfMade(..))));
    let Ok(Reading::HalfMade(object, _)) = read(Purpose::Suspect) else {
        panic!("it is half-made")
    };
    assert!(
        has_work(Some(&object.attributes), &config),
        "it is brought up again"
    );
    assert!(matches!(read(Purpose::Refresh), Ok(Reading::HalfMade(..))));
}

#[test]
fn files_that_are_wanted_no_more_are_removed() {
    let both = map(&[("compose.yaml", COMPOSE), ("conf/a", "x")]);
    let prior = made(&config(&[])).with("files", both);
    let wanted = config(&[("wait", false.into())]);
    assert_eq!(
        titles(Verb::Update, Some(&prior), Some(&wanted)),
        [
            "write a file of app",
            "remove conf/a of app",
            "bring up app"
        ]
    );
    assert_eq!(
        titles(Verb::Delete, Some(&prior), None),
        ["take down app", "remove the files of app"]
    );
}

#[test]
fn a_delete_says_what_stays_and_what_is_lost() {
    let project = HostComposeProject::new();
    let lines = format!("{}volume app_data\n", container("web", "running", "", "h1"));
    let prior = read_for(&config(&[]), Purpose::AfterWrite, &lines);
    let (effects, notes) = project.plan_delete(&prior);
    assert_eq!(notes, ["its volumes stay: app_data"]);
    assert!(
        effects
            .iter()
            .all(|effect| !matches!(effect, Effect::DataLoss { .. }))
    );
    let (effects, notes) = project.plan_delete(&prior.with("delete_volumes", true.into()));
    assert_eq!(notes, [""; 0]);
    assert!(
        effects
            .iter()
            .any(|effect| effect.to_string() == "LOSES DATA: volumes app_data")
    );
}

#[test]
fn the_compose_files_are_those_that_compose_would_take() {
    let files = map(&[
        ("compose.override.yaml", "x"),
        ("compose.yaml", "x"),
        ("docker-compose.yml", "x"),
    ]);
    let config = config(&[("files", files)]);
    let planned = plan(&HostComposeProject::new(), &config, None, None).expect("plans");
    assert_eq!(
        texts(&planned.value, "compose_files"),
        ["compose.yaml", "compose.override.yaml"]
    );
}

#[test]
fn what_can_never_be_is_refused_with_what_to_write() {
    let file = |name: &str| vec![("files", map(&[(name, "x")]))];
    assert!(refused(&file("stack.yaml")).contains("none of the files is called `compose.yaml`"));
    assert!(refused(&file(".env")).contains("write `env = …` instead"));
    assert!(refused(&file("../compose.yaml")).contains("below the directory"));
    assert!(refused(&[("name", "App".into())]).contains("lower-case"));
    assert!(refused(&[("directory", "/srv/app/".into())]).contains("without a `/` at its end"));
    assert!(refused(&[("pull", "newer".into())]).contains("none of `always`, `missing`, `never`"));
    assert!(refused(&[("wait_timeout", 0.into())]).contains("from 1 to 86400"));
    assert!(refused(&[("sensitive_mode", "u+r".into())]).contains("not an octal number"));
    let twice = map(&[("compose.yaml", "x")]);
    assert!(refused(&[("sensitive_files", twice)]).contains("is among `files`, too"));
    let named = Value::list(vec!["compose.yml".into()]);
    assert!(refused(&[("compose_files", named)]).contains("did you mean `compose.yaml`?"));
}

#[test]
fn two_projects_do_not_share_files_or_a_directory() {
    let project = HostComposeProject::new();
    let one = project.claims(&config(&[]));
    let two = project.claims(&config(&[("name", "other".into())]));
    assert!(
        one.iter()
            .any(|claim| two.iter().any(|other| claim.contradicts(other)))
    );
    let places: Vec<&str> = one.iter().map(|claim| claim.what.as_str()).collect();
    assert_eq!(
        places,
        ["/srv/app/compose.yaml", "the Compose project in /srv/app"]
    );
}

/// What a dry run of the planned values tells.
fn asked(planned: &Value, stdout: &str) -> Result<Value, Diagnostic> {
    parse(
        &HostComposeProject::new(),
        planned,
        Purpose::DryRun,
        stdout.as_bytes(),
    )
    .map(found)
}

fn model_line(json: &str) -> String {
    use base64::Engine as _;
    format!(
        "model {}\n",
        base64::engine::general_purpose::STANDARD.encode(json)
    )
}

#[test]
fn a_plan_names_the_services_that_are_touched_and_why() {
    let config = config(&[]);
    let model =
        model_line("{\"services\":{\"web\":{\"image\":\"tiny:1\"},\"db\":{\"image\":\"tiny:1\"}}}");
    let lines = format!(
        "hash web h2\nhash db h1\nimage tiny:1 sha256:b281\n{model}{}{}",
        container("web", "running", "", "h1"),
        container("db", "running", "", "h1"),
    );
    let told = asked(&config, &lines).expect("tells");
    assert_eq!(
        texts(&told, "notes"),
        [
            "web is recreated: its configuration is another",
            "as it is: db"
        ]
    );
    assert_eq!(texts(&told, "interrupted"), ["web"]);
}

#[test]
fn an_image_that_may_not_be_pulled_and_is_not_there_is_refused() {
    let config = config(&[("pull", "never".into())]);
    let model = model_line("{\"services\":{\"web\":{\"image\":\"tiny:9\"}}}");
    let error = said(&asked(&config, &model).expect_err("is refused"));
    assert!(error.contains("`tiny:9` is not on the machine"), "{error}");
    let lacks = "lacks Docker is not there; Podman is, and is not supported\n";
    let error = asked(&config, lacks).expect_err("is refused");
    assert!(said(&error).contains("docker-host"), "{error}");
}
