//! A VirtualMachine in QEMU: what KubeVirt would make of its volumes, disks and filesystems.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    Parts,
    agent::{Done, Line},
};
use crate::{
    process::Process,
    sharing::{
        disk,
        rendered::{self, Secrets},
    },
    tools,
};

/// How long a guest may take for one step, such as a boot: under emulation, with other tests beside it.
pub const PATIENCE: Duration = Duration::from_secs(1200);

/// How often all tests of a process may boot a guest: a boot takes a minute or more.
const BOOTS: usize = 6;

/// What a guest may use. The VirtualMachine asks for more than a test machine has.
const MEMORY: &str = "768M";

/// The user that KubeVirt serves filesystems as.
const QEMU_USER: u32 = 107;

/// What a guest has that its VirtualMachine does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// One more disk, attached before all others: a Secret's ISO and the serial that it has.
    pub decoy: Option<(&'a Path, &'a str)>,
    /// Whether SELinux is switched on; as the image has it, permissive.
    pub selinux: bool,
}

/// A running guest; dropping it ends it. What outlives a VirtualMachineInstance (claims) is in the folder that it was
/// started in. A root disk that is a container disk is not: each start has a fresh one.
#[derive(Debug)]
pub struct Machine {
    qemu: Process,
    // Ended after QEMU, which would complain.
    _virtiofsd: Vec<Process>,
    folder: PathBuf,
    name: String,
    ports: Vec<u16>,
}

impl Machine {
    /// Starts a VirtualMachine as a new VirtualMachineInstance, with `home` for its claims.
    ///
    /// # Errors
    /// Where the VirtualMachine has what is not known here, or a program does not start.
    pub fn start(
        parts: &Parts,
        vm: &DynamicObject,
        secrets: &Secrets,
        home: &Path,
        extras: Extras<'_>,
    ) -> Result<Self> {
        count_boot()?;
        let name = vm.metadata.name.clone().context("a VirtualMachine without a name")?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(home)?.keep();
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.env("TMPDIR", home).args(["-nodefaults", "-no-user-config", "-display", "none", "-smp", "2"]);
        let kvm = std::env::var_os("TANDEM_KVM").is_some_and(|value| value == "1");
        qemu.args(if kvm { ["-accel", "kvm", "-cpu", "host"] } else { ["-accel", "tcg,thread=multi", "-cpu", "max"] });
        // Shared with virtiofsd, and the same without it.
        qemu.args(["-machine", "q35,memory-backend=memory", "-m", MEMORY]);
        qemu.arg("-object").arg(format!("memory-backend-memfd,id=memory,size={MEMORY},share=on"));
        qemu.arg("-kernel").arg(parts.image.join("vmlinuz")).arg("-initrd").arg(parts.image.join("initrd.img"));
        // QEMU 7.2 has been seen to abort in msix_table_mmio_write when an emulated guest with two processors reboots: the
        // devices interrupt without MSI-X.
        for device in ["virtio-blk", "virtio-net", "virtio-rng", "virtio-scsi", "virtio-serial"] {
            qemu.arg("-global").arg(format!("{device}-pci.vectors=0"));
        }
        // An emulated timer may come too late for the kernel's check, which then gives up.
        let mut kernel =
            "root=LABEL=rootfs rw console=ttyS0 no_timer_check systemd.journald.forward_to_console=1".to_owned();
        if extras.selinux {
            kernel += " security=selinux";
        }
        qemu.args(["-append", &kernel]);
        qemu.arg("-serial").arg(format!("file:{}", folder.join("console").display()));
        qemu.arg("-qmp").arg(format!("unix:{},server=on,wait=off", folder.join("monitor").display()));
        qemu.args(["-device", "virtio-serial-pci", "-device", "virtio-rng-pci"]);
        qemu.arg("-chardev").arg(format!("socket,id=agent,path={},server=on,wait=off", folder.join("agent").display()));
        qemu.args(["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]);
        let spec = vm.data.pointer("/spec/template/spec").context("no template")?;
        let ports = spec.pointer("/domain/devices/interfaces/0/ports").and_then(Value::as_array);
        let ports: Vec<_> = ports.into_iter().flatten().filter_map(|port| port["port"].as_u64()).collect();
        let forward: String = ports.iter().map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}")).collect();
        // The guest reaches nobody.
        qemu.arg("-netdev").arg(format!("user,id=net,restrict=on{forward}"));
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        if let Some((iso, serial)) = extras.decoy {
            qemu.args(["-device", "virtio-scsi-pci", "-drive"]).arg(drive("decoy", iso, "readonly=on"));
            qemu.arg("-device").arg(format!("scsi-hd,drive=decoy,serial={serial}"));
        }
        let volumes = Volumes { parts, vm, spec, secrets, home, folder: &folder };
        volumes.attach_disks(&mut qemu)?;
        let virtiofsd = volumes.attach_filesystems(&mut qemu)?;
        let qemu = Process::start(&mut qemu, &folder.join("qemu.err"), None)?;
        let mut machine = Self { qemu, _virtiofsd: virtiofsd, folder, name, ports: Vec::new() };
        machine.ports = machine.forwarded(&ports)?;
        machine.say("started");
        Ok(machine)
    }

    /// Where the ports of the VirtualMachine are forwarded from on the loopback interface, in their order.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The first of them, which is the database's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or_default()
    }

    /// The folder that holds what a filesystem's volume shows: a Secret as the kubelet mounts it.
    #[must_use]
    pub fn mounted(&self, volume: &str) -> PathBuf {
        self.folder.join(volume)
    }

    fn say(&self, what: &str) {
        use std::io::Write;
        // Also where the test's own output is captured: a boot takes a minute in which nothing else is to be seen.
        let _ = writeln!(std::io::stderr(), "guest {}: {what}", self.name);
    }

    fn forwarded(&mut self, ports: &[u64]) -> Result<Vec<u16>> {
        let told = self.until("the monitor answers", |machine| {
            let mut monitor = Line::monitor(&machine.folder.join("monitor"))?;
            monitor.call("human-monitor-command", json!({"command-line": "info usernet"}))
        })?;
        let told = told.as_str().unwrap_or_default();
        // Protocol[State] FD Source-Address Port Dest-Address Port …
        let rows = told.lines().filter(|line| line.contains("TCP[HOST_FORWARD]"));
        let rows: Vec<Vec<_>> = rows.map(|line| line.split_ascii_whitespace().collect()).collect();
        let from = |port: &u64| {
            let row = rows.iter().find(|row| row.get(5) == Some(&&*port.to_string()))?;
            row.get(3)?.parse().ok()
        };
        let found: Option<Vec<_>> = ports.iter().map(from).collect();
        found.filter(|found| !found.is_empty()).with_context(|| format!("{ports:?} are not forwarded in:\n{told}"))
    }

    /// Tries until it works. Where it never does, or QEMU ends, the error says what was seen last.
    ///
    /// # Errors
    /// After [`PATIENCE`], with the end of the console.
    pub fn until<T>(&mut self, what: &str, mut attempt: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.qemu.is_running()? {
                bail!("guest {}: QEMU ended before {what}: {}", self.name, self.qemu.log_tail());
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.explain(&error.context(format!("not within {PATIENCE:?}: {what}"))));
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// The error, and what the guest's console said last.
    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let console = fs::read(self.folder.join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<_> = console.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n");
        anyhow!("guest {}: {error:#}\n--- its console, the end of it:\n{tail}", self.name)
    }

    fn agent(&self) -> Result<Line> {
        Line::agent(&self.folder.join("agent"))
    }

    /// Waits until the guest has booted and cloud-init has done all that the user data asks for.
    ///
    /// # Errors
    /// Where it does not get there, or cloud-init says that something failed.
    pub fn wait_booted(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut agent = self.until("the guest agent answers", |machine| machine.agent())?;
        let done = agent.run(&["/usr/bin/cloud-init", "status", "--wait", "--long"])?;
        self.say(&format!("booted after {:.0} s", begun.elapsed().as_secs_f64()));
        if done.code != 0 || !done.said.contains("status: done") {
            return Err(self.explain(&anyhow!("cloud-init did not end well: {}", done.said)));
        }
        Ok(())
    }

    /// Runs a shell's line in the guest.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn try_shell(&mut self, line: &str) -> Result<Done> {
        let mut agent = self.until("the guest agent answers", |machine| machine.agent())?;
        agent.run(&["/bin/sh", "-c", line]).with_context(|| format!("guest {}: {line}", self.name))
    }

    /// Runs a shell's line in the guest, which must end with 0; what it said.
    ///
    /// # Errors
    /// What it said, where it did not.
    pub fn shell(&mut self, line: &str) -> Result<String> {
        let done = self.try_shell(line)?;
        if done.code != 0 {
            return Err(self.explain(&anyhow!("{line}: {}: {}", done.code, done.said)));
        }
        Ok(done.said.trim_end().to_owned())
    }

    /// Has cloud-init in the running guest do what the user data of a VirtualMachine asks for: write files and run commands, as
    /// it does at a first boot.
    ///
    /// # Errors
    /// What cloud-init said, where it failed.
    pub fn take_user_data(&mut self, vm: &DynamicObject, secrets: &Secrets) -> Result<()> {
        const FILE: &str = "/run/user-data.yaml";
        let user_data = rendered::user_data(vm, secrets)?;
        // A file that is given goes before the user data that the guest has booted with.
        self.shell(&format!(
            "cat >{FILE} <<'USER-DATA'\n{user_data}\nUSER-DATA
             for module in write_files runcmd scripts_user; do
                 cloud-init --file {FILE} single --name $module --frequency always || exit
             done"
        ))?;
        self.say("has taken other user data");
        Ok(())
    }

    /// Shuts the guest down in order; its claims remain.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(mut self) -> Result<()> {
        // Kept open until the end: QEMU may pass over what is on a connection that was closed.
        let mut agent = self.until("the guest agent answers", |machine| machine.agent())?;
        agent.tell("guest-shutdown", json!({"mode": "powerdown"}))?;
        let begun = Instant::now();
        while self.qemu.is_running()? {
            if begun.elapsed() > PATIENCE {
                return Err(self.explain(&anyhow!("it does not shut down")));
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
        self.say("stopped");
        Ok(())
    }
}

/// What the disks and filesystems of a VirtualMachine are made of.
struct Volumes<'a> {
    parts: &'a Parts,
    vm: &'a DynamicObject,
    spec: &'a Value,
    secrets: &'a Secrets,
    home: &'a Path,
    folder: &'a Path,
}

impl Volumes<'_> {
    /// Disks in the order in which they stand, each on the bus that is named, with its serial.
    fn attach_disks(&self, qemu: &mut Command) -> Result<()> {
        let disks = self.spec.pointer("/domain/devices/disks").and_then(Value::as_array).context("no disks")?;
        for disk in disks {
            let name = disk["name"].as_str().context("a disk without a name")?;
            ensure!(disk["disk"]["bus"] == "virtio", "disk {name}: only virtio is known here");
            let (file, options) = self.file(name)?;
            qemu.arg("-drive").arg(drive(name, &file, options));
            let serial = disk["serial"].as_str().map_or_else(String::new, |serial| format!(",serial={serial}"));
            qemu.arg("-device").arg(format!("virtio-blk-pci,drive={name}{serial}"));
        }
        Ok(())
    }

    fn volume(&self, name: &str) -> Result<&Value> {
        let volumes = self.spec["volumes"].as_array().context("no volumes")?;
        volumes.iter().find(|volume| volume["name"] == name).with_context(|| format!("no volume {name}"))
    }

    /// The file behind a disk, and how QEMU uses it.
    fn file(&self, name: &str) -> Result<(PathBuf, &'static str)> {
        let volume = self.volume(name)?;
        let iso = self.folder.join(format!("{name}.iso"));
        if volume.get("containerDisk").is_some() {
            // Changes go to a file without a name, and are gone with QEMU.
            Ok((self.parts.image.join("root.img"), "snapshot=on"))
        } else if let Some(claim) = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str) {
            let file = self.home.join(format!("{claim}.img"));
            if !file.exists() {
                fs::File::create_new(&file)?.set_len(1 << 30)?;
            }
            Ok((file, "discard=unmap"))
        } else if let Some(secret) = volume.pointer("/secret/secretName").and_then(Value::as_str) {
            let mounted = self.folder.join(name);
            disk::lay_out(self.secrets.get(secret).with_context(|| format!("no Secret {secret}"))?, &mounted)?;
            disk::make_iso(&mounted, &iso)?;
            Ok((iso, "readonly=on"))
        } else if volume.get("cloudInitNoCloud").is_some() {
            self.make_no_cloud(name, &iso)?;
            Ok((iso, "readonly=on"))
        } else {
            bail!("volume {name}: its kind is not known here: {volume}")
        }
    }

    /// cloud-init's NoCloud data source: <https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html>.
    fn make_no_cloud(&self, name: &str, iso: &Path) -> Result<()> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("user-data"), rendered::user_data(self.vm, self.secrets)?)?;
        let vm = self.vm.metadata.name.as_deref().unwrap_or_default();
        let hostname = self.spec["hostname"].as_str().unwrap_or(vm);
        // KubeVirt's instance id is the firmware's UUID, which does not change either.
        let meta = json!({"instance-id": format!("{vm}-firmware"), "local-hostname": hostname});
        fs::write(folder.join("meta-data"), meta.to_string())?;
        let mut command = Command::new("xorrisofs");
        command.args(["-quiet", "-volid", "cidata", "-joliet", "-rock", "-output"]).arg(iso).arg(&folder);
        tools::run(&mut command)
    }

    /// Filesystems with the volume's name for a tag, each served by a virtiofsd as KubeVirt runs it.
    fn attach_filesystems(&self, qemu: &mut Command) -> Result<Vec<Process>> {
        let filesystems = self.spec.pointer("/domain/devices/filesystems").and_then(Value::as_array);
        let mut servers = Vec::new();
        for filesystem in filesystems.into_iter().flatten() {
            let name = filesystem["name"].as_str().context("a filesystem without a name")?;
            ensure!(filesystem.get("virtiofs").is_some(), "filesystem {name}: only virtiofs is known here");
            let secret = self.volume(name)?.pointer("/secret/secretName").and_then(Value::as_str);
            let secret = secret.with_context(|| format!("filesystem {name}: only Secrets are known here"))?;
            let mounted = self.folder.join(name);
            disk::lay_out(self.secrets.get(secret).with_context(|| format!("no Secret {secret}"))?, &mounted)?;
            let place = self.folder.join(format!("{name}.virtiofs"));
            fs::create_dir(&place)?;
            let socket = place.join("socket");
            servers.push(self.serve(&mounted, &place, &socket)?);
            qemu.arg("-chardev").arg(format!("socket,id={name},path={}", socket.display()));
            qemu.arg("-device").arg(format!("vhost-user-fs-pci,chardev={name},tag={name}"));
        }
        Ok(servers)
    }

    fn serve(&self, mounted: &Path, place: &Path, socket: &Path) -> Result<Process> {
        let mut command = Command::new(&self.parts.virtiofsd);
        if fs::metadata(place)?.uid() == 0 {
            // Not as root, who could read what others cannot.
            chown(place, Some(QEMU_USER), Some(QEMU_USER))?;
            for folder in [self.home, self.folder] {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
            }
            let user = QEMU_USER.to_string();
            command = Command::new("setpriv");
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"]);
            command.arg(&self.parts.virtiofsd);
        }
        command.arg("--socket-path").arg(socket).arg("--shared-dir").arg(mounted);
        command.args(["--sandbox=none", "--cache=auto"]);
        let mut server = Process::start(&mut command, &place.with_extension("virtiofs.err"), None)?;
        let begun = Instant::now();
        while !socket.exists() {
            if !server.is_running()? || begun.elapsed() > PATIENCE {
                bail!("virtiofsd does not start: {}", server.log_tail());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(server)
    }
}

/// One boot more.
fn count_boot() -> Result<()> {
    static BOOTED: AtomicUsize = AtomicUsize::new(0);
    let number = BOOTED.fetch_add(1, Ordering::Relaxed) + 1;
    ensure!(number <= BOOTS, "boot {number}: all tests together may boot {BOOTS} times");
    Ok(())
}

/// QEMU's words for a disk image.
fn drive(id: &str, file: &Path, options: &str) -> String {
    // A comma in a file's name is doubled.
    format!("if=none,id={id},format=raw,{options},file={}", file.display().to_string().replace(',', ",,"))
}
