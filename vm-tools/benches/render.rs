//! What rendering costs: one VM and a thousand, each in one process, beside `helm template` on a chart of the same objects.
//!
//! The chart is made from what `tandem-vm render` writes, with the values of the document as `{{ .name }}`, so it stays
//! the same objects whatever becomes of them. It has neither conditions nor helpers, which favours Helm. That both write
//! the same is checked before anything is measured. They take turns, so that what slows the machine down slows both;
//! ratios are medians over the pairs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark may stop at any fault"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

/// How often one VM is rendered, and the thousand; and how many seconds are promised for half of the runs.
const RUNS: [(usize, usize, f64); 2] = [(1, 40, 0.02), (1000, 7, 2.0)];

/// What differs from VM to VM, or could: its name in the chart's values, and what stands for it in the document that the
/// chart is made from. Names have the same length there as in what is measured.
const VALUES: [(&str, &str); 5] = [
    ("name", "vm-0000"),
    ("namespace", "namespace-0000"),
    ("image", "registry.example/image:0000"),
    ("size", "30Gi"),
    ("issuer", "issuer-0000"),
];

fn values(vm: usize) -> [String; VALUES.len()] {
    VALUES.map(|(name, value)| if name == "name" { format!("vm-{vm:04}") } else { value.to_owned() })
}

fn document([name, namespace, image, size, issuer]: [String; VALUES.len()]) -> String {
    format!(
        "apiVersion: vm.tandem.internal/v1alpha1
kind: DatabaseVM
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  database: {{mongodb: {{version: \"8.0\", clientAuth: Optional}}}}
  os: {{family: rhel, image: \"{image}\"}}
  certificate:
    secretName: {name}-tls
    issuerRef: {{kind: TandemClusterIssuer, name: {issuer}}}
    serial: {name}-tls
  storage: {{size: {size}, serial: {name}-data}}
  clients:
    - {{name: app, image: \"registry.example/app:1.0\", certificate: none}}
"
    )
}

fn main() {
    let helm = std::env::var_os("HELM").expect("HELM names the helm program; make bench-render sets it");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join("bench/rendering");
    fs::create_dir_all(folder.join("chart/templates")).unwrap();
    write_chart(&folder.join("chart"));
    let measured = RUNS.map(|(vms, runs, _)| measure(&folder, helm.as_ref(), vms, runs));

    println!("| | tandem-vm | helm template | ÷ |\n|---|---|---|---|");
    for measured in &measured {
        measured.print();
    }
    let report = target.join("bench/rendering.json");
    let all = measured.each_ref().map(Measured::json);
    fs::write(
        &report,
        serde_json::to_string_pretty(&json!({ "helm": version(helm.as_ref()), "rendering": all })).unwrap(),
    )
    .unwrap();
    println!("\neach run: {}", report.canonicalize().unwrap().display());
    for (measured, (_, _, most)) in measured.iter().zip(RUNS) {
        let half = measured.wall(0, 0.5);
        assert!(half < most, "{} VMs took {half:.3} s where {most} s are promised", measured.vms);
    }
}

fn version(helm: &Path) -> String {
    let output = Command::new(helm).args(["version", "--short"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A chart whose one template is all that is rendered for a VM, once for each entry of `vms` in the values.
fn write_chart(chart: &Path) {
    let input = chart.join("document.yaml");
    fs::write(&input, document(values(0))).unwrap();
    let mut template = run(&mut tandem_vm(&input)).output.replace("{{", "{{ \"{{\" }}");
    for (name, value) in VALUES {
        assert!(template.contains(value), "{value} is nowhere in the output");
        template = template.replace(value, &format!("{{{{ .{name} }}}}"));
    }
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: like\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/vm.yaml"), format!("{{{{- range .Values.vms }}}}\n{template}{{{{- end }}}}\n"))
        .unwrap();
}

fn tandem_vm(input: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem-vm"));
    command.arg("render").arg(input);
    command
}

fn measure(folder: &Path, helm: &Path, vms: usize, runs: usize) -> Measured {
    let input = folder.join(format!("{vms}.yaml"));
    let documents: Vec<_> = (1..=vms).map(|vm| document(values(vm))).collect();
    fs::write(&input, documents.join("---\n")).unwrap();
    let chart_values = folder.join(format!("{vms}-values.json"));
    let entry = |vm| VALUES.iter().map(|(name, _)| *name).zip(values(vm)).collect::<BTreeMap<_, _>>();
    fs::write(&chart_values, json!({ "vms": (1..=vms).map(entry).collect::<Vec<_>>() }).to_string()).unwrap();

    let mut ours = tandem_vm(&input);
    let mut theirs = Command::new(helm);
    theirs.args(["template", "like"]).arg(folder.join("chart")).arg("--values").arg(&chart_values);
    // Neither the user's plugins nor their settings are measured, and nothing is written to their home.
    theirs.env("HOME", folder).env_remove("KUBECONFIG");
    let bytes = [&mut ours, &mut theirs].map(|command| run(command).output);
    assert_eq!(objects(&bytes[0]), objects(&bytes[1]), "both must write the same objects");
    assert_eq!(objects(&bytes[0]).len() % vms, 0);
    Measured {
        vms,
        objects: objects(&bytes[0]).len(),
        bytes: bytes.map(|output| output.len()),
        runs: (0..runs).map(|_| [&mut ours, &mut theirs].map(|command| run(command).cost)).collect(),
    }
}

/// All objects of a stream, by kind, namespace and name, whatever their order.
fn objects(stream: &str) -> BTreeMap<String, Value> {
    let object = |document| {
        let object: Value = serde::Deserialize::deserialize(document).unwrap();
        let metadata = &object["metadata"];
        (format!("{} {}/{}", object["kind"], metadata["namespace"], metadata["name"]), object)
    };
    serde_yaml::Deserializer::from_str(stream).map(object).collect()
}

/// Seconds of a whole process, from before it is started until its output is read and it is gone.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    /// User and system time, in steps of 10 ms: only sums over many runs say much.
    processor: f64,
}

struct Run {
    output: String,
    cost: Cost,
}

fn run(command: &mut Command) -> Run {
    let (start, before) = (Instant::now(), children_seconds());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let cost = Cost { wall: start.elapsed().as_secs_f64(), processor: children_seconds() - before };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Run { output: String::from_utf8(output.stdout).unwrap(), cost }
}

/// Processor time of all children that have ended: proc_pid_stat(5), fields cutime and cstime.
fn children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u32 = fields.split_whitespace().skip(13).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / rustix::param::clock_ticks_per_second() as f64
}

/// The first of each pair is tandem-vm, the second Helm.
struct Measured {
    vms: usize,
    objects: usize,
    bytes: [usize; 2],
    runs: Vec<[Cost; 2]>,
}

impl Measured {
    /// Seconds in which so many of the runs had ended.
    fn wall(&self, who: usize, q: f64) -> f64 {
        quantile(self.runs.iter().map(|pair| pair[who].wall), q)
    }

    fn print(&self) {
        let vms = if self.vms == 1 { "one VM".to_owned() } else { format!("{} VMs", self.vms) };
        let ratio = quantile(self.runs.iter().map(|[ours, theirs]| ours.wall / theirs.wall), 0.5);
        let at = |q| [0, 1].map(|who| 1000.0 * self.wall(who, q));
        let ([ours, theirs], [ours_slow, theirs_slow]) = (at(0.5), at(0.9));
        println!("| {vms}, p50 and p90, ms | {ours:.1}, {ours_slow:.1} | {theirs:.1}, {theirs_slow:.1} | {ratio:.3} |");
        let processor = |who: usize| self.runs.iter().map(|pair| pair[who].processor).sum::<f64>();
        let [ours, theirs] = [0, 1].map(|who| 1000.0 * processor(who) / self.runs.len() as f64);
        println!("| {vms}, processor, mean, ms | {ours:.1} | {theirs:.1} | {:.3} |", ours / theirs);
        println!(
            "| {vms}, output of {} objects, kB | {} | {} | |",
            self.objects,
            self.bytes[0] / 1000,
            self.bytes[1] / 1000
        );
    }

    fn json(&self) -> Value {
        let seconds = |who: usize| {
            let of = |cost: fn(&Cost) -> f64| self.runs.iter().map(|pair| cost(&pair[who])).collect::<Vec<_>>();
            json!({ "wall": of(|cost| cost.wall), "processor": of(|cost| cost.processor), "bytes": self.bytes[who] })
        };
        json!({ "vms": self.vms, "objects": self.objects, "tandem-vm": seconds(0), "helm": seconds(1) })
    }
}

fn quantile(values: impl Iterator<Item = f64>, q: f64) -> f64 {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}
