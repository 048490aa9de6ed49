//! A program on a terminal: a pseudo-terminal of `script`, with somebody at the keyboard.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A command on a terminal of 30 lines and 100 columns.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
}

/// What a program on a terminal has come to.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// All that was written.
    pub output: String,
    /// What is left of it on the screen, line by line.
    pub screen: Vec<String>,
}

impl Terminal {
    /// Starts a command, with its folder and the variables that are set on it, and none of this process's.
    /// `None` where there is no `script`, which is said loudly.
    ///
    /// # Panics
    /// If it can't be started.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn run(command: &Command) -> Option<Self> {
        if !Path::new("/usr/bin/script").exists() {
            eprintln!("SKIPPED: script is not installed");
            assert!(std::env::var_os("CI").is_none(), "CI needs script");
            return None;
        }
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
            .collect();
        let mut script = Command::new("/usr/bin/script");
        script
            .args(["--quiet", "--flush", "--return", "--command"])
            .arg(format!(
                "stty rows 30 cols {COLUMNS}; exec {}",
                words.join(" ")
            ))
            .arg("/dev/null")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(name, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script starts");
        let keyboard = child.stdin.take().expect("piped");
        let mut screen = child.stdout.take().expect("piped");
        let output = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut part) {
                let mut output = into.lock().unwrap_or_else(PoisonError::into_inner);
                output.extend_from_slice(&part[..length]);
            }
        });
        Some(Self {
            child,
            keyboard,
            output,
        })
    }

    /// All that was written to the terminal so far.
    pub fn output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until a text was written, at most two minutes.
    ///
    /// # Panics
    /// If it was not.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until a text was written so many times.
    ///
    /// # Panics
    /// If it was not, within two minutes.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        let until = Instant::now() + Duration::from_secs(120);
        while self.output().matches(text).count() < times {
            assert!(Instant::now() < until, "no `{text}` in {}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Presses keys; Return is `\r`.
    ///
    /// # Panics
    /// If the program has gone.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it reads");
        self.keyboard.flush().expect("it reads");
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn end(mut self) -> Ended {
        let code = self.child.wait().expect("it ends").code();
        // The last bytes may still be on their way.
        std::thread::sleep(Duration::from_millis(100));
        let output = self.output();
        let screen = screen(&output);
        Ended {
            code,
            output,
            screen,
        }
    }
}

/// Columns of the terminal.
const COLUMNS: usize = 100;

/// What stands on a terminal after an output: enough of a terminal for lines that are drawn over and cleared.
fn screen(output: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut signs = output.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' if signs.peek() == Some(&'[') => {
                signs.next();
                let mut number = String::new();
                let end = loop {
                    match signs.next() {
                        Some(sign @ ('0'..='9' | ';' | '?')) => number.push(sign),
                        end => break end,
                    }
                };
                let count: usize = number.parse().unwrap_or(1);
                match end {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('C') => column += count,
                    Some('D') => column = column.saturating_sub(count),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    _ => {}
                }
            }
            sign if sign.is_control() => {}
            sign => {
                // The line is full: the next sign begins another.
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = sign;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    lines.into_iter().map(text).collect()
}
