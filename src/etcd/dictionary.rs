//! The service dictionary: the shape of every method we can name, for the
//! calls that have no decoder of their own and for methods a user describes.

use std::fmt;

use prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, MessageDescriptor, MethodDescriptor};
use prost_types::FileDescriptorSet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::schema;

mod fields;

pub use fields::{Fields, HeaderFields};

/// What a method takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodShape {
    /// The request's message.
    pub input: MessageDescriptor,
    /// The answer's message.
    pub output: MessageDescriptor,
    /// The client sends any number of messages, not one.
    pub client_streaming: bool,
    /// The server sends any number of messages, not one.
    pub server_streaming: bool,
}

impl From<MethodDescriptor> for MethodShape {
    fn from(method: MethodDescriptor) -> MethodShape {
        MethodShape {
            input: method.input(),
            output: method.output(),
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
        }
    }
}

/// All methods we can name: ours, and those of a user's descriptor set.
#[derive(Debug, Clone)]
pub struct Dictionary {
    services: FxHashMap<Box<str>, FxHashMap<Box<str>, MethodShape>>,
}

impl Dictionary {
    /// The methods that `proto/` states.
    pub fn built_in() -> Dictionary {
        let mut dictionary = Dictionary {
            services: FxHashMap::default(),
        };
        dictionary.add(schema::descriptor_pool());
        dictionary
    }

    /// The built-in methods, and those of `bytes`, an encoded
    /// `FileDescriptorSet`. What we know ourselves stays as we know it: the
    /// hot decoders go by our statement, and one method has one meaning.
    pub fn with_descriptor_set(bytes: &[u8]) -> Result<Dictionary, DictionaryError> {
        let mut dictionary = Dictionary::built_in();
        dictionary.add(&pool_of(bytes)?);
        Ok(dictionary)
    }

    fn add(&mut self, pool: &DescriptorPool) {
        for service in pool.services() {
            let methods = self.services.entry(service.full_name().into()).or_default();
            for method in service.methods() {
                methods
                    .entry(method.name().into())
                    .or_insert_with(|| method.into());
            }
        }
    }

    /// The shape of a method, by the two parts of its path:
    /// `/etcdserverpb.KV/Range` is service `etcdserverpb.KV`, method `Range`.
    pub fn method(&self, service: &str, method: &str) -> Option<MethodShape> {
        self.services.get(service)?.get(method).cloned()
    }

    /// What the message says in etcd's vocabulary. `message` may be the
    /// beginning of a longer one.
    pub fn facts(&self, descriptor: &MessageDescriptor, message: &[u8]) -> Fields {
        Fields::read(descriptor, message)
    }
}

/// The user's files live in a pool of their own: they may well restate etcd's
/// under other file names, and one pool takes each name once.
fn pool_of(bytes: &[u8]) -> Result<DescriptorPool, DictionaryError> {
    let set = FileDescriptorSet::decode(bytes).map_err(|_| DictionaryError::NotADescriptorSet)?;
    if set.file.is_empty() {
        return Err(DictionaryError::NotADescriptorSet);
    }

    let present: FxHashSet<&str> = set.file.iter().map(|file| file.name()).collect();
    let mut google = false;
    for file in &set.file {
        for import in &file.dependency {
            if present.contains(import.as_str()) {
                continue;
            }
            if DescriptorPool::global().get_file_by_name(import).is_none() {
                return Err(DictionaryError::MissingImport {
                    file: file.name().to_owned(),
                    import: import.clone(),
                });
            }
            google = true;
        }
    }

    let mut pool = match google {
        true => DescriptorPool::global(),
        false => DescriptorPool::new(),
    };
    pool.decode_file_descriptor_set(bytes)
        .map_err(DictionaryError::Invalid)?;
    if pool.services().len() == 0 {
        return Err(DictionaryError::NoService);
    }
    Ok(pool)
}

/// Why a user's descriptor set cannot be used.
#[derive(Debug)]
pub enum DictionaryError {
    /// The bytes are something else.
    NotADescriptorSet,
    /// A file imports one that is not in the set.
    MissingImport {
        /// The file that imports.
        file: String,
        /// The file that is missing.
        import: String,
    },
    /// There are no methods in it.
    NoService,
    /// The files contradict each other or themselves.
    Invalid(DescriptorError),
}

impl fmt::Display for DictionaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DictionaryError::NotADescriptorSet => f.write_str(
                "this is not a protobuf descriptor set; make one with \
                 `protoc --include_imports --descriptor_set_out=FILE your.proto`",
            ),
            DictionaryError::MissingImport { file, import } => write!(
                f,
                "{file} imports {import}, which the descriptor set leaves out; \
                 give protoc `--include_imports` when you make the set",
            ),
            DictionaryError::NoService => f.write_str(
                "the descriptor set names no service, so it describes no method; \
                 include the .proto file with the `service` block",
            ),
            DictionaryError::Invalid(error) => {
                write!(f, "the descriptor set does not hold together: {error}")
            }
        }
    }
}

impl std::error::Error for DictionaryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DictionaryError::Invalid(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{
        DescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    };

    use super::*;

    /// A file that gives `service` a method `method` from and to `Thing`.
    fn file(package: &str, service: &str, method: &str) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(format!("{package}/mine.proto")),
            package: Some(package.to_owned()),
            syntax: Some("proto3".to_owned()),
            message_type: vec![DescriptorProto {
                name: Some("Thing".to_owned()),
                ..Default::default()
            }],
            service: vec![ServiceDescriptorProto {
                name: Some(service.to_owned()),
                method: vec![MethodDescriptorProto {
                    name: Some(method.to_owned()),
                    input_type: Some(format!(".{package}.Thing")),
                    output_type: Some(format!(".{package}.Thing")),
                    server_streaming: Some(true),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn with(files: Vec<FileDescriptorProto>) -> Result<Dictionary, DictionaryError> {
        Dictionary::with_descriptor_set(&FileDescriptorSet { file: files }.encode_to_vec())
    }

    #[test]
    fn built_in_methods_have_their_shape() {
        let dictionary = Dictionary::built_in();
        let range = dictionary
            .method("etcdserverpb.KV", "Range")
            .expect("Range");
        assert_eq!(range.input.full_name(), "etcdserverpb.RangeRequest");
        assert_eq!(range.output.full_name(), "etcdserverpb.RangeResponse");
        assert!(!range.client_streaming && !range.server_streaming);

        let watch = dictionary
            .method("etcdserverpb.Watch", "Watch")
            .expect("Watch");
        assert!(watch.client_streaming && watch.server_streaming);
        let snapshot = dictionary.method("etcdserverpb.Maintenance", "Snapshot");
        assert!(snapshot.is_some_and(|m| !m.client_streaming && m.server_streaming));

        assert_eq!(dictionary.method("etcdserverpb.KV", "range"), None);
        assert_eq!(dictionary.method("KV", "Range"), None);
    }

    #[test]
    fn a_users_set_adds_services_and_methods() {
        let dictionary = with(vec![
            file("example", "Store", "Compare"),
            file("etcdserverpb", "KV", "Rename"),
        ])
        .expect("a good set");
        let added = dictionary
            .method("example.Store", "Compare")
            .expect("added");
        assert_eq!(added.input.full_name(), "example.Thing");
        assert!(added.server_streaming);
        assert!(dictionary.method("etcdserverpb.KV", "Rename").is_some());
        assert!(dictionary.method("etcdserverpb.KV", "Put").is_some());
    }

    #[test]
    fn a_users_statement_of_our_method_does_not_override() {
        let dictionary = with(vec![file("etcdserverpb", "KV", "Range")]).expect("a good set");
        let range = dictionary
            .method("etcdserverpb.KV", "Range")
            .expect("Range");
        assert_eq!(range.input.full_name(), "etcdserverpb.RangeRequest");
    }

    #[test]
    fn our_own_set_is_a_good_users_set() {
        assert!(Dictionary::with_descriptor_set(schema::DESCRIPTOR_SET).is_ok());
    }

    #[test]
    fn googles_common_types_need_not_be_included() {
        let mut one = file("example", "Store", "Compare");
        one.dependency = vec!["google/protobuf/empty.proto".to_owned()];
        one.service[0].method[0].output_type = Some(".google.protobuf.Empty".to_owned());
        let dictionary = with(vec![one]).expect("a good set");
        let added = dictionary
            .method("example.Store", "Compare")
            .expect("added");
        assert_eq!(added.output.full_name(), "google.protobuf.Empty");
    }

    #[test]
    fn what_is_wrong_with_a_set_is_said() {
        let sentence = |result: Result<Dictionary, DictionaryError>| {
            result.map(drop).expect_err("a bad set").to_string()
        };
        for bytes in [&b""[..], b"syntax = \"proto3\";", b"\x0a\xff"] {
            let said = sentence(Dictionary::with_descriptor_set(bytes));
            assert!(
                said.starts_with("this is not a protobuf descriptor set"),
                "{said}"
            );
        }

        let mut importing = file("example", "Store", "Compare");
        importing.dependency = vec!["other.proto".to_owned()];
        let said = sentence(with(vec![importing]));
        assert!(
            said.contains("example/mine.proto imports other.proto"),
            "{said}"
        );

        let mut bare = file("example", "Store", "Compare");
        bare.service.clear();
        assert!(sentence(with(vec![bare])).contains("names no service"));

        let mut dangling = file("example", "Store", "Compare");
        dangling.message_type.clear();
        let said = sentence(with(vec![dangling]));
        assert!(said.contains("does not hold together"), "{said}");
    }
}
