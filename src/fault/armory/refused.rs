//! Why a change of the armory was refused.

use std::fmt;
use std::sync::Arc;

use super::MOST_FAULTS;

/// Why a change was refused; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A fault of that name stands already.
    NameTaken(Arc<str>),
    /// [`MOST_FAULTS`] stand already.
    Full,
    /// There is no fault of that name.
    Unknown {
        /// The name that was asked for.
        name: Box<str>,
        /// The one that was probably meant.
        meant: Option<Box<str>>,
    },
    /// A fault cannot be put in the place of one that has another name.
    OtherName {
        /// The name of the one to be replaced.
        asked: Box<str>,
        /// The new one's.
        given: Arc<str>,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NameTaken(name) => write!(
                f,
                "there is a fault \"{name}\" already; change or remove it, or choose another name"
            ),
            Refused::Full => write!(
                f,
                "no more than {MOST_FAULTS} faults can stand at a time; remove some first"
            ),
            Refused::Unknown { name, meant } => {
                write!(f, "there is no fault \"{name}\"")?;
                match meant {
                    Some(meant) => write!(f, "; did you mean \"{meant}\"?"),
                    None => f.write_str("; list the faults to see their names"),
                }
            }
            Refused::OtherName { asked, given } => write!(
                f,
                "the fault that is to replace \"{asked}\" is called \"{given}\"; give it the same name, or add it as a fault of its own"
            ),
        }
    }
}

impl std::error::Error for Refused {}
