//! A stand-in for mongod, alone or as the members of a replica set: TLS, and as much of MongoDB's wire protocol as mongosh
//! needs to ask for their state, to initiate the set, and to have certificates rotated. It knows no user. No package registry
//! offers mongod; what is asked of it here is asked by the real mongosh.
//! <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};

use crate::support::LIMIT;

/// What all members together know.
#[derive(Default)]
pub(crate) struct World {
    members: Vec<Member>,
    /// Every `replSetInitiate` that was taken.
    pub(crate) initiated: Vec<Value>,
    /// Refuses so many times to initiate, as a member does that the others cannot reach, or to rotate certificates.
    pub(crate) refuse: usize,
    /// Takes the configuration, but the answer is never sent: the one who asks is cut off in the middle.
    pub(crate) silent: bool,
    /// Says so many times after the set was initiated that there is none: a member needs a moment to put it on disk.
    pub(crate) slow: usize,
    /// Where `rotateCertificates` finds tls.key, tls.crt and ca.crt.
    pub(crate) folder: PathBuf,
    /// How often certificates were rotated.
    pub(crate) rotated: usize,
    /// With what each one began who wanted to log in.
    pub(crate) logins: Vec<String>,
    /// Members that were asked for their state, by number, in the order of the questions.
    pub(crate) asked: Vec<usize>,
}

/// What a member is.
#[derive(Clone, Default, PartialEq)]
pub(crate) enum Member {
    /// Not started: its port takes no connection to an end.
    #[default]
    Down,
    /// Started with `replication.replSetName`, without a configuration.
    New,
    /// Started without replication.
    Alone,
    /// Has a set's configuration: its name and its hosts.
    In(String, Vec<String>),
}

/// The members' ports, until it is dropped.
pub(crate) struct Members {
    shared: Arc<Shared>,
    pub(crate) ports: Vec<u16>,
}

struct Shared {
    /// What whoever connects is shown from now on.
    tls: Mutex<Arc<ServerConfig>>,
    world: Mutex<World>,
    changed: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl Members {
    /// Listens for so many members, with the key and certificate of a PEM text, and the authority that clients are of.
    pub(crate) fn start(states: &[Member], pem: &str, authority: &str) -> Self {
        let shared = Arc::new(Shared {
            tls: Mutex::new(server_config(pem, authority)),
            world: Mutex::new(World { members: states.to_vec(), ..World::default() }),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let listen = |member| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let shared = shared.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    // A peer that goes away ends its own thread.
                    std::thread::spawn(move || drop(serve(stream.unwrap(), &shared, member)));
                }
            });
            port
        };
        let ports = (0..states.len()).map(listen).collect();
        Self { shared, ports }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    pub(crate) fn set(&self, member: usize, state: Member) {
        self.world().members[member] = state;
    }

    /// Waits until what the members know is so.
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&World) -> bool) {
        let waited = self.shared.changed.wait_timeout_while(self.world(), LIMIT, |world| !condition(world));
        assert!(!waited.unwrap().1.timed_out(), "{what}: not within {LIMIT:?}");
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for port in &self.ports {
            // Wakes the listener, which then looks at the flag.
            drop(TcpStream::connect(("127.0.0.1", *port)));
        }
    }
}

/// As `clientAuth: Required` has it: a certificate of the authority, or no connection.
fn server_config(pem: &str, authority: &str) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap());
    Arc::new(config.unwrap())
}

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

fn serve(stream: TcpStream, shared: &Shared, member: usize) -> std::io::Result<()> {
    if shared.world().members[member] == Member::Down {
        return Ok(());
    }
    let tls = shared.tls.lock().unwrap().clone();
    let mut stream = StreamOwned::new(ServerConnection::new(tls).map_err(std::io::Error::other)?, stream);
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header)?;
        let [length, request, _, operation] =
            [0, 4, 8, 12].map(|at| i32::from_le_bytes(header[at..at + 4].try_into().unwrap()));
        let mut body = vec![0; usize::try_from(length).unwrap() - header.len()];
        stream.read_exact(&mut body)?;
        // OP_MSG: flags, then section 0. OP_QUERY: flags, the collection's name, two numbers.
        let (start, around) = match operation {
            OP_MSG => (5, vec![0; 5]),
            OP_QUERY => {
                let name = body[4..].iter().position(|byte| *byte == 0).unwrap();
                (4 + name + 1 + 8, [vec![0; 16], 1_i32.to_le_bytes().to_vec()].concat())
            }
            other => panic!("operation {other}"),
        };
        let command = bson::document(&mut &body[start..]);
        let Some(answer) = answer(&command, shared, member) else { return Ok(()) };
        let reply = [around, bson::bytes(&answer)].concat();
        let length = i32::try_from(16 + reply.len()).unwrap();
        let operation = if operation == OP_MSG { OP_MSG } else { OP_REPLY };
        let header = [length, 1, request, operation].map(i32::to_le_bytes).concat();
        stream.write_all(&[header, reply].concat())?;
        stream.flush()?;
    }
}

fn answer(command: &Value, shared: &Shared, member: usize) -> Option<Value> {
    // serde_json keeps keys in the order of the alphabet; the command is the one whose name is a command's.
    let name = |known: &&str| command.get(*known).is_some();
    let known = [
        ["hello", "isMaster", "ismaster", "ping", "endSessions"].as_slice(),
        &["replSetInitiate", "buildInfo", "rotateCertificates", "saslStart"],
    ];
    match known.concat().into_iter().find(name) {
        Some("hello" | "isMaster" | "ismaster") => {
            let mut world = shared.world();
            // Not the driver's own hello, which tells who the client is or keeps watch.
            if command.get("lsid").is_some() {
                world.asked.push(member);
                shared.changed.notify_all();
                if world.slow > 0 && !world.initiated.is_empty() {
                    world.slow -= 1;
                    return Some(hello(&Member::New));
                }
            }
            let mut answer = hello(&world.members[member]);
            if command.get("saslSupportedMechs").is_some() {
                answer["saslSupportedMechs"] = json!(["SCRAM-SHA-256"]);
            }
            Some(answer)
        }
        Some("rotateCertificates") => Some(rotate(shared)),
        Some("saslStart") => {
            shared.world().logins.push(command["payload"].as_str().unwrap().to_owned());
            Some(failure(18, "AuthenticationFailed", "Authentication failed."))
        }
        Some("replSetInitiate") => initiate(&command["replSetInitiate"], shared, member),
        Some("buildInfo") => {
            Some(json!({"version": "8.0.0", "versionArray": [8, 0, 0, 0], "gitVersion": "", "ok": 1.0}))
        }
        Some(_) => Some(json!({"ok": 1.0})),
        // What mongosh asks for out of curiosity.
        None => Some(failure(59, "CommandNotFound", "no such command")),
    }
}

fn failure(code: i32, name: &str, message: &str) -> Value {
    json!({"ok": 0.0, "code": code, "codeName": name, "errmsg": message})
}

fn hello(member: &Member) -> Value {
    let primary = matches!(member, Member::In(..) | Member::Alone);
    let mut answer = json!({
        "ismaster": primary,
        "isWritablePrimary": primary,
        "maxBsonObjectSize": 16_777_216,
        "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000,
        "logicalSessionTimeoutMinutes": 30,
        "minWireVersion": 0,
        "maxWireVersion": 25,
        "readOnly": false,
        "ok": 1.0,
    });
    let more = match member {
        Member::New => {
            json!({"isreplicaset": true, "secondary": false, "info": "Does not have a valid replica set config"})
        }
        Member::In(set, hosts) => {
            json!({"setName": set, "setVersion": 1, "hosts": hosts, "primary": hosts[0], "me": hosts[0], "secondary": false})
        }
        Member::Alone | Member::Down => json!({}),
    };
    answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer
}

/// As a member does: only without a configuration of its own, and if it reaches all others and none of them has one.
fn initiate(configuration: &Value, shared: &Shared, member: usize) -> Option<Value> {
    let mut world = shared.world();
    if world.members[member] != Member::New {
        return Some(failure(23, "AlreadyInitialized", "already initialized"));
    }
    if world.refuse > 0 {
        world.refuse -= 1;
        return Some(failure(74, "NodeNotFound", "replSetInitiate quorum check failed"));
    }
    if world.members.iter().any(|member| *member != Member::New) {
        return Some(failure(103, "NewReplicaSetConfigurationIncompatible", "replSetInitiate quorum check failed"));
    }
    let hosts = configuration["members"].as_array().unwrap().iter();
    let hosts: Vec<_> = hosts.map(|member| member["host"].as_str().unwrap().to_owned()).collect();
    world.members.fill(Member::In(configuration["_id"].as_str().unwrap().to_owned(), hosts));
    world.initiated.push(configuration.clone());
    shared.changed.notify_all();
    // Without an answer the connection ends; whoever asks hears nothing of what has come of it.
    (!world.silent).then(|| json!({"ok": 1.0}))
}

/// As mongod does: it reads the files anew that it was started with, and whoever is connected stays so.
fn rotate(shared: &Shared) -> Value {
    let mut world = shared.world();
    if world.refuse > 0 {
        world.refuse -= 1;
        return failure(140, "InvalidSSLConfiguration", "Can not set up PEM key file.");
    }
    let [key, chain, authority] =
        ["tls.key", "tls.crt", "ca.crt"].map(|name| std::fs::read_to_string(world.folder.join(name)).unwrap());
    *shared.tls.lock().unwrap() = server_config(&(key + &chain), &authority);
    world.rotated += 1;
    json!({"ok": 1.0})
}

/// The types of <https://bsonspec.org/spec.html> that are said here. A library for them would bring a dozen others.
mod bson {
    use super::{Map, Read, Value};

    pub(super) fn document(bytes: &mut &[u8]) -> Value {
        number::<4>(bytes);
        let mut all = Map::new();
        loop {
            match number::<1>(bytes) {
                0 => return Value::Object(all),
                kind => {
                    let name = name(bytes);
                    all.insert(name, value(kind, bytes));
                }
            }
        }
    }

    fn value(kind: i64, bytes: &mut &[u8]) -> Value {
        match kind {
            0x01 => f64::from_le_bytes(take::<8>(bytes)).into(),
            0x02 => {
                number::<4>(bytes);
                name(bytes).into()
            }
            0x03 => document(bytes),
            0x04 => document(bytes).as_object().unwrap().values().cloned().collect(),
            0x05 => {
                // What matters of what is binary here is text.
                let length = usize::try_from(number::<4>(bytes)).unwrap();
                let (binary, rest) = bytes[1..].split_at(length);
                *bytes = rest;
                String::from_utf8_lossy(binary).into()
            }
            0x08 => (number::<1>(bytes) == 1).into(),
            0x0a => Value::Null,
            0x10 => number::<4>(bytes).into(),
            0x09 | 0x11 | 0x12 => number::<8>(bytes).into(),
            other => panic!("type {other:#x}"),
        }
    }

    fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
        let mut taken = [0; N];
        bytes.read_exact(&mut taken).unwrap();
        taken
    }

    fn number<const N: usize>(bytes: &mut &[u8]) -> i64 {
        let mut whole = [0; 8];
        whole[..N].copy_from_slice(&take::<N>(bytes));
        i64::from_le_bytes(whole)
    }

    fn name(bytes: &mut &[u8]) -> String {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap();
        let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
        *bytes = &bytes[end + 1..];
        name
    }

    pub(super) fn bytes(value: &Value) -> Vec<u8> {
        let entries: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
            other => panic!("{other} is no document"),
        };
        let mut inner = Vec::new();
        for (name, value) in entries {
            let (kind, bytes) = match value {
                Value::Null => (0x0a, Vec::new()),
                Value::Bool(value) => (0x08, vec![u8::from(*value)]),
                Value::Number(number) => match number.as_i64() {
                    Some(whole) => (0x10, i32::try_from(whole).unwrap().to_le_bytes().to_vec()),
                    None => (0x01, number.as_f64().unwrap().to_le_bytes().to_vec()),
                },
                Value::String(text) => {
                    let length = i32::try_from(text.len() + 1).unwrap().to_le_bytes();
                    (0x02, [&length[..], text.as_bytes(), &[0]].concat())
                }
                Value::Array(_) => (0x04, bytes(value)),
                Value::Object(_) => (0x03, bytes(value)),
            };
            inner.extend([&[kind][..], name.as_bytes(), &[0], &bytes].concat());
        }
        let length = i32::try_from(inner.len() + 5).unwrap().to_le_bytes();
        [&length[..], &inner, &[0]].concat()
    }
}
