//! Files with faults: a plan, or a single fault.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::yaml;
use crate::cli::{Failure, io_reason};
use crate::fault::plan::{FaultSpec, Plan, PlanErrors};

/// What is in a file.
#[derive(Debug)]
pub(super) enum PlanFile {
    /// A plan, as `proxy --faults` takes it.
    Plan(Plan),
    /// One fault by itself.
    Single(Box<FaultSpec>),
}

/// How a file is called in sentences.
pub(in crate::cli) fn shown(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// The file's text; `-` is standard input.
pub(in crate::cli) fn text(path: &Path) -> Result<String, Failure> {
    let read = match path == Path::new("-") {
        true => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .map(|_| text)
        }
        false => std::fs::read_to_string(path),
    };
    read.map_err(|error| {
        let (place, reason) = (shown(path), io_reason(&error));
        Failure::asked(format!("{place} cannot be read: {reason}"))
    })
}

impl PlanFile {
    /// Reads a text that came from `file`.
    pub(super) fn read(file: &str, text: &str) -> Result<PlanFile, PlanErrors> {
        // Only a single fault names what it does at the top; whatever else is
        // wrong is better told as something wrong with a plan.
        match yaml::parse(text) {
            Ok(Value::Object(top)) if top.contains_key("action") && !top.contains_key("faults") => {
                FaultSpec::from_yaml(file, text).map(|fault| PlanFile::Single(Box::new(fault)))
            }
            _ => Plan::from_yaml(file, text).map(PlanFile::Plan),
        }
    }
}
