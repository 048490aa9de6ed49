//! A step that takes what another has said, on one machine and from one to another: what is said passes through no file
//! and no line of output, and a kill anywhere does no harm.

mod support;

use dmp_testkit::Sshd;
use support::Sandbox;

const STACK: &str = r#"
resource "host" "giver" {
  address  = "127.0.0.1"
  port     = GIVER_PORT
  user     = "USER"
  key_file = "GIVER/user_key"
  sudo     = false
}
resource "host" "given" {
  address  = "127.0.0.1"
  port     = GIVEN_PORT
  user     = "USER"
  key_file = "GIVEN/user_key"
  sudo     = false
}
resource "test_handover" "apart" {
  from = host.giver.connection
  to   = host.given.connection
  says = "cat 'GIVER/word'"
  file = "GIVEN/apart"
}
resource "test_handover" "alone" {
  from = host.giver.connection
  to   = host.giver.connection
  says = "cat 'GIVER/word'"
  file = "GIVER/alone"
}
provider "test" { cloud = "CLOUD" }
"#;

const WORD: &str = "swordfish-and-no-other";

struct Site {
    giver: Sshd,
    given: Sshd,
    sandbox: Sandbox,
}

impl Site {
    /// `None` where there is no sshd, which is said loudly.
    fn new() -> Option<Self> {
        let (giver, given) = (Sshd::start()?, Sshd::start()?);
        let folder = |sshd: &Sshd| {
            sshd.path("")
                .display()
                .to_string()
                .trim_end_matches('/')
                .to_owned()
        };
        let hcl = STACK
            .replace("GIVER_PORT", &giver.port.to_string())
            .replace("GIVEN_PORT", &given.port.to_string())
            .replace("USER", &dmp_testkit::user())
            .replace("GIVER", &folder(&giver))
            .replace("GIVEN", &folder(&given));
        std::fs::write(giver.path("word"), WORD).expect("writable");
        Some(Self {
            sandbox: Sandbox::stack(&hcl),
            giver,
            given,
        })
    }

    fn words(&self) -> [Option<String>; 2] {
        [self.given.path("apart"), self.giver.path("alone")]
            .map(|path| std::fs::read_to_string(path).ok())
    }
}

#[test]
fn a_step_takes_what_another_has_said_and_nobody_else_hears_it() {
    let Some(site) = Site::new() else { return };
    site.sandbox
        .run(&["apply", "--yes", "-v"])
        .expect_success()
        .hides(WORD);
    assert_eq!(site.words(), [Some(WORD.into()), Some(WORD.into())]);
    let folder = site.sandbox.stack_folder().join(".dmp");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("readable");
            let is_in = bytes
                .windows(WORD.len())
                .any(|part| part == WORD.as_bytes());
            assert!(!is_in, "{}", entry.path().display());
        }
    }
}

#[test]
fn what_a_giver_does_not_say_is_not_kept() {
    let Some(site) = Site::new() else { return };
    std::fs::remove_file(site.giver.path("word")).expect("is there");
    site.sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("say the word")
        .says("No such file");
    assert_eq!(site.words(), [None, None]);
    std::fs::write(site.giver.path("word"), WORD).expect("writable");
    site.sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(site.words(), [Some(WORD.into()), Some(WORD.into())]);
}

#[test]
fn killed_at_each_place_of_a_handover_the_next_run_goes_on() {
    for number in 1..200 {
        let Some(site) = Site::new() else { return };
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 10, "only {number} places");
            return;
        }
        site.sandbox.run(&["apply", "--yes"]).expect_success();
        assert_eq!(site.words(), [Some(WORD.into()), Some(WORD.into())], "{at}");
        site.sandbox
            .run(&["state", "verify"])
            .expect_success()
            .shows("4 instances, 0 open intents");
        site.sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
    }
}
