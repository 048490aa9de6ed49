//! Colours, only on a terminal and only if `NO_COLOR` is not set.

use anstyle::{AnsiColor, Effects, Style as Ansi};
use dmp_sdk::Action;

/// How output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// With ANSI colours.
    Coloured,
}

impl Style {
    /// Colours for a stream: on a terminal, unless `NO_COLOR` is set to something.
    #[must_use]
    pub fn of(is_terminal: bool, no_color: Option<&str>) -> Self {
        if is_terminal && no_color.is_none_or(str::is_empty) {
            Self::Coloured
        } else {
            Self::Plain
        }
    }

    fn paint(self, style: Ansi, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("{style}{text}{style:#}"),
        }
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint(Ansi::new().effects(Effects::BOLD), text)
    }

    /// What matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint(Ansi::new().effects(Effects::DIMMED), text)
    }

    /// What was added or went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// What was removed or failed.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }

    /// What changes, or needs attention.
    #[must_use]
    pub fn notable(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// The mark in front of an address.
    #[must_use]
    pub fn symbol(self, action: Action) -> String {
        let symbol = format!("{:>3}", action.symbol());
        match action {
            Action::Create | Action::Import => self.good(&symbol),
            Action::Update | Action::Read => self.notable(&symbol),
            Action::NoOp | Action::Defer => symbol,
            _ => self.bad(&symbol),
        }
    }
}
