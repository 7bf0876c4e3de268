//! What cloud-init in a guest is given: found in the volume or in a Secret, decoded, and read as far as it is a `#cloud-config`.

use super::{At, CloudConfig, CloudInit, Content, Meta, Secret};
use crate::user_data::KNOWN_KEYS;

/// The user data of a machine. It has no `Debug`: it may hold passwords and keys.
pub struct UserData {
    /// The object that it stands in: the machine, or a Secret.
    pub meta: Meta,
    /// The field in that object.
    pub path: String,
    /// Whether it stands in a Secret.
    pub in_secret: bool,
    /// The text; empty where there is none to be had.
    pub text: String,
    /// What kind of text it is.
    pub format: Format,
}

/// What kind of text the user data is: <https://docs.cloud-init.io/en/latest/explanation/format.html>.
pub enum Format {
    /// `#cloud-config`, readable.
    CloudConfig(CloudConfig),
    /// `#cloud-config`, but not YAML, or no mapping: why.
    Broken(String),
    /// It reads as a cloud-config, but the first line does not say so: cloud-init passes over it.
    Headerless,
    /// A script (`#!`), run once for each instance.
    Script,
    /// `## template: jinja`: what it becomes is known only in the guest.
    Jinja,
    /// `#cloud-config-archive`.
    Archive,
    /// MIME with several parts.
    Mime,
    /// Another of cloud-init's formats, or no text at all.
    Other,
    /// Nothing.
    Empty,
    /// What should be base64 is not.
    NotBase64,
    /// The Secret has neither `userdata` nor `userData`.
    NoKey,
    /// The Secret is not in the stream.
    NotInStream,
}

impl UserData {
    /// The path of a field within the user data, for people: `stringData.userdata > runcmd[2]`.
    #[must_use]
    pub fn field(&self, inner: &str) -> String {
        if inner.is_empty() { self.path.clone() } else { format!("{} > {inner}", self.path) }
    }

    /// The cloud-config, where it is one.
    #[must_use]
    pub fn config(&self) -> Option<&CloudConfig> {
        match &self.format {
            Format::CloudConfig(config) => Some(config),
            _ => None,
        }
    }

    /// Everything that the guest runs or writes to a file; for a format that is not read, the whole text.
    #[must_use]
    pub fn texts(&self) -> Vec<At<&str>> {
        match &self.format {
            Format::CloudConfig(config) => config.texts(),
            Format::Broken(_) | Format::Empty | Format::NotBase64 | Format::NoKey | Format::NotInStream => Vec::new(),
            _ => vec![At { path: String::new(), value: &self.text }],
        }
    }
}

/// The keys of a Secret in which KubeVirt looks for user data.
pub const USER_DATA_KEYS: [&str; 2] = ["userdata", "userData"];

/// What KubeVirt would hand to cloud-init; a Secret comes first, as in KubeVirt.
pub(super) fn read(machine: &Meta, cloud: &CloudInit, secrets: &[Secret]) -> Option<UserData> {
    let own = |path: &str, format: Format, text: &str| UserData {
        meta: machine.clone(),
        path: path.to_owned(),
        in_secret: false,
        text: text.to_owned(),
        format,
    };
    if let Some(name) = &cloud.secret {
        let found =
            secrets.iter().find(|secret| secret.meta.namespace == machine.namespace && secret.meta.name == name.value);
        let Some(secret) = found else { return Some(own(&name.path, Format::NotInStream, "")) };
        let Some(content) = USER_DATA_KEYS.iter().find_map(|key| secret.get(key)) else {
            return Some(own(&name.path, Format::NoKey, ""));
        };
        let (format, text) = of_content(&content.value);
        return Some(UserData { meta: secret.meta.clone(), in_secret: true, ..own(&content.path, format, text) });
    }
    if let Some(encoded) = &cloud.base64 {
        let content = Content::from_base64(&encoded.value);
        let (format, text) = of_content(&content);
        return Some(own(&encoded.path, format, text));
    }
    cloud.inline.as_ref().map(|text| own(&text.path, format(&text.value), &text.value))
}

fn of_content(content: &Content) -> (Format, &str) {
    match content {
        Content::Text(text) => (format(text), text),
        // Compressed, perhaps: cloud-init takes gzip.
        Content::Binary => (Format::Other, ""),
        Content::Undecodable => (Format::NotBase64, ""),
    }
}

/// How a user data may begin for cloud-init to know what it is:
/// <https://docs.cloud-init.io/en/latest/explanation/format.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    Archive,
    JsonPatch,
    Jinja,
    Boothook,
    CloudConfig,
    PartHandler,
    Include,
    Script,
}

impl Beginning {
    /// Of a text. As in cloud-init white space before it, letters' case and what follows make no difference, and a byte order
    /// mark is no white space.
    pub(crate) fn of(text: &str) -> Option<Self> {
        // One that another begins with stands behind it.
        let all = [
            ("#cloud-config-archive", Self::Archive),
            ("#cloud-config-jsonp", Self::JsonPatch),
            ("## template: jinja", Self::Jinja),
            ("#cloud-boothook", Self::Boothook),
            ("#cloud-config", Self::CloudConfig),
            ("#part-handler", Self::PartHandler),
            ("#include", Self::Include),
            ("#!", Self::Script),
        ];
        let start: String = text.trim_start().chars().take(32).flat_map(char::to_lowercase).collect();
        all.into_iter().find(|(beginning, _)| start.starts_with(beginning)).map(|(_, found)| found)
    }
}

/// Whether the first field of a `#cloud-config` stands in its first line, which is a comment.
pub(crate) fn is_folded(text: &str) -> bool {
    let comment = text.trim_start().lines().next().and_then(|line| line.get("#cloud-config".len()..));
    let field = comment.and_then(|comment| comment.strip_prefix(' ')?.split_once(':'));
    field.is_some_and(|(key, _)| KNOWN_KEYS.contains(&key.trim()))
}

/// What is said of it.
pub(crate) const FOLDED: &str = "its first field stands in the line of #cloud-config, which is a comment; write it as a block with | where it is one with >";

/// How many bytes of a user data cloud-init searches for a header of MIME.
const MIME_WITHIN: usize = 4096;

fn format(text: &str) -> Format {
    let mime = || {
        let start = &text.as_bytes()[..text.len().min(MIME_WITHIN)];
        start.to_ascii_lowercase().windows(13).any(|window| window == b"mime-version:")
    };
    match Beginning::of(text) {
        _ if text.trim().is_empty() => Format::Empty,
        Some(Beginning::CloudConfig) if is_folded(text) => Format::Broken(FOLDED.to_owned()),
        Some(Beginning::CloudConfig) => CloudConfig::read(text).map_or_else(Format::Broken, Format::CloudConfig),
        Some(Beginning::Archive) => Format::Archive,
        Some(Beginning::Jinja) => Format::Jinja,
        Some(Beginning::Script) => Format::Script,
        Some(Beginning::JsonPatch | Beginning::Boothook | Beginning::PartHandler | Beginning::Include) => Format::Other,
        None if mime() => Format::Mime,
        None if CloudConfig::read(text).is_ok_and(|config| config.has_known_key()) => Format::Headerless,
        None => Format::Other,
    }
}
