//! `dmp ssh` for many machines: one command on each, over dmp's own connections, side by side. Each line is printed as it
//! comes, with the machine's address before it; as data, all of a machine is one object, printed when it has ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dmp_lang::Sources;
use dmp_sdk::{Address, Diagnostic, Layer, Machine, Machines};
use dmp_state::{Instance, Snapshot};
use dmp_transport::{Piece, Ssh as Transport};
use serde_json::{Map, Value as Json, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{fail, print_raw, say};
use crate::arguments::Ssh;
use crate::stack::open_state;
use crate::{Context, Exit, reach};

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Ssh) -> Exit {
    let fail = |diagnostic| fail(context, &Sources::new(), &[diagnostic]);
    if arguments.command.is_empty() {
        return fail(
            Diagnostic::error("no-command", "no command for many machines")
                .detail("a shell is opened on one machine alone")
                .help("write the command after `--`"),
        );
    }
    let store = match open_state(directory) {
        Ok(store) => store,
        Err(diagnostic) => return fail(diagnostic),
    };
    match chosen(store.snapshot(), arguments) {
        Ok(machines) => on_all(directory, machines, arguments).await,
        Err(diagnostic) => fail(diagnostic),
    }
}

/// The machines that the command is for, as whoever logs in, like `dmp ssh` on one machine; at least one.
fn chosen(snapshot: &Snapshot, arguments: &Ssh) -> Result<Vec<(Address, Machine)>, Diagnostic> {
    let layer = arguments.layer.as_deref().map(layer).transpose()?;
    let pattern = arguments.address.as_deref().unwrap_or("*");
    let mut machines = fitting(snapshot, pattern, layer)?;
    for (_, machine) in &mut machines {
        machine.sudo = false;
    }
    Ok(machines)
}

/// The machines whose addresses fit a pattern; at least one.
pub(super) fn fitting(
    snapshot: &Snapshot,
    pattern: &str,
    layer: Option<Layer>,
) -> Result<Vec<(Address, Machine)>, Diagnostic> {
    let fits = |instance: &&Arc<Instance>| {
        dmp_transport::fits(pattern, &instance.address.to_string())
            && layer.is_none_or(|layer| instance.layer == layer)
    };
    let machine = |instance: &Arc<Instance>| {
        let connection = instance.attributes.get("connection");
        Some((
            instance.address.clone(),
            Machine::from_value(&connection).ok()?,
        ))
    };
    let instances = snapshot.instances.values().filter(fits);
    let machines: Vec<_> = instances.filter_map(machine).collect();
    if machines.is_empty() {
        return Err(Diagnostic::error("unknown-address", "no machine fits")
            .detail(format!(
                "nothing in the state that fits `{pattern}` has a `connection`"
            ))
            .help("what there is: `dmp state list`"));
    }
    Ok(machines)
}

fn layer(text: &str) -> Result<Layer, Diagnostic> {
    Layer::parse(text).ok_or_else(|| {
        let all = Layer::ALL.map(Layer::as_str);
        Diagnostic::error("not-a-layer", "there is no such layer")
            .detail(format!("`--layer {text}`"))
            .help(format!("the layers are {}", all.join(", ")))
    })
}

/// What comes from a machine.
enum News {
    /// A piece of what it says, as it comes.
    Piece(Piece),
    /// A whole line of it.
    Line {
        is_error: bool,
        text: String,
    },
    Ended(u32),
    Failed(String),
}

async fn on_all(directory: &Path, machines: Vec<(Address, Machine)>, arguments: &Ssh) -> Exit {
    let ssh = Transport::new(reach::options(directory));
    let command: Arc<str> = arguments.command.join(" ").into();
    let room = Arc::new(Semaphore::new(arguments.parallelism));
    let (sender, mut news) = mpsc::channel::<(String, News)>(256);
    let mut tasks = JoinSet::new();
    let is_json = arguments.json;
    let silent = machines
        .iter()
        .map(|(address, _)| (address.to_string(), Heard::default()))
        .collect();
    for (address, machine) in machines {
        let (ssh, command, room) = (ssh.clone(), Arc::clone(&command), Arc::clone(&room));
        let sender = sender.clone();
        tasks.spawn(async move {
            // The room is never closed.
            let _place = room.acquire().await;
            let address = address.to_string();
            on_one(&ssh, &address, &machine, &command, &sender, is_json).await;
        });
    }
    drop(sender);
    let mut printed = Printed {
        open: is_json.then_some(silent),
        all: tasks.len(),
        wrong: 0,
    };
    let stopped = loop {
        tokio::select! {
            next = news.recv() => match next {
                Some((address, news)) => printed.print(&address, news),
                None => break false,
            },
            _ = tokio::signal::ctrl_c() => break true,
        }
    };
    // What still runs ends with its task, at the latest with its connection.
    tasks.shutdown().await;
    ssh.close().await;
    match stopped {
        true => {
            printed.stop();
            Exit::Stopped
        }
        false => printed.end(),
    }
}

async fn on_one(
    ssh: &Transport,
    address: &str,
    machine: &Machine,
    command: &str,
    news: &mpsc::Sender<(String, News)>,
    in_pieces: bool,
) {
    let (pieces, mut heard) = mpsc::channel(64);
    let tell = async {
        while in_pieces && let Some(piece) = heard.recv().await {
            let _ = news.send((address.to_owned(), News::Piece(piece))).await;
        }
        let (mut out, mut err) = (Lines::default(), Lines::default());
        while let Some(piece) = heard.recv().await {
            let (lines, is_error) = match piece {
                Piece::Out(bytes) => (out.add(&bytes), false),
                Piece::Err(bytes) => (err.add(&bytes), true),
            };
            for text in lines {
                let _ = news
                    .send((address.to_owned(), News::Line { is_error, text }))
                    .await;
            }
        }
        for (lines, is_error) in [(out, false), (err, true)] {
            if let Some(text) = lines.rest() {
                let _ = news
                    .send((address.to_owned(), News::Line { is_error, text }))
                    .await;
            }
        }
    };
    let (ended, ()) = tokio::join!(ssh.run_once(machine, command, pieces), tell);
    let end = match ended {
        Ok(status) => News::Ended(status),
        Err(error) => News::Failed(error.to_string()),
    };
    let _ = news.send((address.to_owned(), end)).await;
}

/// Bytes as whole lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        let text = String::from_utf8_lossy(&whole);
        text.lines().map(str::to_owned).collect()
    }

    fn rest(self) -> Option<String> {
        (!self.0.is_empty()).then(|| String::from_utf8_lossy(&self.0).into_owned())
    }
}

/// What a machine has said so far.
#[derive(Default)]
struct Heard {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Heard {
    /// All of a machine as one object. Bytes that are no text become the character that stands for such.
    fn object(&self, address: &str, end: (&str, Json)) -> Json {
        let text = |bytes: &[u8]| Json::from(String::from_utf8_lossy(bytes));
        let members = [
            ("address".to_owned(), address.into()),
            (end.0.to_owned(), end.1),
            ("stdout".to_owned(), text(&self.out)),
            ("stderr".to_owned(), text(&self.err)),
        ];
        Json::Object(Map::from_iter(members))
    }
}

/// What was printed so far.
struct Printed {
    /// Printed as data: what is heard of each machine that has not ended.
    open: Option<BTreeMap<String, Heard>>,
    all: usize,
    wrong: usize,
}

impl Printed {
    fn print(&mut self, address: &str, news: News) {
        let is_over = !matches!(news, News::Line { .. } | News::Piece(_));
        self.wrong += usize::from(is_over && !matches!(news, News::Ended(0)));
        match &mut self.open {
            Some(open) => keep(open, address, news),
            None => show(address, news),
        }
    }

    /// Nothing is lost of what has not ended.
    fn stop(self) {
        for (address, heard) in self.open.unwrap_or_default() {
            let end = ("error", Json::from("stopped before it had ended"));
            print_raw(&format!("{}\n", heard.object(&address, end)));
        }
    }

    fn end(self) -> Exit {
        if self.wrong == 0 {
            return Exit::Success;
        }
        if self.open.is_none() {
            say(&format!("{} of {} machines failed\n", self.wrong, self.all));
        }
        Exit::Remote
    }
}

/// Keeps what a machine says until it has ended.
fn keep(open: &mut BTreeMap<String, Heard>, address: &str, news: News) {
    let heard = open.entry(address.to_owned()).or_default();
    let end = match news {
        News::Piece(Piece::Out(bytes)) => return heard.out.extend(bytes),
        News::Piece(Piece::Err(bytes)) => return heard.err.extend(bytes),
        News::Line { .. } => return,
        News::Ended(status) => ("status", json!(status)),
        News::Failed(why) => ("error", json!(why)),
    };
    let heard = open.remove(address).unwrap_or_default();
    print_raw(&format!("{}\n", heard.object(address, end)));
}

/// Shows it to a person, as it comes.
fn show(address: &str, news: News) {
    match news {
        News::Line { is_error, text } => {
            // Characters that would move the cursor are another machine's wish, not the person's.
            let text = text.replace(|char: char| char.is_control() && char != '\t', "?");
            let line = format!("{address} | {text}\n");
            if is_error {
                say(&line);
            } else {
                print_raw(&line);
            }
        }
        News::Piece(_) | News::Ended(0) => {}
        News::Ended(status) => say(&format!("{address} ended with {status}\n")),
        News::Failed(why) => say(&format!("{address}: {why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_bytes_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(b"a\nb"), ["a"]);
        assert_eq!(lines.add("ä".as_bytes().split_at(1).0), [""; 0]);
        assert_eq!(lines.add(&"ä\n\n".as_bytes()[1..]), ["bä", ""]);
        assert_eq!(lines.rest(), None);
    }
}
