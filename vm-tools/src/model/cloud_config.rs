//! `#cloud-config`: the modules that matter for files, disks and commands.
//! <https://docs.cloud-init.io/en/latest/reference/modules.html>

use serde_yaml::Value;
use tandem_cli::{problem::unreadable, yaml};

use super::{At, Content, Node};
use crate::user_data::KNOWN_KEYS;

/// Most values and bytes that a cloud-config may stand for. A Secret holds a mebibyte.
const BUDGET: usize = 4 * 1024 * 1024;

/// A cloud-config. It has no `Debug`: it may hold passwords and keys.
pub struct CloudConfig {
    value: Value,
    /// `write_files`.
    pub files: Vec<WrittenFile>,
    /// `bootcmd`: at every boot, before everything else.
    pub bootcmd: Vec<At<String>>,
    /// `runcmd`: once for each instance, last of all.
    pub runcmd: Vec<At<String>>,
}

/// An entry of `write_files`.
pub struct WrittenFile {
    /// Path of the entry within the cloud-config.
    pub path: String,
    /// Where the file is written.
    pub target: String,
    /// What it holds.
    pub content: At<Content>,
    /// `owner`, `USER:GROUP`; root:root where it is not there.
    pub owner: Option<At<String>>,
    /// `permissions`: as a string, or as the number that it should not be. 0644 where it is not there.
    pub permissions: Option<At<Value>>,
    /// Whether it is written after the packages, when their users exist.
    pub deferred: bool,
}

impl WrittenFile {
    /// The mode that cloud-init gives the file, where it is one.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        match &self.permissions {
            None => Some(0o644),
            Some(At { value: Value::String(text), .. }) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
            Some(At { value, .. }) => value.as_u64().and_then(|number| number.try_into().ok()),
        }
    }
}

impl CloudConfig {
    /// Reads a text, whatever its first line says.
    ///
    /// # Errors
    /// Why it is no cloud-config, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut documents = yaml::documents(text, BUDGET);
        let value = documents.next().unwrap_or(Ok(Value::Null));
        let value = value.map_err(|error| unreadable(text, &error.to_string()))?;
        if documents.next().is_some() {
            return Err("it has several documents".to_owned());
        }
        if !(value.is_mapping() || value.is_null()) {
            return Err("it is not a mapping".to_owned());
        }
        let root = Node::root(&value);
        Ok(Self {
            files: root.get("write_files").items().map(|node| file(&node)).collect(),
            bootcmd: commands(&root.get("bootcmd")),
            runcmd: commands(&root.get("runcmd")),
            value,
        })
    }

    /// Its root, for whoever looks at another module.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::root(&self.value)
    }

    /// Whether a name at its top is one of cloud-init's.
    #[must_use]
    pub(super) fn has_known_key(&self) -> bool {
        self.root().fields().any(|(key, _)| KNOWN_KEYS.contains(&key))
    }

    /// Commands, and contents of files.
    #[must_use]
    pub(super) fn texts(&self) -> Vec<At<&str>> {
        let commands = self.bootcmd.iter().chain(&self.runcmd);
        let commands = commands.map(|command| At { path: command.path.clone(), value: command.value.as_str() });
        let files = self
            .files
            .iter()
            .filter_map(|file| Some(At { path: file.content.path.clone(), value: file.content.value.text()? }));
        commands.chain(files).collect()
    }
}

fn commands(list: &Node<'_>) -> Vec<At<String>> {
    let command = |node: Node<'_>| match node.text() {
        Some(text) => Some(node.place(text.to_owned())),
        None => {
            let words: Vec<_> = node.list().into_iter().map(|word| word.value).collect();
            (!words.is_empty()).then(|| node.place(words.join(" ")))
        }
    };
    list.items().filter_map(command).collect()
}

fn file(node: &Node<'_>) -> WrittenFile {
    let content = node.get("content");
    let text = content.text().unwrap_or_default();
    let decoded = match node.get("encoding").text().map(str::to_lowercase).as_deref() {
        // Python's decoder passes over all white space.
        Some("b64" | "base64") => Content::from_base64(&text.split_whitespace().collect::<String>()),
        // Compressed: not looked into.
        Some("gz" | "gzip" | "gz+base64" | "gzip+base64" | "gz+b64" | "gzip+b64") => Content::Binary,
        _ => Content::Text(text.to_owned()),
    };
    let permissions = node.get("permissions");
    WrittenFile {
        path: node.path().to_owned(),
        target: node.get("path").text().unwrap_or_default().to_owned(),
        content: content.place(decoded),
        owner: node.get("owner").at(),
        permissions: permissions.value().map(|value| permissions.place(value.clone())),
        deferred: node.get("defer").flag().unwrap_or(false),
    }
}
