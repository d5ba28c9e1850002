//! ObjectMeta: what every object says about itself (apimachinery
//! `meta/v1`). Annotations keep their keys only: `kubectl apply` copies whole
//! objects into one of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::wire::{Field, Fields};

/// An object's metadata, without the values of annotations and without
/// managed fields' field sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Unique among the resource's objects of one namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the API server made the name from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Empty for a cluster-scoped object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Distinguishes objects that had the same name one after the other.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Empty in the store: there, etcd's `mod_revision` is the resource
    /// version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Counts the changes of the desired state; 0 if the kind does not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When the API server took the object in.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "timestamp")]
    pub creation_timestamp: Option<Timestamp>,
    /// When the object is due to go: it is being deleted.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "timestamp")]
    pub deletion_timestamp: Option<Timestamp>,
    /// How long it may take to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The size of each annotation's value, in bytes.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        rename(serialize = "annotationSizes")
    )]
    #[serde(deserialize_with = "sizes")]
    pub annotations: BTreeMap<String, usize>,
    /// The objects whose end is this object's end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    /// Who has to agree before the object may go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "or_default")]
    pub finalizers: Vec<String>,
    /// Who last wrote fields of the object, and how.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "or_default")]
    pub managed_fields: Vec<ManagedFields>,
}

/// An object that owns this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// The owner's API version.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether the owner is the controller that manages this object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(deserialize_with = "or_default")]
    pub controller: bool,
}

/// One manager's last write to the object (`metadata.managedFields`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedFields {
    /// The client's name, by default the beginning of its user agent.
    pub manager: String,
    /// `Apply` (server-side apply) or `Update`.
    pub operation: String,
    /// The API version that the client used.
    pub api_version: String,
    /// When the manager last changed its set of fields.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "timestamp")]
    pub time: Option<Timestamp>,
    /// The subresource it wrote to (`status`, `scale`); empty for the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

impl ObjectMeta {
    /// Reads ObjectMeta from protobuf. `None` if the message cannot be one:
    /// a known field has another type, a text is not UTF-8.
    pub(super) fn from_protobuf(message: &[u8]) -> Option<ObjectMeta> {
        let mut meta = ObjectMeta::default();
        for field in Fields::of(message) {
            match field.ok()? {
                (1, field) => meta.name = text(field)?,
                (2, field) => meta.generate_name = text(field)?,
                (3, field) => meta.namespace = text(field)?,
                // selfLink and clusterName, both long retired.
                (4 | 15, field) => drop(text(field)?),
                (5, field) => meta.uid = text(field)?,
                (6, field) => meta.resource_version = text(field)?,
                (7, field) => meta.generation = number(field)?,
                (8, field) => meta.creation_timestamp = time(field)?,
                (9, field) => meta.deletion_timestamp = time(field)?,
                (10, field) => meta.deletion_grace_period_seconds = Some(number(field)?),
                (11, field) => {
                    let (key, value) = entry(field)?;
                    meta.labels
                        .insert(key, String::from_utf8(value.to_vec()).ok()?);
                }
                (12, field) => {
                    let (key, value) = entry(field)?;
                    meta.annotations.insert(key, value.len());
                }
                (13, field) => meta
                    .owner_references
                    .push(OwnerReference::from_protobuf(field)?),
                (14, field) => meta.finalizers.push(text(field)?),
                (17, field) => meta
                    .managed_fields
                    .push(ManagedFields::from_protobuf(field)?),
                (_, Field::Cut(_)) => return None,
                _ => {}
            }
        }
        Some(meta)
    }
}

impl OwnerReference {
    fn from_protobuf(field: Field<'_>) -> Option<Self> {
        let mut owner = OwnerReference::default();
        for field in Fields::of(bytes(field)?) {
            match field.ok()? {
                (1, field) => owner.kind = text(field)?,
                (3, field) => owner.name = text(field)?,
                (4, field) => owner.uid = text(field)?,
                (5, field) => owner.api_version = text(field)?,
                (6, field) => owner.controller = number(field)? != 0,
                (_, Field::Cut(_)) => return None,
                _ => {}
            }
        }
        Some(owner)
    }
}

impl ManagedFields {
    fn from_protobuf(field: Field<'_>) -> Option<Self> {
        let mut managed = ManagedFields::default();
        for field in Fields::of(bytes(field)?) {
            match field.ok()? {
                (1, field) => managed.manager = text(field)?,
                (2, field) => managed.operation = text(field)?,
                (3, field) => managed.api_version = text(field)?,
                (4, field) => managed.time = time(field)?,
                (8, field) => managed.subresource = text(field)?,
                (_, Field::Cut(_)) => return None,
                _ => {}
            }
        }
        Some(managed)
    }
}

pub(super) fn bytes(field: Field<'_>) -> Option<&[u8]> {
    match field {
        Field::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn text(field: Field<'_>) -> Option<String> {
    String::from_utf8(bytes(field)?.to_vec()).ok()
}

fn number(field: Field<'_>) -> Option<i64> {
    match field {
        // Protobuf's int64 is the two's complement.
        Field::Varint(value) => Some(value as i64),
        _ => None,
    }
}

/// `meta/v1.Time`: 1 seconds, 2 nanos. An empty message is the zero time,
/// which Kubernetes shows as `null`.
fn time(field: Field<'_>) -> Option<Option<Timestamp>> {
    let message = bytes(field)?;
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(message) {
        match field.ok()? {
            (1, field) => seconds = number(field)?,
            (2, field) => nanos = i32::try_from(number(field)?).ok()?,
            _ => {}
        }
    }
    if message.is_empty() {
        return Some(None);
    }
    Timestamp::new(seconds, nanos).ok().map(Some)
}

/// A map's entry: 1 key, 2 value. The value as bytes, so that a caller which
/// wants its size copies nothing.
fn entry(field: Field<'_>) -> Option<(String, &[u8])> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields::of(bytes(field)?) {
        match field.ok()? {
            (1, field) => key = text(field)?,
            (2, field) => value = bytes(field)?,
            _ => {}
        }
    }
    Some((key, value))
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn rfc3339<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

fn timestamp<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(from)?;
    text.map(|text| {
        text.parse()
            .map_err(|_| serde::de::Error::custom("not a time"))
    })
    .transpose()
}

fn sizes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, usize>, D::Error> {
    let map = Option::<BTreeMap<String, Cow<'de, str>>>::deserialize(from)?.unwrap_or_default();
    Ok(map
        .into_iter()
        .map(|(key, value)| (key, value.len()))
        .collect())
}

/// Go writes an empty map, list or pointer as `null`.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
