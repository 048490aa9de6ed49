//! The program that `cargo xtask fuzz` runs: under a fuzzer it tries what that makes up, else it prepares and keeps corpora.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use std::sync::OnceLock;
    static TARGET: OnceLock<dmp_fuzz::Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("DMP_FUZZ").expect("DMP_FUZZ names a target");
        dmp_fuzz::Target::named(&name).expect("a target of that name")
    });
    (target.run)(bytes);
});

/// `unpack NAME FOLDER` writes the corpus and the seeds as files, `pack NAME FOLDER` makes the files of a folder the corpus,
/// `run NAME FILE` tries one.
#[cfg(not(fuzzing))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::fs;
    use std::path::Path;

    use dmp_fuzz::{Corpus, Target, folder, pack, unpack};

    let words: Vec<String> = std::env::args().skip(1).collect();
    let [verb, name, path] = words.as_slice() else {
        return Err("expected: pack | unpack | run, a target, a path".into());
    };
    let target = Target::named(name).ok_or("no such target")?;
    let corpus_file = folder().join(format!("{name}.jsonl"));
    match verb.as_str() {
        "unpack" => {
            let mut corpus = unpack(&fs::read_to_string(&corpus_file).unwrap_or_default());
            corpus.extend((target.seeds)());
            fs::create_dir_all(path)?;
            for (number, input) in corpus.iter().enumerate() {
                fs::write(Path::new(path).join(format!("{number:05}")), input)?;
            }
        }
        "pack" => {
            let mut corpus = Corpus::new();
            for entry in fs::read_dir(path)? {
                corpus.insert(fs::read(entry?.path())?);
            }
            fs::write(&corpus_file, pack(&corpus))?;
        }
        "run" => (target.run)(&fs::read(path)?),
        _ => return Err("expected: pack | unpack | run".into()),
    }
    Ok(())
}
