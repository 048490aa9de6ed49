//! How long it takes to record one change, durably, in states of several sizes: `cargo xtask bench engine` runs it.
//!
//! `commits FOLDER COMMITS INSTANCES…` prints a line of figures for each number of instances. Beside it stands what the
//! disk takes for one small write that is synchronised.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use dmp_sdk::{Address, HoldsData, Key, Layer, Marks, Value};
use dmp_state::{Instance, Local, Outside, Record, Status, Store, Wanted};

const NOW: &str = "2026-01-01T00:00:00Z";
const CHUNK: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a folder is missing")?;
    let folder = Path::new(&folder);
    let commits: u64 = arguments.next().ok_or("how many commits?")?.parse()?;
    println!(
        "{:<40} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds for one commit", "instances", "median", "99 %", "most"
    );
    for count in arguments {
        let count: u64 = count.parse()?;
        let place = folder.join(count.to_string());
        std::fs::create_dir(&place)?;
        let mut store = filled(&place, count)?;
        let mut times = Vec::new();
        for number in 0..commits {
            let put = Record::InstancePut(Box::new(instance(number % count, number)));
            let begin = Instant::now();
            store.commit(vec![put], "run", NOW)?;
            times.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        line("a change recorded", &count.to_string(), times);
    }
    let mut file = std::fs::File::create(folder.join("plain"))?;
    let mut times = Vec::new();
    for _ in 0..commits {
        let begin = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    line("the disk: 4 KiB, synchronised", "", times);
    Ok(())
}

fn line(what: &str, count: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    println!(
        "{what:<40} {count:>9} {:>9.2} {:>9.2} {:>9.2}",
        at(50),
        at(99),
        at(100)
    );
}

fn filled(place: &Path, count: u64) -> Result<Store, Box<dyn Error>> {
    let outside = Outside {
        identity_file: place.join("identity"),
        passphrase: None,
        seen_folder: place.join("seen"),
    };
    let local = Local::open(&place.join("state.sqlite"))?;
    let mut store = Store::open(Box::new(local), outside)?;
    store.begin("lineage".into(), &Wanted::default(), "run", NOW)?;
    for from in (0..count).step_by(CHUNK as usize) {
        let chunk = from..(from + CHUNK).min(count);
        let puts = chunk.map(|number| Record::InstancePut(Box::new(instance(number, 0))));
        store.commit(puts.collect(), "run", NOW)?;
    }
    Ok(store)
}

fn instance(number: u64, version: u64) -> Instance {
    let token = format!("hunter2-{version}");
    let text = format!("some text of a file, version {version}\n").repeat(8);
    let address = Address::managed("host_file", "many");
    Instance {
        address: address.with_key(Some(Key::Index(number))),
        id: format!("{number:024x}"),
        provider: "host".into(),
        schema_version: 1,
        attributes: Value::object_of([
            ("path", format!("/etc/{number}").into()),
            ("content", text.into()),
            ("token", Value::from(token).marked(&Marks::sensitive())),
        ]),
        set_paths: vec!["content".into(), "path".into(), "token".into()],
        object_id: None,
        chosen: Value::null(),
        earlier: Some(Value::null()),
        dependencies: Vec::new(),
        hosted_on: Vec::new(),
        status: Status::Whole,
        prevent_destroy: false,
        layer: Layer::Host,
        holds_data: HoldsData::None,
        ends_hosted: false,
        group: None,
        create_milliseconds: Some(5),
    }
}
