//! `cargo xtask docs`: pages that the binary prints.
//!
//! A page below `docs/` says itself where it comes from. Its first line is `<!-- printed by: dmp WORDS -->`, and what follows
//! is what `dmp WORDS` prints; so a new page begins as that line alone. The page of the contract's clauses is made by [`clauses`].

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::build_dmp;
use crate::clauses;
use crate::process::{Failure, Shell, print, say};

/// What `cargo xtask docs` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Changes nothing and fails if a page is not what the binary prints.
    #[arg(long)]
    check: bool,
}

/// Writes all pages anew, or checks them.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.check {
        return fresh(shell).await;
    }
    let pages = printed(shell).await?;
    for (page, wanted) in &pages {
        fs::write(&page.path, wanted).map_err(Failure::io(page.path.display()))?;
    }
    print(format_args!("{} generated pages", pages.len()));
    Ok(())
}

/// Fails if a page is not what the binary prints.
pub(crate) async fn fresh(shell: &Shell) -> Result<(), Failure> {
    let stale: Vec<String> = printed(shell)
        .await?
        .into_iter()
        .filter(|(page, wanted)| page.text != *wanted)
        .map(|(page, _)| page.path.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "not what they are made from (`cargo xtask docs` writes them anew): {}",
        stale.join(", ")
    )))
}

/// A page, with what it holds now.
struct Page {
    path: PathBuf,
    text: String,
    words: Vec<String>,
}

/// Returns the pages, each with what it should hold. Without pages nothing is built.
async fn printed(shell: &Shell) -> Result<Vec<(Page, String)>, Failure> {
    let mut pages = Vec::new();
    find(&shell.root().join("docs"), &mut pages)?;
    if pages.is_empty() {
        say("no page of docs/ is printed by the binary");
        return Ok(Vec::new());
    }
    let binary = build_dmp(shell).await?;
    let mut all = Vec::new();
    for page in pages {
        let mut command = shell.command(&binary);
        command.args(&page.words);
        let body = shell.read(command).await?;
        let first = page.text.lines().next().unwrap_or_default();
        let wanted = format!("{first}\n{body}");
        all.push((page, wanted));
    }
    let index = all.iter().find(|(page, _)| page.words == ["docs", "index"]);
    let index = index.map(|(_, text)| text.as_str()).unwrap_or_default();
    let wanted = clauses::page(index);
    let path = shell.root().join("docs").join(clauses::PAGE);
    let page = Page {
        text: fs::read_to_string(&path).unwrap_or_default(),
        path,
        words: Vec::new(),
    };
    all.push((page, wanted));
    Ok(all)
}

fn find(folder: &Path, pages: &mut Vec<Page>) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::io(folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).map_err(Failure::io(path.display()))?;
            if let Some(words) = words_of(&text) {
                pages.push(Page { path, text, words });
            }
        }
    }
    Ok(())
}

fn words_of(text: &str) -> Option<Vec<String>> {
    let line = text.lines().next()?;
    let words = line
        .strip_prefix("<!-- printed by: dmp ")?
        .strip_suffix(" -->")?;
    Some(words.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_command_that_prints_it() {
        let words = words_of("<!-- printed by: dmp schema host_file -->\n# `host_file`\n");
        assert_eq!(
            words,
            Some(vec!["schema".to_owned(), "host_file".to_owned()])
        );
        assert_eq!(words_of("# A page by hand\n"), None);
    }
}
