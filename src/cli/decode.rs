//! `etcdtap decode`: says what a stored value or a key is.

mod finding;
mod input;
mod text;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::kube::key::KeySpace;
use crate::kube::tree::Secrets;
use finding::{Entry, Output};
use input::{Input, Spelling};
use text::{Palette, printable};

/// Say what a value or a key of etcd is: a Kubernetes object's kind and
/// metadata, an encrypted value's provider, a key's resource
///
/// Reads a file or standard input: a value's bytes, the same as hex or base64,
/// a key, or what etcdctl printed. The contents of objects (a Secret's data,
/// annotations' values) are not shown, unless --output asks for the whole
/// object; and then what Secrets hold and tokens are still hidden.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Which object is this?
    etcdctl get /registry/pods/default/web --print-value-only | etcdtap decode

  Every object of a namespace, with its key and revision:
    etcdctl get --prefix /registry/configmaps/default/ -w json | etcdtap decode

  The whole object, as kubectl would print it:
    etcdctl get /registry/pods/default/web --print-value-only | etcdtap decode -o yaml

  A value copied from a log as base64, as JSON for another program:
    etcdtap decode --base64 --json value.txt

  What a key stands for:
    etcdtap decode --key /registry/deployments/default/web

Exit codes: 0 all was decoded; 1 something could not be read or decoded;
2 wrong usage.")]
pub struct DecodeArgs {
    /// File to read; `-` is standard input, as is no file at all
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// A key to explain; with a FILE, the key of its value
    #[arg(long, value_name = "STRING")]
    pub key: Option<String>,

    /// The input is hex text
    #[arg(long, conflicts_with = "base64")]
    pub hex: bool,

    /// The input is base64 text (standard or URL alphabet)
    #[arg(long)]
    pub base64: bool,

    /// The API server's --etcd-prefix
    #[arg(long, value_name = "PREFIX", default_value = "/registry")]
    pub etcd_prefix: String,

    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,

    /// Print whole objects instead. Fields that are not known here go by their
    /// numbers
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    output: Option<Output>,

    /// With --output, show what Secrets hold, and tokens, too
    #[arg(long, requires = "output")]
    pub show_secrets: bool,
}

/// Why the command ends early: the sentence for standard error, and its code.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    fn usage(sentence: impl Into<String>) -> Self {
        Failure {
            sentence: sentence.into(),
            code: 2,
        }
    }

    fn input(sentence: impl Into<String>) -> Self {
        Failure {
            sentence: sentence.into(),
            code: 1,
        }
    }
}

/// Runs the command.
pub fn run(args: DecodeArgs) -> ExitCode {
    let entries = match decode(&args) {
        Ok(entries) => entries,
        Err(failure) => {
            eprintln!("etcdtap decode: {}", failure.sentence);
            return ExitCode::from(failure.code);
        }
    };
    let mut text = String::new();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let palette = Palette::new(!plain && io::stdout().is_terminal());
    let secrets = match args.show_secrets {
        true => Secrets::Show,
        false => Secrets::Hide,
    };
    let mut problems = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some(output) = args.output {
            if let Err(problem) = entry.write_object(&mut text, output, secrets) {
                problems.push((entry, problem));
            }
        } else if args.json {
            entry.write_json(&mut text);
        } else {
            if at > 0 {
                text.push('\n');
            }
            entry.write_text(&mut text, &palette);
        }
    }
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("etcdtap decode: cannot write the answer: {error}");
        return ExitCode::from(1);
    }
    let mut code = ExitCode::SUCCESS;
    let unknown = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.problem()?.to_owned())));
    for (entry, problem) in unknown.chain(problems) {
        match &entry.key {
            Some(key) => eprintln!("etcdtap decode: {}: {problem}", printable(&key.key)),
            None => eprintln!("etcdtap decode: {problem}"),
        }
        code = ExitCode::from(1);
    }
    code
}

fn decode(args: &DecodeArgs) -> Result<Vec<Entry>, Failure> {
    if args.file.is_none() && args.key.is_some() && (args.hex || args.base64) {
        return Err(Failure::usage(
            "--hex and --base64 say how a FILE is written; --key is plain text",
        ));
    }
    let space = KeySpace::new(&args.etcd_prefix);
    let key = match &args.key {
        Some(key) => Some(Entry::of_key(&space, key.as_bytes()).ok_or_else(|| {
            Failure::input(format!(
                "--key {key:?} is not a key below {} (set --etcd-prefix if the API server has another one)",
                space.prefix()
            ))
        })?),
        None => None,
    };
    if let (Some(key), None) = (&key, &args.file) {
        return Ok(vec![key.clone()]);
    }
    let bytes = read(args.file.as_deref())?;
    let spelling = match (args.hex, args.base64) {
        (true, _) => Spelling::Hex,
        (_, true) => Spelling::Base64,
        _ => Spelling::Unknown,
    };
    let Input { mut entries, notes } = Input::read(&space, &bytes, spelling)?;
    for note in notes {
        eprintln!("etcdtap decode: note: {note}");
    }
    if let (Some(key), [entry]) = (key, &mut entries[..]) {
        entry.key = key.key;
    }
    Ok(entries)
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        let mut stdin = io::stdin().lock();
        if file.is_none() && stdin.is_terminal() {
            return Err(Failure::usage(
                "nothing to decode: name a FILE, pipe a value in, or give --key (see --help)",
            ));
        }
        let mut bytes = Vec::new();
        stdin
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::input(format!("cannot read standard input: {error}")))?;
        return Ok(bytes);
    };
    fs::read(path)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", path.display())))
}
