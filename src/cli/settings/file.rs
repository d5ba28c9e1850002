//! The layer of the configuration file.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Error, Spanned};

use super::{Layer, Origin};
use crate::cli::Failure;
use crate::cli::scenario::source::is_file;
use crate::notation::nearest;

/// A value as text, with its place; every scalar of YAML will do.
type Text = Option<Spanned<String>>;
type Texts = Option<Vec<Spanned<String>>>;

/// The file. Keys mirror the flags; those that belong together stand together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    routes: Option<Vec<Route>>,
    log: Option<Log>,
    filter: Option<Filter>,
    drain: Text,
    capture_bytes: Text,
    etcd_prefix: Text,
    descriptor_set: Text,
    threads: Text,
    scheduling: Text,
    tls: Option<Tls>,
    upstream_tls: Option<UpstreamTls>,
    pki: Text,
    summary: Text,
    faults: Option<Faults>,
    scenario: Option<Scenario>,
    no_faults: Text,
    admin: Option<Admin>,
    record: Option<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    listen: Spanned<String>,
    upstream: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    format: Text,
    file: Text,
    slow: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    method: Texts,
    verb: Texts,
    resource: Texts,
    namespace: Texts,
    key_prefix: Texts,
    min_duration: Text,
    errors_only: Text,
    expression: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    cert: Text,
    key: Text,
    client_ca: Text,
    client_auth: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UpstreamTls {
    ca: Text,
    cert: Text,
    key: Text,
    server_name: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Faults {
    plan: Text,
    hold_bytes: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Record {
    file: Text,
    values: Text,
    redact: Texts,
    overflow: Text,
    queue: Text,
    flush: Text,
    compression: Text,
    rotate_size: Text,
    rotate_every: Text,
    keep_files: Text,
    keep_size: Text,
    keep_for: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scenario {
    name: Text,
    set: Texts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Admin {
    listen: Text,
    token_file: Text,
    tls_cert: Text,
    tls_key: Text,
    client_ca: Text,
}

/// Reads the configuration file at `path`. Paths in it count from its folder.
///
/// # Errors
/// When it cannot be read, is no YAML, or has a key that does not exist.
pub fn from_file(path: &Path) -> Result<Layer, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::asked(format!(
            "--config: {} cannot be read: {}",
            path.display(),
            crate::cli::io_reason(&error)
        ))
    })?;
    parse(path, &text)
}

/// Reads the text of a configuration file.
fn parse(path: &Path, text: &str) -> Result<Layer, Failure> {
    let options = serde_saphyr::options! { with_snippet: false };
    // An empty file (or one of comments alone) is a file that says nothing.
    let file: Option<File> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Failure::asked(describe(path, &error)))?;
    let mut build = Build {
        path: path.into(),
        layer: Layer::default(),
    };
    build.file(file.unwrap_or_default());
    Ok(build.layer)
}

struct Build {
    path: Arc<Path>,
    layer: Layer,
}

impl Build {
    fn file(&mut self, file: File) {
        let log = file.log.unwrap_or_default();
        let filter = file.filter.unwrap_or_default();
        let tls = file.tls.unwrap_or_default();
        let upstream_tls = file.upstream_tls.unwrap_or_default();
        for route in file.routes.into_iter().flatten() {
            self.text("listen", "routes.listen", Some(route.listen));
            self.text("upstream", "routes.upstream", Some(route.upstream));
        }
        self.text("log", "log.format", log.format);
        self.path("log-file", "log.file", log.file);
        self.text("slow", "log.slow", log.slow);
        self.texts("method", "filter.method", filter.method);
        self.texts("verb", "filter.verb", filter.verb);
        self.texts("resource", "filter.resource", filter.resource);
        self.texts("namespace", "filter.namespace", filter.namespace);
        self.texts("key-prefix", "filter.key_prefix", filter.key_prefix);
        self.text("min-duration", "filter.min_duration", filter.min_duration);
        self.text("errors-only", "filter.errors_only", filter.errors_only);
        self.text("filter", "filter.expression", filter.expression);
        self.text("drain", "drain", file.drain);
        self.text("capture-bytes", "capture_bytes", file.capture_bytes);
        self.text("etcd-prefix", "etcd_prefix", file.etcd_prefix);
        self.path("descriptor-set", "descriptor_set", file.descriptor_set);
        self.text("threads", "threads", file.threads);
        self.text("scheduling", "scheduling", file.scheduling);
        self.path("tls-cert", "tls.cert", tls.cert);
        self.path("tls-key", "tls.key", tls.key);
        self.path("tls-client-ca", "tls.client_ca", tls.client_ca);
        self.text("tls-client-auth", "tls.client_auth", tls.client_auth);
        self.path("upstream-ca", "upstream_tls.ca", upstream_tls.ca);
        self.path("upstream-cert", "upstream_tls.cert", upstream_tls.cert);
        self.path("upstream-key", "upstream_tls.key", upstream_tls.key);
        self.text(
            "upstream-server-name",
            "upstream_tls.server_name",
            upstream_tls.server_name,
        );
        self.path("pki", "pki", file.pki);
        self.text("summary", "summary", file.summary);
        let faults = file.faults.unwrap_or_default();
        let admin = file.admin.unwrap_or_default();
        self.path("faults", "faults.plan", faults.plan);
        self.text("fault-hold-bytes", "faults.hold_bytes", faults.hold_bytes);
        let scenario = file.scenario.unwrap_or_default();
        match &scenario.name {
            Some(name) if is_file(&name.value) => {
                self.path("scenario", "scenario.name", scenario.name);
            }
            _ => self.text("scenario", "scenario.name", scenario.name),
        }
        self.texts("set", "scenario.set", scenario.set);
        self.text("no-faults", "no_faults", file.no_faults);
        self.socket("admin", "admin.listen", admin.listen);
        self.path("admin-token-file", "admin.token_file", admin.token_file);
        self.path("admin-tls-cert", "admin.tls_cert", admin.tls_cert);
        self.path("admin-tls-key", "admin.tls_key", admin.tls_key);
        self.path("admin-client-ca", "admin.client_ca", admin.client_ca);
        self.record(file.record.unwrap_or_default());
    }

    fn record(&mut self, record: Record) {
        self.path("record", "record.file", record.file);
        self.text("record-values", "record.values", record.values);
        self.texts("redact", "record.redact", record.redact);
        self.text("record-overflow", "record.overflow", record.overflow);
        self.text("record-queue", "record.queue", record.queue);
        self.text("record-flush", "record.flush", record.flush);
        self.text(
            "record-compression",
            "record.compression",
            record.compression,
        );
        self.text(
            "record-rotate-size",
            "record.rotate_size",
            record.rotate_size,
        );
        self.text(
            "record-rotate-every",
            "record.rotate_every",
            record.rotate_every,
        );
        self.text("record-keep-files", "record.keep_files", record.keep_files);
        self.text("record-keep-size", "record.keep_size", record.keep_size);
        self.text("record-keep-for", "record.keep_for", record.keep_for);
    }

    fn text(&mut self, flag: &str, key: &'static str, text: Text) {
        if let Some(text) = text {
            let origin = self.origin(key, &text);
            self.layer.add(flag, text.value, origin);
        }
    }

    fn texts(&mut self, flag: &str, key: &'static str, texts: Texts) {
        for text in texts.into_iter().flatten() {
            self.text(flag, key, Some(text));
        }
    }

    fn path(&mut self, flag: &str, key: &'static str, text: Text) {
        let Some(text) = text else { return };
        let origin = self.origin(key, &text);
        let value = match self.path.parent() {
            Some(folder) if !text.value.is_empty() => folder.join(&text.value),
            _ => text.value.into(),
        };
        self.layer.add(flag, value, origin);
    }

    /// An address that may be a path.
    fn socket(&mut self, flag: &str, key: &'static str, text: Text) {
        let Some(mut text) = text else { return };
        if let (Some(path), Some(folder)) = (text.value.strip_prefix("unix:"), self.path.parent())
            && !path.is_empty()
            && let Some(path) = folder.join(path).to_str()
        {
            text.value = format!("unix:{path}");
        }
        self.text(flag, key, Some(text));
    }

    fn origin(&self, key: &'static str, text: &Spanned<String>) -> Origin {
        Origin::File {
            path: Arc::clone(&self.path),
            line: text.referenced.line(),
            column: text.referenced.column(),
            key,
        }
    }
}

/// One sentence for an error of the YAML reader, with its place.
fn describe(path: &Path, error: &Error) -> String {
    let error = error.without_snippet();
    let place = match error.location() {
        Some(at) => format!("{}:{}:{}", path.display(), at.line(), at.column()),
        None => path.display().to_string(),
    };
    let what = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => match nearest(field, expected.iter().copied()) {
            Some(meant) => format!("there is no key \"{field}\" here; did you mean \"{meant}\"?"),
            None => format!(
                "there is no key \"{field}\" here; the keys are {}",
                expected.join(", ")
            ),
        },
        Error::SerdeMissingField { field, .. } => {
            format!("this entry has no \"{field}\"; every route names listen and upstream")
        }
        Error::DuplicateMappingKey { key, .. } => format!(
            "the key {} stands here twice; keep one of them",
            key.as_deref()
                .map_or_else(|| "above".to_owned(), |key| format!("\"{key}\"")),
        ),
        Error::NullIntoString { .. } => {
            "the value is missing; write one, or leave the key out".to_owned()
        }
        Error::Unexpected { expected, .. } => {
            let expected = match *expected {
                "mapping start" | "mapping" => "keys with values",
                "sequence start" | "sequence" => "a list, such as [one, two]",
                "scalar" | "string scalar" => "a single value",
                other => other,
            };
            format!("here should stand {expected}; docs/configuration.md shows a whole file")
        }
        other => {
            let plain = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The place stands in front already.
            let plain = plain.split(" at line ").next().unwrap_or(&plain).to_owned();
            format!("{plain}; docs/configuration.md shows a whole file")
        }
    };
    format!("{place}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        parse(Path::new("/etc/etcdtap/tap.yaml"), text).unwrap()
    }

    fn sentence(text: &str) -> String {
        parse(Path::new("tap.yaml"), text).unwrap_err().to_string()
    }

    fn values<'a>(layer: &'a Layer, flag: &str) -> Vec<&'a str> {
        let given = layer.given(flag).unwrap_or_default();
        given.iter().map(|given| given.text().unwrap()).collect()
    }

    #[test]
    fn every_scalar_is_text_with_its_place() {
        let layer =
            layer("drain: 5s\ncapture_bytes: 65536\nsummary: true\nfilter:\n  verb: [get, list]\n");
        assert_eq!(values(&layer, "drain"), ["5s"]);
        assert_eq!(values(&layer, "capture-bytes"), ["65536"]);
        assert_eq!(values(&layer, "summary"), ["true"]);
        assert_eq!(values(&layer, "verb"), ["get", "list"]);
        let verb = &layer.given("verb").unwrap()[1];
        assert_eq!(
            verb.origin.to_string(),
            "/etc/etcdtap/tap.yaml:5:15: filter.verb"
        );
    }

    #[test]
    fn routes_keep_their_order() {
        let layer = layer(
            "routes:\n- {listen: '127.0.0.1:1', upstream: 'http://a:2'}\n- {listen: '127.0.0.1:3', upstream: 'http://b:4'}\n",
        );
        assert_eq!(values(&layer, "listen"), ["127.0.0.1:1", "127.0.0.1:3"]);
        assert_eq!(values(&layer, "upstream"), ["http://a:2", "http://b:4"]);
    }

    #[test]
    fn paths_count_from_the_files_folder() {
        let layer = layer(
            "log: {file: calls.log}\npki: /etc/kubernetes/pki\nadmin: {listen: 'unix:tap.sock'}\n",
        );
        assert_eq!(values(&layer, "log-file"), ["/etc/etcdtap/calls.log"]);
        assert_eq!(values(&layer, "admin"), ["unix:/etc/etcdtap/tap.sock"]);
        assert_eq!(values(&layer, "pki"), ["/etc/kubernetes/pki"]);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(layer(""), Layer::default());
        assert_eq!(layer("# nothing yet\n"), Layer::default());
        assert_eq!(layer("log:\ndrain:\nroutes:\n"), Layer::default());
    }

    #[test]
    fn errors_name_the_place_and_the_remedy() {
        for (text, expected) in [
            (
                "drain: 5s\nlgo:\n  format: json\n",
                "tap.yaml:2:1: there is no key \"lgo\" here; did you mean \"log\"?",
            ),
            (
                "tls:\n  certificate: a.crt\n",
                "tap.yaml:2:3: there is no key \"certificate\" here; the keys are cert, key, client_ca, client_auth",
            ),
            (
                "routes:\n  - listen: 127.0.0.1:1\n",
                "tap.yaml:2:5: this entry has no \"upstream\"; every route names listen and upstream",
            ),
            (
                "drain: 5s\ndrain: 6s\n",
                "tap.yaml:2:1: the key \"drain\" stands here twice; keep one of them",
            ),
        ] {
            assert_eq!(sentence(text), expected);
        }
        for text in [
            "filter:\n  verb: get\n",
            "- a\n",
            "a: [",
            "drain: {a: b}\n",
            "tls: 5\n",
        ] {
            let sentence = sentence(text);
            assert!(sentence.starts_with("tap.yaml:"), "{sentence}");
            println!("{sentence}");
        }
    }
}
