//! `inject` on generated manifests and cloud-configs.

use proptest::prelude::*;
use tandem_vm::inject::{Database, Delivery, Input, Options, Os, inject};

use crate::gates::schema;
use crate::inject::{check_injected, every_delivery, injected, new_faults, objects, options, removed, user_data};
use crate::support::said;

/// How a manifest is written, and what is in it.
#[derive(Clone, Debug)]
struct Shape {
    kind: usize,
    listed: bool,
    /// Spaces before the dashes of lists.
    dashes: usize,
    quotes: bool,
    comments: bool,
    place: usize,
    header: &'static str,
    parts: Vec<&'static str>,
    before: bool,
    ends: LineEnds,
    newline: bool,
    end: bool,
}

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LineEnds {
    Lf,
    Crlf,
    /// With CRLF up to this line, with LF from there.
    CrlfUpTo(usize),
    /// With LF up to this line, with CRLF from there.
    LfUpTo(usize),
    /// Each document in another way than the one before.
    ByDocument,
    /// In the user data that stands encoded, every second line with CRLF.
    Encoded,
}

impl LineEnds {
    fn of(self, text: &str) -> String {
        let mut documents = 0;
        let line = |(index, line): (usize, &str)| {
            documents += usize::from(line == "---\n");
            let crlf = match self {
                Self::Lf | Self::Encoded => false,
                Self::Crlf => true,
                Self::CrlfUpTo(last) => index < last,
                Self::LfUpTo(last) => index >= last,
                Self::ByDocument => documents % 2 == 1,
            };
            if crlf { line.replace('\n', "\r\n") } else { line.to_owned() }
        };
        text.split_inclusive('\n').enumerate().map(line).collect()
    }
}

fn line_ends() -> impl Strategy<Value = LineEnds> {
    prop_oneof![
        2 => Just(LineEnds::Lf),
        2 => Just(LineEnds::Crlf),
        2 => (1_usize..60).prop_map(LineEnds::CrlfUpTo),
        2 => (1_usize..60).prop_map(LineEnds::LfUpTo),
        1 => Just(LineEnds::ByDocument),
        1 => Just(LineEnds::Encoded),
    ]
}

/// Pieces of cloud-configs; `@` is where a list's dashes stand.
const PARTS: [&str; 12] = [
    "hostname: db # its name",
    "\n# A comment of its own",
    "packages: [nginx, 'curl']",
    "write_files:\n@- path: /etc/motd\n@  content: |\n@    hello\n\n@    wörld\n@  permissions: '0644'",
    "write_files: []",
    "write_files:",
    "runcmd:\n@- echo one\n@- [sh, -c, 'echo two']\n@- - sh\n@  - -c\n@  - \"echo three\"\n@# nothing more",
    "runcmd:\n@- |\n@  for i in 1 2; do\n@    echo $i\n@  done\n\n@- >-\n@  echo\n@  folded\n",
    "runcmd: [] # none",
    "users:\n@- default\n@- name: ops\n@  sudo: \"ALL=(ALL) NOPASSWD:ALL\"",
    "final_message: |+\n  done\n\n",
    "power_state: {mode: reboot}",
];

fn shape() -> impl Strategy<Value = Shape> {
    let flags = proptest::array::uniform6(any::<bool>());
    let parts = proptest::sample::subsequence(PARTS.to_vec(), 0..PARTS.len());
    let header = prop_oneof![Just("|"), Just("|-"), Just("|2"), Just("| # cloud-init's")];
    (0_usize..4, 0_usize..3, 0_usize..7, header, parts, flags, line_ends()).prop_map(
        |(kind, dashes, place, header, parts, flags, ends)| {
            let [listed, quotes, comments, before, newline, end] = flags;
            let mut keys = Vec::new();
            let parts = parts.into_iter().filter(|part| {
                let key = part.split(':').next().unwrap();
                let new = key.starts_with('\n') || !keys.contains(&key);
                keys.push(key);
                new
            });
            let parts = parts.collect();
            Shape { kind, listed, dashes, quotes, comments, place, header, parts, before, ends, newline, end }
        },
    )
}

/// Lines behind an indentation.
fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{}{line}\n", " ".repeat(by)) };
    text.split('\n').map(line).collect()
}

impl Shape {
    fn cloud_config(&self) -> String {
        let dashes = " ".repeat(self.dashes);
        let parts: Vec<String> = self.parts.iter().map(|part| part.replace('@', &dashes)).collect();
        format!("#cloud-config\n{}", parts.join("\n")).trim_end().to_owned()
    }

    /// The cloud-init volume, and the Secret that it names.
    fn user_data(&self) -> (String, Option<String>) {
        use base64::prelude::{BASE64_STANDARD, Engine};
        let text = self.cloud_config();
        let block = |key: &str, by: usize| {
            let header = if self.header == "|2" { format!("|{}", 2) } else { self.header.to_owned() };
            format!("{key}: {header}\n{}", indented(&text, by)).trim_end().to_owned()
        };
        let mixed = if self.ends == LineEnds::Encoded {
            let line = |(index, line): (usize, &str)| {
                if index % 2 == 1 { line.replace('\n', "\r\n") } else { line.to_owned() }
            };
            text.split_inclusive('\n').enumerate().map(line).collect()
        } else {
            text.clone()
        };
        let encoded = BASE64_STANDARD.encode(mixed);
        let referring = "secretRef:\n  name: init".to_owned();
        let secret = |content: String| format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: init\n{content}\n");
        let (source, secret) = match self.place {
            0 => return (String::new(), None),
            1 => ("networkData: |\n  version: 2".to_owned(), None),
            2 => (format!("userDataBase64: {encoded}"), None),
            3 => (referring, Some(secret(format!("stringData:\n  {}", block("userdata", 4))))),
            4 => {
                (referring, Some(secret(format!("data:\n  # encoded\n  userData: {encoded} # by hand\n  other: eA=="))))
            }
            _ => (block("userData", 2), None),
        };
        let driver = if self.dashes == 1 { "cloudInitConfigDrive" } else { "cloudInitNoCloud" };
        let dash = " ".repeat(self.dashes);
        let source = indented(&source, self.dashes + 4);
        let volume = if self.before {
            format!("{dash}- {driver}:\n{source}{dash}  name: init\n")
        } else {
            format!("{dash}- name: init\n{dash}  {driver}:\n{source}")
        };
        (volume, secret)
    }

    fn text(&self) -> String {
        let (volume, secret) = self.user_data();
        let dash = " ".repeat(self.dashes);
        let comment = |text: &str| if self.comments { format!("# {text}\n") } else { String::new() };
        let disks = if self.comments {
            format!("disks:\n{dash}- name: root # first\n{dash}  disk:\n{dash}    bus: virtio\n")
        } else {
            "rng: {}\n".to_owned()
        };
        let domain = format!("domain:\n  memory:\n    guest: 1Gi\n  devices:\n{}", indented(disks.trim_end(), 4));
        let volumes = format!(
            "volumes:\n{}{dash}- name: root\n{dash}  containerDisk: {{image: x}}\n{volume}",
            comment("all of them")
        );
        let spec = if self.end { format!("{volumes}{domain}") } else { format!("{domain}\n{volumes}") };
        let spec = spec.trim_end();
        let (kind, wrapped) = match self.kind {
            0 => ("VirtualMachine", format!("runStrategy: Always\ntemplate:\n  spec:\n{}", indented(spec, 4))),
            1 => ("VirtualMachineInstance", spec.to_owned()),
            2 => ("VirtualMachineInstanceReplicaSet", format!("template:\n  spec:\n{}", indented(spec, 4))),
            _ => (
                "VirtualMachinePool",
                format!("virtualMachineTemplate:\n  spec:\n    template:\n      spec:\n{}", indented(spec, 8)),
            ),
        };
        let key = |name: &str| if self.quotes { format!("\"{name}\"") } else { name.to_owned() };
        let machine = format!(
            "{}: kubevirt.io/v1\n{}: {kind}\nmetadata:\n  name: db\n{}spec:\n{}",
            key("apiVersion"),
            key("kind"),
            comment("Grüße"),
            indented(wrapped.trim_end(), 2),
        );
        let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: \"1\"}\n".to_owned();
        let mut documents = vec![other, machine];
        if let Some(secret) = secret {
            documents.insert(if self.comments { 2 } else { 0 }, secret);
        }
        let text = if self.listed {
            let items: String = documents
                .iter()
                .map(|document| format!("- {}", indented(document.trim_end(), 2).trim_start()))
                .collect();
            format!("apiVersion: v1\nkind: List\nitems:\n{items}")
        } else {
            format!("{}{}", comment("A stream"), documents.join("---\n"))
        };
        // A block of text at the end is another one without its line break: that is refused.
        let text = if self.newline || matches!(self.place, 1 | 3) { text } else { text.trim_end().to_owned() };
        self.ends.of(&text)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn twice_is_once_and_removing_undoes_it_and_nothing_is_lost(shape in shape(), filesystem in any::<bool>()) {
        let text = shape.text();
        let options = Options {
            delivery: if filesystem { Delivery::Filesystem } else { Delivery::Disk },
            database: Database::PostgreSql,
            os: Some(Os::Debian),
            ..options("db")
        };
        let input = Input { name: "vm.yaml".to_owned(), text: text.clone() };
        let once = match inject(&[input], &options) {
            Ok(output) => output.texts.concat(),
            Err(errors) => {
                let mixed = !matches!(shape.ends, LineEnds::Lf | LineEnds::Crlf | LineEnds::ByDocument);
                let told = errors.iter().all(|error| error.to_string().contains("let all lines end alike"));
                prop_assert!(mixed && told, "{:?}\n{}", errors, text);
                return Ok(());
            }
        };
        prop_assert_eq!(new_faults(&text, &once, "db"), [""; 0]);
        check_injected(&text, &once, &options);
        prop_assert_eq!(injected(&once, &options), once.clone());
        prop_assert_eq!(removed(&once, "db"), text);
    }
}

proptest! {
    // Each is a process that takes half a second.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn cloud_init_accepts_the_user_data_whatever_was_there(shape in shape(), way in 0_usize..4) {
        let options = &every_delivery("db")[way];
        let user_data = user_data(&objects(&injected(&Shape { ends: LineEnds::Lf, ..shape }.text(), options)), "db").unwrap();
        let Some(verdict) = schema(&user_data) else { return Ok(()) };
        prop_assert!(verdict.status.success(), "{}\n{}", said(&verdict), user_data);
    }
}
