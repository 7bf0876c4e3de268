//! Secrets and ConfigMaps.

use super::{At, Meta, Node};
use crate::encoding;
use crate::user_data::USER_DATA_OF;

/// A Secret as it stands in the stream. It has no `Debug`: what it holds must not be printed.
pub struct Secret {
    /// The object.
    pub meta: Meta,
    /// `type`, `Opaque` where it is not there.
    pub kind: String,
    /// The machine for whose user data [`inject`](mod@crate::inject) made it, as [`USER_DATA_OF`] has it.
    pub user_data_of: Option<String>,
    /// What it holds, by key, in the order of the document; `stringData` wins over `data`, as the API server has it.
    pub entries: Vec<(String, At<Content>)>,
}

/// What SOPS writes in the place of a value begins so: <https://getsops.io/docs/#encryption-protocol>.
pub(crate) const ENCRYPTED: &str = "ENC[";

/// The value of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Its bytes are UTF-8.
    Text(String),
    /// Its bytes are not, or SOPS has encrypted them.
    Binary,
    /// It is not valid base64, or not a string.
    Undecodable,
}

impl Content {
    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary | Self::Undecodable => None,
        }
    }

    /// What base64 stands for.
    pub(super) fn from_base64(text: &str) -> Self {
        match encoding::from_base64(text).map(String::from_utf8) {
            None if text.starts_with(ENCRYPTED) => Self::Binary,
            Some(Ok(text)) => Self::Text(text),
            Some(Err(_)) => Self::Binary,
            None => Self::Undecodable,
        }
    }
}

impl Secret {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let mut entries: Vec<(String, At<Content>)> = Vec::new();
        let encoded = |node: &Node<'_>| node.text().map_or(Content::Undecodable, Content::from_base64);
        let plain = |node: &Node<'_>| node.text().map_or(Content::Undecodable, |text| Content::Text(text.to_owned()));
        for (key, node) in root.get("data").fields() {
            entries.push((key.to_owned(), node.place(encoded(&node))));
        }
        for (key, node) in root.get("stringData").fields() {
            entries.retain(|(other, _)| other != key);
            entries.push((key.to_owned(), node.place(plain(&node))));
        }
        let kind = root.get("type").text().unwrap_or("Opaque").to_owned();
        let made_for = root.get("metadata").get("annotations").get(USER_DATA_OF);
        Self { meta, kind, user_data_of: made_for.text().map(str::to_owned), entries }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&At<Content>> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, content)| content)
    }
}

/// A ConfigMap; what is in `binaryData` is passed over.
pub struct ConfigMap {
    /// The object.
    pub meta: Meta,
    /// `data`, by key.
    pub entries: Vec<(String, At<String>)>,
}

impl ConfigMap {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let data = root.get("data");
        Self { meta, entries: data.fields().filter_map(|(key, node)| Some((key.to_owned(), node.at()?))).collect() }
    }
}
