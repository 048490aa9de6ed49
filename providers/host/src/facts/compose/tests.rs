//! Lines as the scripts print them; the containers are as Docker 26.1 and Compose 2.26 tell of them.

use super::*;

/// A line of the script for a container of `app`.
pub(crate) fn container(service: &str, status: &str, health: &str, hash: &str) -> String {
    line(
        service,
        &format!("\"{status}\",0,\"{health}\",\"no\""),
        hash,
        "",
    )
}

fn line(service: &str, state: &str, hash: &str, depends_on: &str) -> String {
    format!(
        "container [\"3d68\",\"/app-{service}-1\",\"sha256:b281\",\"tiny:1\",{state},{{\
         \"com.docker.compose.config-hash\":\"{hash}\",\"com.docker.compose.depends_on\":\"{depends_on}\",\
         \"com.docker.compose.oneoff\":\"False\",\"com.docker.compose.project\":\"app\",\
         \"com.docker.compose.project.working_dir\":\"/srv/app\",\"com.docker.compose.service\":\"{service}\"}},\
         [\"/srv/app/conf/site.conf\",\"\"]]\n"
    )
}

fn output(stdout: impl Into<Vec<u8>>) -> Output {
    Output {
        stdout: stdout.into(),
        ..Output::default()
    }
}

fn state(lines: &[String], service: &str) -> State {
    let project = parse(&output(lines.concat())).expect("is understood");
    let mut all = project.containers.iter();
    let found = all.find(|container| container.service == service);
    found.expect("is told of").state(&project.containers)
}

#[test]
fn files_containers_images_and_volumes_are_told_apart() {
    let said = format!(
        "file compose.yaml 644 ab\ncontent compose.yaml {}\nfile .env 600 cd\nabsent conf/x\nother conf/y\npending\nanswers\n{}\
         image tiny:1 sha256:b281\nvolume app_data\nhash web h1\n",
        STANDARD.encode("services: {}\n"),
        container("web", "running", "healthy", "h1"),
    );
    let project = parse(&output(said)).expect("is understood");
    let compose = &project.files["compose.yaml"];
    assert_eq!(compose.mode, "0644");
    assert_eq!(compose.content.as_deref(), Some("services: {}\n"));
    assert_eq!(project.files[".env"].content, None, "it is known");
    assert_eq!(project.others, ["conf/y"]);
    assert!(project.is_pending && project.answers && project.lacks.is_none());
    assert_eq!(project.images["tiny:1"], "sha256:b281");
    assert_eq!(project.volumes, ["app_data"]);
    assert_eq!(project.hashes["web"], "h1");
    let [web] = &project.containers[..] else {
        panic!("{:?}", project.containers)
    };
    assert_eq!(
        (web.config_hash.as_str(), web.working_dir.as_str()),
        ("h1", "/srv/app")
    );
    assert!(web.mounts("/srv/app/conf/site.conf"));
    assert!(!web.mounts("/srv/app/conf/site.conf.old") && !web.mounts("/srv/app/compose.yaml"));
    assert_eq!(parse(&output("noise\n")), None);
}

#[test]
fn one_that_has_ended_is_done_only_where_it_was_to_end() {
    let exited = |code: i64, policy: &str| {
        vec![line(
            "job",
            &format!("\"exited\",{code},\"\",\"{policy}\""),
            "h",
            "",
        )]
    };
    assert_eq!(state(&exited(0, "on-failure"), "job"), State::Completed);
    assert_eq!(state(&exited(0, "no"), "job"), State::Exited(0));
    assert_eq!(state(&exited(137, "on-failure"), "job"), State::Exited(137));
    let mut awaited = exited(0, "no");
    let web = "\"running\",0,\"\",\"no\"";
    awaited.push(line(
        "web",
        web,
        "h",
        "job:service_completed_successfully:false,db:service_started:false",
    ));
    assert_eq!(state(&awaited, "job"), State::Completed);
    assert_eq!(state(&awaited, "web"), State::Running);
}

#[test]
fn containers_of_docker_compose_run_and_half_a_replacement_are_nobodys_service() {
    let one_off = container("web", "running", "", "h").replace("\"False\"", "\"True\"");
    let half = container("web", "created", "", "h")
        .replace("/app-web-1", "/90911ad4f9df_app-web-1")
        .replace(
            "{\"com",
            "{\"com.docker.compose.replace\":\"90911ad4f9df\",\"com",
        );
    let project = parse(&output(one_off + &half)).expect("is understood");
    assert_eq!(project.containers, []);
}

/// What is told of a model with these services as JSON, and these lines.
fn told(services: &str, lines: &[String]) -> Model {
    let json = format!(
        "{{\"services\":{{{services}}},\"volumes\":{{\"d\":{{\"name\":\"app_d\"}},\"e\":{{\"name\":\"e\",\"external\":true}}}}}}"
    );
    let said = format!("{}model {}\n", lines.concat(), STANDARD.encode(json));
    match model(&output(said)) {
        Some(Answer::Told(model)) => model,
        other => panic!("{other:?}"),
    }
}

fn fates(services: &str, lines: &[String]) -> BTreeMap<String, Fate> {
    outcome(&told(services, lines), "/srv/app", true)
}

#[test]
fn what_compose_would_do_is_told_with_its_reason() {
    let web = |hash: &str| container("web", "running", "healthy", hash);
    let service = "\"web\":{\"image\":\"tiny:1\"}";
    let hash = "hash web h1\n".to_owned();
    let image = |id: &str| format!("image tiny:1 sha256:{id}\n");
    let fate = |lines: &[String]| fates(service, lines)["web"].clone();

    assert_eq!(fate(std::slice::from_ref(&hash)), Fate::Created(1));
    assert_eq!(fate(&[hash.clone(), image("b281"), web("h1")]), Fate::Stays);
    assert_eq!(
        fate(&[hash.clone(), web("h0")]),
        Fate::Recreated("its configuration is another".into())
    );
    assert_eq!(
        fates("\"web\":{\"image\":\"tiny:2\"}", &[hash.clone(), web("h0")])["web"],
        Fate::Recreated("its image is `tiny:2` and was `tiny:1`".into())
    );
    assert_eq!(
        fate(&[hash.clone(), image("c3"), web("h1")]),
        Fate::Recreated("`tiny:1` is another image now".into())
    );
    assert_eq!(
        fate(&[
            hash.clone(),
            "changes conf/site.conf\nchanges compose.yaml\n".into(),
            web("h1")
        ]),
        Fate::Restarted(vec!["conf/site.conf".into()])
    );
    let paused = container("web", "paused", "", "h1");
    assert_eq!(fate(&[hash.clone(), paused]), Fate::Started(State::Paused));
    let ill = container("web", "running", "unhealthy", "h1");
    assert_eq!(fate(&[hash.clone(), ill]), Fate::Awaited);
    let sharing = "\"web\":{\"image\":\"tiny:1\",\"network_mode\":\"service:db\"}";
    assert_eq!(
        fates(sharing, &[hash.clone(), web("h0")])["web"],
        Fate::Open
    );
    let three = "\"web\":{\"image\":\"tiny:1\",\"deploy\":{\"replicas\":3}}";
    assert_eq!(
        fates(three, &[hash.clone(), web("h1")])["web"],
        Fate::Created(2)
    );
    let none = "\"web\":{\"image\":\"tiny:1\",\"scale\":0}";
    assert_eq!(fates(none, &[hash, web("h1")])["web"], Fate::Reduced);
}

#[test]
fn what_the_files_no_longer_have_is_removed_or_let_be() {
    let lines = [container("old", "running", "", "h")];
    let model = told("", &lines);
    assert_eq!(outcome(&model, "/srv/app", true)["old"], Fate::Removed);
    assert_eq!(outcome(&model, "/srv/app", false)["old"], Fate::Foreign);
    assert_eq!(model.volumes, ["app_d"], "an external one is another's");
}

#[test]
fn what_compose_refuses_and_what_is_lacking_is_told_in_their_words() {
    let refused = "refused yaml: line 4: could not find expected ':'\n";
    assert_eq!(
        model(&output(refused)),
        Some(Answer::Refused(
            "yaml: line 4: could not find expected ':'".into()
        ))
    );
    let lacks = "lacks Docker has no plugin `compose`; docker-compose is there, by itself\n";
    assert!(
        matches!(model(&output(lacks)), Some(Answer::Lacks(words)) if words.starts_with("Docker has no plugin"))
    );
}
