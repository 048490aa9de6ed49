//! Reads the folders of a stack and of the modules it calls. Nothing else in this crate touches the disk.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use dmp_sdk::{Diagnostic, Fault, Span};
use sha2::{Digest, Sha256};

use crate::config::{Configuration, Module, ModuleId, add_file};
use crate::package::{
    LOCK_FILE, LockedPackages, PACKAGES, Package, Source, has_login, read_source, without_login,
};
use crate::parse::parse_file;
use crate::scope::{FileError, Files};
use crate::sources::Sources;

/// Reads a stack with its modules, recursively.
///
/// The configuration holds whatever could be understood; it may be used only if no diagnostic is an error.
#[must_use]
pub fn load_stack(directory: &Path) -> (Configuration, Sources, Vec<Diagnostic>) {
    let mut of_lock = Sources::new();
    let (lock, failed) = match read_lock(directory, &mut of_lock) {
        Ok(lock) => (lock, Vec::new()),
        Err(failed) => (LockedPackages::default(), failed),
    };
    let mut loaded = load_with(directory, &lock);
    let is_broken = !failed.is_empty();
    // Then it is the lock file that makes modules look as if they were missing.
    let missing = |diagnostic: &Diagnostic| is_broken && diagnostic.code == NOT_FETCHED;
    loaded.diagnostics.retain(|diagnostic| !missing(diagnostic));
    loaded.diagnostics.extend(failed);
    for (name, text) in of_lock.iter().filter(|_| is_broken) {
        loaded.sources.add(name, text.to_string());
    }
    (loaded.configuration, loaded.sources, loaded.diagnostics)
}

/// Reads the lock file of a stack, and adds its text to others; without one nothing is locked.
///
/// # Errors
/// What is wrong in it.
pub fn read_lock(
    directory: &Path,
    sources: &mut Sources,
) -> Result<LockedPackages, Vec<Diagnostic>> {
    let path = tidy(directory).join(LOCK_FILE);
    let name = shown(&path);
    let refused = |why: String| {
        let failed = Diagnostic::error("cannot-read", "cannot read file");
        vec![failed.detail(format!("`{name}`: {why}"))]
    };
    match read_bounded(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => {
                let lock = LockedPackages::parse(&text, &name);
                sources.add(&name, text);
                lock
            }
            Err(_) => Err(refused("it is not UTF-8 text".into())),
        },
        Err(FileError::NotFound) => Ok(LockedPackages::default()),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// A stack as far as it could be loaded.
pub struct Loaded {
    /// What could be understood.
    pub configuration: Configuration,
    /// The texts.
    pub sources: Sources,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// Packages that are not there as the lock says, in the order in which they are called.
    pub missing: Vec<Package>,
    /// Packages that are.
    pub used: Vec<Package>,
}

impl Loaded {
    /// What is wrong beside modules that are not fetched.
    #[must_use]
    pub fn other_errors(&self) -> Vec<Diagnostic> {
        let is_other =
            |diagnostic: &&Diagnostic| diagnostic.is_error() && diagnostic.code != NOT_FETCHED;
        self.diagnostics.iter().filter(is_other).cloned().collect()
    }
}

/// The same with a lock that is not in the folder yet.
#[must_use]
pub fn load_with(directory: &Path, lock: &LockedPackages) -> Loaded {
    let mut loader = Loader {
        root: tidy(directory),
        modules: Vec::new(),
        known: HashMap::new(),
        under_way: Vec::new(),
        lock,
        package: None,
        sound: HashMap::new(),
        missing: Vec::new(),
        used: Vec::new(),
        sources: Sources::new(),
        diagnostics: Vec::new(),
    };
    let root = loader.folder(&tidy(directory), None);
    let root = root.unwrap_or_else(|| {
        loader.modules.push(Module::default());
        ModuleId(loader.modules.len() - 1)
    });
    let configuration = Configuration {
        root,
        modules: loader.modules,
        digest: digest(&loader.sources, &loader.root),
    };
    Loaded {
        configuration,
        sources: loader.sources,
        diagnostics: loader.diagnostics,
        missing: loader.missing,
        used: loader.used,
    }
}

struct Loader<'l> {
    root: PathBuf,
    modules: Vec<Module>,
    known: HashMap<PathBuf, ModuleId>,
    /// The folders whose modules are being loaded, the stack's first.
    under_way: Vec<PathBuf>,
    lock: &'l LockedPackages,
    /// The folder of the package whose modules are being loaded; what they call by a path is inside it.
    package: Option<PathBuf>,
    /// Whether what is in a package's folder is what is locked.
    sound: HashMap<PathBuf, bool>,
    missing: Vec<Package>,
    used: Vec<Package>,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Loader<'_> {
    /// Loads a folder, unless that was done before. `None` if there is nothing, which has been complained of.
    fn folder(&mut self, directory: &Path, called: Option<&Span>) -> Option<ModuleId> {
        let identity = match fs::canonicalize(directory) {
            Ok(identity) => identity,
            Err(error) => {
                self.complain(cannot_read(directory, &error).at(called.cloned()));
                return None;
            }
        };
        if let Some(at) = self.under_way.iter().position(|folder| *folder == identity) {
            self.complain(self.calls_itself(at, directory, called));
            return None;
        }
        if let Some(known) = self.known.get(&identity) {
            return Some(*known);
        }
        let files = match files_of(directory) {
            Ok(files) => files,
            Err(error) => {
                self.complain(cannot_read(directory, &error).at(called.cloned()));
                return None;
            }
        };
        if files.is_empty() {
            self.complain(
                Diagnostic::error("no-files", "no configuration here")
                    .detail(format!("`{}` has no `*.hcl` files", shown(directory)))
                    .at(called.cloned()),
            );
            return None;
        }
        let mut module = Module {
            directory: shown(directory).into(),
            ..Module::default()
        };
        for file in files {
            self.file(&file, &mut module);
        }
        self.under_way.push(identity.clone());
        self.calls(directory, &mut module);
        self.under_way.pop();
        self.modules.push(module);
        let id = ModuleId(self.modules.len() - 1);
        self.known.insert(identity, id);
        Some(id)
    }

    fn file(&mut self, path: &Path, module: &mut Module) {
        let name = shown(path);
        let text = match read_bounded(path) {
            Ok(bytes) => String::from_utf8(bytes),
            Err(error) => {
                let failed = Diagnostic::error("cannot-read", "cannot read file");
                self.complain(failed.detail(format!("`{name}`: {error}")));
                return;
            }
        };
        let Ok(text) = text else {
            let failed = Diagnostic::error("cannot-read", "cannot read file");
            self.complain(failed.detail(format!("`{name}` is not UTF-8 text")));
            return;
        };
        let (body, diagnostics) = parse_file(&text, &name);
        self.sources.add(&name, text);
        self.diagnostics.extend(diagnostics);
        add_file(module, body, &mut self.diagnostics);
    }

    fn calls(&mut self, directory: &Path, module: &mut Module) {
        for call in module.calls.values_mut() {
            let source = call.source.text.as_ref();
            // A line with a login in it is not shown.
            let place = match has_login(source) {
                true => call.span.clone(),
                false => call.source.span.clone(),
            };
            match read_source(source) {
                Ok(Source::Folder) => {
                    let folder = tidy(&directory.join(source));
                    call.module = match self.is_outside(&folder) {
                        true => {
                            self.complain(outside(source, &place));
                            None
                        }
                        false => self.folder(&folder, Some(&place)),
                    };
                }
                Ok(Source::Package { package, below }) => {
                    call.module = self.package(&call.name.text, package, &below, &place);
                }
                Err(why) => {
                    let failed = Diagnostic::error("wrong-source", "no such source of modules")
                        .detail(format!("`{}`: {why}", without_login(source)))
                        .at(place);
                    let is_name = !source.contains(':') && !source.contains("//");
                    self.complain(match is_name {
                        true => {
                            failed.help(format!("write `./{source}` for a folder beside this file"))
                        }
                        false => failed,
                    });
                }
            }
        }
    }

    /// Whether a folder is beyond the package that calls it.
    fn is_outside(&self, folder: &Path) -> bool {
        let Some(package) = &self.package else {
            return false;
        };
        let real = |path: &Path| fs::canonicalize(path).ok();
        match (real(package), real(folder)) {
            (Some(package), Some(folder)) => !folder.starts_with(package),
            // It is complained of as missing.
            _ => false,
        }
    }

    /// A module in a package that `dmp init` has fetched.
    fn package(
        &mut self,
        call: &str,
        package: Package,
        below: &str,
        place: &Span,
    ) -> Option<ModuleId> {
        let not_fetched = |summary: &str, why: &str| {
            Diagnostic::error(NOT_FETCHED, summary)
                .detail(format!(
                    "`{package}`, which the module `{call}` comes from, {why}"
                ))
                .at(place.clone())
                .help("run `dmp init`")
        };
        let Some(locked) = self.lock.get(&package) else {
            self.complain(not_fetched(
                "module is not fetched",
                &format!("is not in `{LOCK_FILE}`"),
            ));
            note(&mut self.missing, package);
            return None;
        };
        let folder = self
            .root
            .join(PACKAGES)
            .join(package.folder_name(&locked.commit));
        if !folder.is_dir() {
            self.complain(not_fetched("module is not fetched", "is not here yet"));
            note(&mut self.missing, package);
            return None;
        }
        let is_sound = *self.sound.entry(folder.clone()).or_insert_with(|| {
            digest_of_folder(&folder).is_ok_and(|digest| digest == locked.digest)
        });
        if !is_sound {
            let why = format!("is not what `{LOCK_FILE}` says: somebody has changed it");
            self.complain(not_fetched("module is another one", &why));
            note(&mut self.missing, package);
            return None;
        }
        note(&mut self.used, package);
        let around = self.package.replace(folder.clone());
        let inside = tidy(&folder.join(below));
        let module = match self.is_outside(&inside) {
            true => {
                self.complain(outside(below, place));
                None
            }
            false => self.folder(&inside, Some(place)),
        };
        self.package = around;
        module
    }

    fn calls_itself(&self, at: usize, directory: &Path, called: Option<&Span>) -> Diagnostic {
        let mut path: Vec<String> = self.under_way[at..]
            .iter()
            .map(|folder| match folder.file_name() {
                Some(name) => format!("`{}`", name.to_string_lossy()),
                None => format!("`{}`", shown(folder)),
            })
            .collect();
        path.extend(path.first().cloned());
        Diagnostic::error("module-cycle", "module calls itself")
            .detail(format!(
                "`{}` is called inside itself: {}",
                shown(directory),
                path.join(" → ")
            ))
            .at(called.cloned())
    }

    fn complain(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

fn note(packages: &mut Vec<Package>, package: Package) {
    if !packages.contains(&package) {
        packages.push(package);
    }
}

fn outside(source: &str, place: &Span) -> Diagnostic {
    Diagnostic::error("outside", "module is outside of its package")
        .detail(format!(
            "`{}` leads out of what was fetched",
            without_login(source)
        ))
        .at(place.clone())
}

/// `sha256:` and SHA-256 over the names and contents of all files below a folder, links by where they lead.
///
/// # Errors
/// When something can't be read, or there are more than a hundred thousand files.
pub fn digest_of_folder(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(below) = waiting.pop() {
        for entry in fs::read_dir(&below)? {
            let path = entry?.path();
            match fs::symlink_metadata(&path)?.is_dir() {
                true => waiting.push(path),
                false => files.push(path),
            }
            if files.len() > MOST_FILES {
                return Err(io::Error::other(format!("more than {MOST_FILES} files")));
            }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let metadata = fs::symlink_metadata(&path)?;
        let (kind, content) = match metadata.is_symlink() {
            true => ("link", fs::read_link(&path)?.into_os_string().into_vec()),
            false if metadata.is_file() => ("file", fs::read(&path)?),
            false => return Err(io::Error::other("there is something that is no file")),
        };
        for part in [kind.as_bytes(), name.as_os_str().as_bytes(), &content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Ok(format!("sha256:{}", hex::encode(hash.finalize())))
}

/// The `*.hcl` files of a folder, sorted by name; hidden ones, files of values and lock files are left out.
fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = name.ends_with(".hcl")
            && !name.starts_with('.')
            && !name.ends_with(".auto.hcl")
            && name != LOCK_FILE;
        if is_ours && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, FileError> {
    let metadata = fs::metadata(path).map_err(|error| file_error(&error))?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    if metadata.len() > LARGEST_FILE {
        return Err(FileError::TooLarge(LARGEST_FILE));
    }
    fs::read(path).map_err(|error| file_error(&error))
}

fn file_error(error: &io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Refused(error.to_string()),
    }
}

fn cannot_read(directory: &Path, error: &io::Error) -> Diagnostic {
    let mut failed = Diagnostic::error("cannot-read", "cannot read folder").detail(format!(
        "`{}`: {}",
        shown(directory),
        file_error(error)
    ));
    failed.fault = Fault::User;
    failed
}

/// A path without the steps that lead nowhere: `./a/../b` is `b`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(tidied.components().next_back(), Some(Component::Normal(_))) =>
            {
                tidied.pop();
            }
            component => tidied.push(component),
        }
    }
    if tidied.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        tidied
    }
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    match path.as_os_str().is_empty() {
        true => ".".into(),
        false => path.to_string_lossy().into_owned(),
    }
}

/// SHA-256 over all names and texts. Names count from the stack's folder, so that a copy elsewhere has the same.
fn digest(sources: &Sources, root: &Path) -> String {
    let mut files: Vec<(String, &Arc<str>)> = sources
        .iter()
        .map(|(name, text)| {
            (
                shown(
                    Path::new(name.as_ref())
                        .strip_prefix(root)
                        .unwrap_or(Path::new(name.as_ref())),
                ),
                text,
            )
        })
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for (name, text) in files {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// The files of the disk, relative paths taken from one folder.
#[derive(Clone, Debug)]
pub struct DiskFiles {
    base: PathBuf,
}

impl DiskFiles {
    /// Files relative to a folder.
    #[must_use]
    pub fn relative_to(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }
}

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, FileError> {
        read_bounded(&self.base.join(path)).map(Arc::from)
    }

    fn exists(&self, path: &str) -> Result<bool, FileError> {
        match fs::metadata(self.base.join(path)) {
            Ok(metadata) if metadata.is_file() => Ok(true),
            Ok(_) => Err(FileError::NotAFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(file_error(&error)),
        }
    }

    fn below(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let base = self.base.join(folder);
        let mut found = Vec::new();
        let mut waiting = vec![(base.clone(), 0)];
        while let Some((folder, depth)) = waiting.pop() {
            for entry in fs::read_dir(&folder).map_err(|error| file_error(&error))? {
                let path = entry.map_err(|error| file_error(&error))?.path();
                // A link that leads nowhere is no file.
                let Ok(metadata) = fs::metadata(&path) else {
                    continue;
                };
                if metadata.is_dir() && depth < DEEPEST_FOLDER {
                    waiting.push((path, depth + 1));
                } else if metadata.is_file() {
                    let name = path.strip_prefix(&base).unwrap_or(&path);
                    found.push(name.to_string_lossy().into_owned());
                }
                if found.len() > MOST_FILES {
                    let why = format!("there are more than {MOST_FILES} files in it");
                    return Err(FileError::Refused(why));
                }
            }
        }
        Ok(found)
    }

    fn current_folder(&self) -> Result<String, FileError> {
        let folder = std::env::current_dir().map_err(|error| file_error(&error))?;
        Ok(folder.to_string_lossy().into_owned())
    }

    fn home(&self) -> Result<String, FileError> {
        let home = std::env::home_dir().ok_or(FileError::NotFound)?;
        Ok(home.to_string_lossy().into_owned())
    }
}

/// The code of what `dmp init` mends.
const NOT_FETCHED: &str = "not-fetched";
/// Links may lead in a circle.
const DEEPEST_FOLDER: usize = 40;
const MOST_FILES: usize = 100_000;
const LARGEST_FILE: u64 = 16 << 20;
