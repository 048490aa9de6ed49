//! `dmp fmt`: files in the canonical layout. It needs no stack, and no stack needs it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use dmp_lang::{Sources, format_file};
use dmp_sdk::Diagnostic;
use similar::TextDiff;

use super::{fail, print_raw};
use crate::arguments::Fmt;
use crate::{Context, Exit};

pub(crate) fn run(context: &Context, directory: &Path, arguments: &Fmt) -> Exit {
    let is_input = arguments.paths.iter().any(|path| path.as_os_str() == "-");
    let mut formatting = Formatting {
        context,
        list: arguments.list && !is_input,
        write: arguments.write && !is_input && !arguments.check,
        arguments,
        differs: false,
        failed: false,
    };
    if is_input {
        if arguments.paths.len() > 1 {
            let failed = Diagnostic::error("not-alone", "cannot format files and standard input");
            formatting.fail(&Sources::new(), &[failed.help("give `-` alone")]);
        } else {
            formatting.standard_input();
        }
    } else if arguments.paths.is_empty() {
        formatting.folder(directory, Path::new(""));
    } else {
        for path in &arguments.paths {
            formatting.path(directory, path);
        }
    }
    match (formatting.failed, arguments.check && formatting.differs) {
        (true, _) => Exit::NotFormatted,
        (false, true) => Exit::Unformatted,
        (false, false) => Exit::Success,
    }
}

struct Formatting<'a> {
    context: &'a Context,
    list: bool,
    write: bool,
    arguments: &'a Fmt,
    /// Whether a file was or is in another layout.
    differs: bool,
    failed: bool,
}

impl Formatting<'_> {
    fn standard_input(&mut self) {
        let mut bytes = Vec::new();
        if let Err(error) = std::io::stdin().lock().read_to_end(&mut bytes) {
            return self.cannot("cannot read file", "<stdin>", &error);
        }
        self.text(bytes, "<stdin>", None);
    }

    /// What was named on the command line.
    fn path(&mut self, directory: &Path, path: &Path) {
        let full = directory.join(path);
        if full.is_dir() {
            self.folder(&full, path);
        } else if !is_formatted(path) {
            let failed = Diagnostic::error("not-a-configuration", "file is not named `*.hcl`");
            let failed = failed.detail(format!("`{}`", path.display()));
            self.fail(&Sources::new(), &[failed]);
        } else {
            self.file(&full, path);
        }
    }

    /// The `*.hcl` files of a folder, sorted by name, and with `--recursive` those of its folders; hidden ones and what
    /// editors leave behind are left out. Links to folders are not followed.
    fn folder(&mut self, full: &Path, shown: &Path) {
        let entries = fs::read_dir(full).and_then(|entries| {
            entries
                .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
                .collect::<Result<Vec<_>, _>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let folder = full.to_string_lossy();
                return self.cannot("cannot read folder", &folder, &error);
            }
        };
        entries.sort_by(|one, two| one.0.cmp(&two.0));
        for (name, kind) in entries {
            let text = name.to_string_lossy();
            if text.starts_with('.') || text.ends_with('~') {
                continue;
            }
            let (full, shown) = (full.join(&name), shown.join(&name));
            if kind.is_dir() {
                if self.arguments.recursive {
                    self.folder(&full, &shown);
                }
            } else if is_formatted(&shown) && full.is_file() {
                self.file(&full, &shown);
            }
        }
    }

    fn file(&mut self, full: &Path, shown: &Path) {
        let name = shown.to_string_lossy();
        match fs::read(full) {
            Ok(bytes) => self.text(bytes, &name, Some(full)),
            Err(error) => self.cannot("cannot read file", &name, &error),
        }
    }

    fn text(&mut self, bytes: Vec<u8>, name: &str, file: Option<&Path>) {
        let Ok(text) = String::from_utf8(bytes) else {
            let failed = Diagnostic::error("cannot-read", "cannot read file");
            let failed = failed.detail(format!("`{name}` is not UTF-8 text"));
            return self.fail(&Sources::new(), &[failed]);
        };
        let formatted = match format_file(&text, name) {
            Ok(formatted) => formatted,
            Err(diagnostics) => {
                let mut sources = Sources::new();
                sources.add(name, text);
                return self.fail(&sources, &diagnostics);
            }
        };
        if formatted != text {
            self.differs = true;
            if self.write
                && let Some(file) = file
                && let Err(error) = replace(file, &formatted)
            {
                return self.cannot("cannot write file", name, &error);
            }
            if self.list {
                print_raw(&format!("{name}\n"));
            }
            if self.arguments.diff {
                print_raw(&difference(&text, &formatted, name));
            }
        }
        let is_asked_otherwise =
            self.list || self.write || self.arguments.diff || self.arguments.check;
        if !is_asked_otherwise {
            print_raw(&formatted);
        }
    }

    fn cannot(&mut self, what: &'static str, name: &str, error: &std::io::Error) {
        let failed = Diagnostic::error("cannot-format", what);
        self.fail(
            &Sources::new(),
            &[failed.detail(format!("`{name}`: {error}"))],
        );
    }

    fn fail(&mut self, sources: &Sources, diagnostics: &[Diagnostic]) {
        self.failed = true;
        fail(self.context, sources, diagnostics);
    }
}

fn is_formatted(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "hcl")
}

/// Puts a file's new text in its place, whole or not at all. A link stays one, and the permissions stay.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = fs::canonicalize(file)?;
    let folder = file.parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    let permissions = fs::metadata(&file)?.permissions();
    new.as_file().set_permissions(permissions)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn difference(old: &str, new: &str, name: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .header(&format!("old/{name}"), &format!("new/{name}"))
        .to_string()
}
