//! Faults from what was given: the plan, what may be held, the admin API.

use std::path::Path;

use super::resolve::{pair, refuse};
use super::resolved::{Faults, Scenario};
use crate::cli::scenario::source::{self, setting};
use crate::cli::settings::Layers;
use crate::cli::{Failure, io_reason};
use crate::control::{Address, Config, ServerTls, StartError};
use crate::fault::plan::Plan;
use crate::notation::parse_size;
use crate::relay::DEFAULT_HELD_PER_CONNECTION;
use crate::scenario::Incident;

/// Reads the settings of faults and holds them against each other.
pub(super) fn faults(given: &Layers) -> Result<Faults, Failure> {
    let allowed = !given.switch("no-faults")?;
    let plan = given.path("faults")?;
    if !allowed && plan.is_some() {
        return Err(refuse(
            given,
            "faults",
            "there can be no plan where --no-faults refuses all faults; leave one of them out",
        ));
    }
    let scenario = scenario(given)?;
    if !allowed && scenario.is_some() {
        return Err(refuse(
            given,
            "scenario",
            "nothing can happen where --no-faults refuses all faults; leave one of them out",
        ));
    }
    if plan.is_some() && scenario.is_some() {
        return Err(refuse(
            given,
            "scenario",
            "a scenario brings faults of its own, and there is a plan of faults already; \
             leave one of them out, or let the scenario begin later with --admin and \
             `etcdtap scenario run`",
        ));
    }
    Ok(Faults {
        plan,
        scenario,
        allowed,
        hold_bytes: given
            .parse("fault-hold-bytes", parse_hold)?
            .unwrap_or(DEFAULT_HELD_PER_CONNECTION),
        admin: admin(given, allowed)?,
    })
}

fn scenario(given: &Layers) -> Result<Option<Scenario>, Failure> {
    let settings = given
        .all("set")
        .iter()
        .map(|one| {
            one.parse(|text| setting(text).map(|(name, value)| (name.to_owned(), value.to_owned())))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    match given.one("scenario") {
        None if !settings.is_empty() => Err(refuse(
            given,
            "set",
            "there is no scenario whose parameter this could be; add --scenario NAME, or leave it out",
        )),
        None => Ok(None),
        Some(source) if source.text()? == "-" => {
            Err(source.wrong("standard input is not read here; name a scenario or a file"))
        }
        Some(source) => Ok(Some(Scenario {
            source: source.text()?.to_owned(),
            settings,
        })),
    }
}

/// Reads the scenario and puts its settings in.
///
/// # Errors
/// All that is wrong with it, a line each.
pub(super) fn incident(asked: &Scenario) -> Result<Incident, Failure> {
    let settings = asked.settings.iter();
    let settings = settings.map(|(name, value)| (name.as_str(), value.as_str()));
    source::scenario(&asked.source)?
        .with(settings)
        .map_err(|errors| Failure::asked(errors.to_string()))
}

fn admin(given: &Layers, adding: bool) -> Result<Option<Config>, Failure> {
    let token_file = given.path("admin-token-file")?;
    let identity = pair(given, "admin-tls-cert", "admin-tls-key")?;
    let client_ca = given.path("admin-client-ca")?;
    let Some(address) = given.parse("admin", Address::parse)? else {
        const FLAGS: [&str; 3] = ["admin-token-file", "admin-tls-cert", "admin-client-ca"];
        return match FLAGS.into_iter().find(|flag| given.one(flag).is_some()) {
            Some(flag) => Err(refuse(
                given,
                flag,
                "there is no admin API; add --admin ADDR, or leave this out",
            )),
            None => Ok(None),
        };
    };
    if client_ca.is_some() && identity.is_none() {
        return Err(refuse(
            given,
            "admin-client-ca",
            "clients show certificates only over TLS; add --admin-tls-cert and --admin-tls-key",
        ));
    }
    if identity.is_some() && matches!(address, Address::Unix(_)) {
        return Err(refuse(
            given,
            "admin-tls-cert",
            "a Unix socket has no TLS, its file's mode keeps others out; leave this out, or choose a TCP port",
        ));
    }
    if !address.is_local() && token_file.is_none() && client_ca.is_none() {
        let why = format!(
            "{address} would obey everybody who can reach it; add --admin-token-file FILE, \
             or --admin-tls-cert, --admin-tls-key and --admin-client-ca, or choose {}",
            Address::DEFAULT
        );
        return Err(refuse(given, "admin", &why));
    }
    Ok(Some(Config {
        address,
        token_file,
        tls: identity.map(|pair| ServerTls {
            cert: pair.cert,
            key: pair.key,
            client_ca,
        }),
        adding,
    }))
}

fn parse_hold(text: &str) -> Result<u64, String> {
    // One read: less would strike no answer of any size.
    const LEAST: u64 = 64 << 10;
    const MOST: u64 = 1 << 30;
    match parse_size(text)? as u64 {
        bytes if bytes < LEAST => Err(format!(
            "\"{text}\" is less than 64KiB, too little to hold an answer; write more, such as 16MiB"
        )),
        bytes if bytes > MOST => Err(format!(
            "\"{text}\" is more than 1GiB; write less, such as 16MiB"
        )),
        bytes => Ok(bytes),
    }
}

/// Reads the plan.
///
/// # Errors
/// All that is wrong with it, a line each.
pub(super) fn plan(path: &Path) -> Result<Plan, Failure> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let reason = io_reason(&error);
        Failure::asked(format!("--faults: {place} cannot be read: {reason}"))
    })?;
    Plan::from_yaml(&place.to_string(), &text)
        .map_err(|errors| Failure::asked(format!("--faults: {place} cannot be used:\n{errors}")))
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Asked(what) => Failure::asked(what),
            StartError::Failed(what) => Failure::failed(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_be_read_is_refused_with_its_name() {
        let missing = plan(Path::new("/nonexistent.yaml")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "--faults: /nonexistent.yaml cannot be read: No such file or directory"
        );
    }

    #[test]
    fn what_may_be_held_has_bounds() {
        assert_eq!(parse_hold("16MiB"), Ok(16 << 20));
        for wrong in ["1KiB", "2GiB", "much"] {
            assert!(parse_hold(wrong).is_err(), "{wrong}");
        }
    }
}
