//! The pages of the documentation: each example in them does what the page says.
//!
//! A fence `hcl` begins a stack in a folder of its own, `hcl file=NAME` adds a file to it; the stack must be valid. A fence
//! `console` holds commands after `$` and what they print, in the folder of the stack before it; `…` stands for any text, on
//! a line of its own for any lines, and `exit code N` tells how the command ends if not with 0. A fence `expressions` holds
//! lines `EXPRESSION => VALUE`, or `=> error: …` for what is refused. Where a page is about a machine, it is a real `sshd`
//! on loopback, and `debian@192.0.2.10` and `/srv` of the page stand for it.

mod support;

use std::path::{Path, PathBuf};

use dmp_testkit::Sshd;
use support::Sandbox;

/// A fence of a page.
struct Fence {
    kind: String,
    file: Option<String>,
    text: String,
    /// Where it begins, for a person.
    place: String,
}

fn fences(page: &Path) -> Vec<Fence> {
    let text = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(header), None) => {
                let (kind, rest) = header.split_once(' ').unwrap_or((header, ""));
                open = Some(Fence {
                    kind: kind.to_owned(),
                    file: rest.strip_prefix("file=").map(str::to_owned),
                    text: String::new(),
                    place: format!("{}:{}", page.display(), number + 1),
                });
            }
            (None, Some(fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a fence is not closed", page.display());
    found
}

/// What a page's words stand for: nothing, or a machine.
#[derive(Default)]
struct Scene {
    /// Words of the page, and what is there in their place.
    words: Vec<(String, String)>,
    /// The SSH configuration of whoever follows the page.
    ssh_config: Option<String>,
}

impl Scene {
    /// A machine, which is this one for the current user. The folder for what the page puts below `/srv` is made.
    fn on(sshd: &Sshd) -> Self {
        let srv = sshd.path("srv");
        std::fs::create_dir_all(&srv).expect("writable");
        let user = dmp_testkit::user();
        let words = [
            ("= \"debian\"", format!("= \"{user}\"\n  sudo = false")),
            ("/srv", srv.display().to_string()),
        ];
        let ssh_config = format!(
            "Host 192.0.2.*\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n",
            sshd.port,
            sshd.path("user_key").display()
        );
        Self {
            words: words.map(|(page, real)| (page.to_owned(), real)).into(),
            ssh_config: Some(ssh_config),
        }
    }

    fn stack(&self, text: &str) -> Sandbox {
        let sandbox = Sandbox::stack(&self.real(text));
        if let Some(config) = &self.ssh_config {
            let folder = sandbox.path().join(".ssh");
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(folder.join("config"), config).expect("writable");
        }
        sandbox
    }

    /// A text of the page as it is done.
    fn real(&self, text: &str) -> String {
        let words = self.words.iter();
        words.fold(text.to_owned(), |text, (page, real)| {
            text.replace(page, real)
        })
    }

    /// What is printed, in the page's words.
    fn told(&self, text: &str) -> String {
        let words = self.words.iter();
        words.fold(text.to_owned(), |text, (page, real)| {
            text.replace(real, page)
        })
    }
}

/// Goes through a page. Returns how many stacks, commands and expressions there were.
fn follow(page: &Path) -> [usize; 3] {
    follow_on(page, &Scene::default())
}

fn follow_on(page: &Path, scene: &Scene) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut stack: Option<(Sandbox, String)> = None;
    let mut is_checked = true;
    for fence in fences(page) {
        let begins = fence.kind == "hcl" && fence.file.is_none();
        if (begins || fence.kind == "console") && !is_checked {
            valid(&stack);
            is_checked = true;
        }
        match (fence.kind.as_str(), &fence.file) {
            ("hcl", None) => {
                stack = Some((scene.stack(&fence.text), fence.place));
                is_checked = false;
                counts[0] += 1;
            }
            (_, Some(name)) => {
                let (sandbox, _) = stack
                    .as_ref()
                    .unwrap_or_else(|| panic!("{}: no stack", fence.place));
                let path = sandbox.stack_folder().join(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                sandbox.write(name, &scene.real(&fence.text));
                is_checked = false;
            }
            ("console", None) => {
                let nothing = Sandbox::stack("");
                let sandbox = stack.as_ref().map_or(&nothing, |(sandbox, _)| sandbox);
                counts[1] += console(sandbox, &fence, scene);
            }
            ("expressions", None) => counts[2] += expressions(&fence),
            _ => {}
        }
    }
    if !is_checked {
        valid(&stack);
    }
    counts
}

fn valid(stack: &Option<(Sandbox, String)>) {
    let (sandbox, place) = stack.as_ref().expect("a stack");
    let ran = sandbox.run(&["validate"]);
    assert_eq!(ran.code, Some(0), "{place}: {}", ran.err);
}

fn console(sandbox: &Sandbox, fence: &Fence, scene: &Scene) -> usize {
    let mut commands = 0;
    let mut lines = fence.text.lines().peekable();
    while let Some(line) = lines.next() {
        let typed = line.strip_prefix("$ dmp ");
        let typed =
            typed.unwrap_or_else(|| panic!("{}: `$ dmp …` is expected, not {line}", fence.place));
        let mut wanted = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            wanted.push(line);
        }
        let code = wanted
            .last()
            .and_then(|line| line.strip_prefix("exit code "));
        let code: i32 = code.map_or(0, |code| code.parse().expect("a number"));
        wanted.retain(|line| !line.starts_with("exit code "));
        let arguments = split(&scene.real(typed));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = sandbox.run(&arguments);
        let printed = scene.told(&format!("{}{}", ran.out, ran.err));
        let place = &fence.place;
        assert_eq!(ran.code, Some(code), "{place}: dmp {typed}\n{printed}");
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        assert!(
            matches(&wanted, &printed),
            "{place}: dmp {typed}\n--- wanted\n{}\n--- printed\n{}",
            wanted.join("\n"),
            printed.join("\n")
        );
        commands += 1;
    }
    commands
}

/// Whether lines are as wanted; blank lines do not count.
fn matches(wanted: &[&str], printed: &[&str]) -> bool {
    let (Some((first, rest)), printed) = (wanted.split_first(), printed) else {
        return printed.iter().all(|line| line.is_empty());
    };
    if first.is_empty() {
        return matches(rest, printed);
    }
    if *first == "…" {
        return (0..=printed.len()).any(|at| matches(rest, &printed[at..]));
    }
    let Some((line, later)) = printed.split_first() else {
        return false;
    };
    if line.is_empty() {
        return matches(wanted, later);
    }
    is_like(first, line) && matches(rest, later)
}

/// Whether a line is as wanted, where `…` is any text.
fn is_like(wanted: &str, line: &str) -> bool {
    let Some((before, after)) = wanted.split_once('…') else {
        return wanted == line;
    };
    let Some(rest) = line.strip_prefix(before) else {
        return false;
    };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && is_like(after, &rest[at..]))
}

fn expressions(fence: &Fence) -> usize {
    let sandbox = Sandbox::stack("");
    std::fs::remove_file(sandbox.stack_folder().join("main.hcl")).expect("is there");
    let lines: Vec<&str> = fence.text.lines().filter(|line| !line.is_empty()).collect();
    for line in &lines {
        let (expression, wanted) = line
            .rsplit_once(" => ")
            .unwrap_or_else(|| panic!("{}: no `=>` in {line}", fence.place));
        let ran = sandbox.run(&["console", "--eval", expression.trim_end()]);
        match wanted.strip_prefix("error: ") {
            Some(why) => {
                assert_ne!(ran.code, Some(0), "{}: {line}", fence.place);
                assert!(
                    ran.err.contains(why),
                    "{}: {line}\n{}",
                    fence.place,
                    ran.err
                );
            }
            None => {
                let printed: Vec<&str> = ran.out.split_whitespace().collect();
                let wanted: Vec<&str> = wanted.split_whitespace().collect();
                assert_eq!(
                    printed.join(" "),
                    wanted.join(" "),
                    "{}: {line}\n{}",
                    fence.place,
                    ran.err
                );
            }
        }
    }
    lines.len()
}

/// A line as a shell takes it apart, of which the pages need single quotes only.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("a word").push(letter),
        }
    }
    words
}

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

#[test]
fn the_language_is_as_its_page_says() {
    let [stacks, commands, expressions] = follow(&page("reference/language.md"));
    assert!(
        stacks > 10 && commands > 15 && expressions > 25,
        "{stacks}, {commands}, {expressions}"
    );
}

#[test]
fn who_comes_from_terraform_finds_it_as_the_page_says() {
    let [stacks, commands, _] = follow(&page("guide/coming-from-terraform.md"));
    assert!(stacks > 3 && commands > 4, "{stacks}, {commands}");
}

#[test]
fn the_engine_works_as_its_page_says() {
    let [stacks, commands, _] = follow(&page("reference/semantics.md"));
    assert!(stacks > 4 && commands > 10, "{stacks}, {commands}");
}

#[test]
fn who_has_a_machine_manages_it_as_the_page_says() {
    let Some(sshd) = Sshd::start() else { return };
    let page = page("guide/your-first-host.md");
    let [stacks, commands, _] = follow_on(&page, &Scene::on(&sshd));
    assert!(stacks > 0 && commands > 8, "{stacks}, {commands}");
}

#[test]
fn who_comes_from_ansible_finds_it_as_the_page_says() {
    let Some(sshd) = Sshd::start() else { return };
    let page = page("guide/coming-from-ansible.md");
    let [stacks, commands, _] = follow_on(&page, &Scene::on(&sshd));
    assert!(stacks > 1 && commands > 4, "{stacks}, {commands}");
}

#[test]
fn who_goes_from_the_lab_to_a_cluster_has_valid_stacks() {
    let [stacks, _, _] = follow(&page("guide/proxmox.md"));
    assert_eq!(stacks, 3);
}

#[test]
fn who_goes_from_clouds_yaml_to_a_machine_has_valid_stacks() {
    let [stacks, _, _] = follow(&page("guide/openstack.md"));
    assert_eq!(stacks, 1);
}

#[test]
fn the_example_for_machines_and_its_modules_are_valid_and_in_the_canonical_layout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sandbox = Sandbox::stack("");
    for folder in ["examples/hosts", "modules/base-host", "modules/hardening"] {
        let folder = root.join(folder);
        for command in [&["validate"][..], &["fmt", "--check"]] {
            let mut command = sandbox.command(command);
            let ran = command.current_dir(&folder).output().expect("starts");
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{command:?} in {folder:?}: {said}");
        }
    }
}
