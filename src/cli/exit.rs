//! Exit codes. They are documented in the reference and never change their meaning.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use dmp_sdk::{Diagnostic, Fault};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well.
    Success,
    /// The description, the command or the environment has to change.
    User,
    /// With `--detailed-exitcode`: the plan is not empty. With `dmp what-if`: a loss can't be borne.
    Changes,
    /// With `dmp fmt`: a file can't be formatted.
    NotFormatted,
    /// Something outside failed.
    Remote,
    /// With `dmp fmt --check`: a file is in another layout.
    Unformatted,
    /// What was approved is done; more has to be approved.
    Stages,
    /// Another run holds the state.
    Held,
    /// Something does not answer, and nobody could be asked whether it is lost.
    Undecided,
    /// Stopped on request.
    Stopped,
    /// With `dmp ssh`: what the other program ended with.
    Program(u8),
    /// dmp is wrong.
    Bug,
}

impl Exit {
    /// One for each code, the mildest first.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::User,
        Self::Changes,
        Self::Remote,
        Self::Stages,
        Self::Held,
        Self::Undecided,
        Self::Stopped,
        Self::Bug,
    ];

    /// What it says, for the reference.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "All is well.",
            Self::User => {
                "The description, the command line or something here has to change; also: a person said no, or nobody \
                 could be asked."
            }
            Self::Changes | Self::NotFormatted => {
                "With `dmp plan --detailed-exitcode`: there is something to do. `dmp what-if`: a single loss can't be borne. \
                 `dmp fmt`: a file can't be formatted. Also an unusable command line."
            }
            Self::Remote | Self::Unformatted => {
                "Something outside failed or can't be reached; what was recorded is said. With `dmp fmt --check`: a file \
                 is in another layout."
            }
            Self::Stages => {
                "What was approved is done, or a saved plan no longer fits; the rest has to be approved anew."
            }
            Self::Held => "Another run holds the state.",
            Self::Undecided => {
                "`dmp rebuild` only: something does not answer, and nobody could be asked whether it is lost; say so with \
                 `--lost`."
            }
            Self::Stopped => {
                "Stopped on request; what was begun is recorded, as done or as an intent."
            }
            Self::Program(_) => "`dmp ssh` ends with what the command there ended with.",
            Self::Bug => "dmp is wrong. Please report it.",
        }
    }

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::User => 1,
            Self::Changes | Self::NotFormatted => 2,
            Self::Remote | Self::Unformatted => 3,
            Self::Stages => 4,
            Self::Held => 5,
            Self::Undecided => 6,
            Self::Program(code) => code,
            Self::Bug => 70,
            Self::Stopped => 130,
        }
    }

    /// The exit of a program that dmp ran in its own place; one that a signal ended counts as a shell counts it.
    #[must_use]
    pub fn of_program(status: ExitStatus) -> Self {
        let signal = status.signal().map(|signal| 128 + signal);
        let code = status.code().or(signal).unwrap_or(255);
        Self::Program(u8::try_from(code).unwrap_or(255))
    }

    /// The exit that the worst of some diagnostics asks for.
    #[must_use]
    pub fn of(diagnostics: &[Diagnostic]) -> Self {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error());
        let kinds = errors.map(|diagnostic| match diagnostic.fault {
            _ if diagnostic.code == "held" => Self::Held,
            _ if diagnostic.code == "undecided" => Self::Undecided,
            _ if diagnostic.code == "stopped" => Self::Stopped,
            Fault::User => Self::User,
            Fault::Remote => Self::Remote,
            Fault::Bug => Self::Bug,
        });
        kinds.max().unwrap_or(Self::Success)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
