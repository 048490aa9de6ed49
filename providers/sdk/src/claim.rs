//! What an object takes for itself on a machine beside its own key, so that a plan refuses two objects of different types
//! which would undo each other's work: a file and a line in it, a link and a directory at one path.

use crate::machine::Machine;

/// One thing on one machine, such as a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The machine.
    pub on: Machine,
    /// The thing, as it is called in messages: `/etc/motd`, `the user alice`.
    pub what: String,
    /// Which kind of part of it is taken; what is taken in parts of one kind may be taken by many. `None`: all of it.
    pub part: Option<&'static str>,
}

impl Claim {
    /// The whole of a thing.
    #[must_use]
    pub fn whole(on: &Machine, what: impl Into<String>) -> Self {
        Self {
            on: on.clone(),
            what: what.into(),
            part: None,
        }
    }

    /// A part of it, of a kind such as `lines`: who takes another part of that kind is not in the way.
    #[must_use]
    pub fn part(on: &Machine, what: impl Into<String>, kind: &'static str) -> Self {
        Self {
            part: Some(kind),
            ..Self::whole(on, what)
        }
    }

    /// Whether both can't be had.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.place() == other.place() && (self.part.is_none() || self.part != other.part)
    }

    /// What is claimed, in a form that is equal for equal things: the user who logs in makes no difference.
    #[must_use]
    pub fn place(&self) -> String {
        let mut place = String::new();
        for hop in self.on.bastions.iter().chain([&self.on]) {
            place.push_str(&format!("{}:{} ", hop.address, hop.port));
        }
        place + &self.what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(user: &str) -> Machine {
        Machine {
            address: "10.0.0.1".into(),
            user: user.into(),
            ..Machine::default()
        }
    }

    #[test]
    fn parts_of_one_kind_go_together_and_the_whole_goes_with_nothing() {
        let (root, admin) = (machine("root"), machine("admin"));
        let file = Claim::whole(&root, "/etc/hosts");
        let line = Claim::part(&admin, "/etc/hosts", "lines");
        let entry = Claim::part(&admin, "/etc/hosts", "names");
        assert!(file.contradicts(&line) && line.contradicts(&file));
        assert!(file.contradicts(&file.clone()));
        assert!(!line.contradicts(&line.clone()));
        assert!(line.contradicts(&entry));
        assert!(!file.contradicts(&Claim::whole(&root, "/etc/host")));
    }
}
