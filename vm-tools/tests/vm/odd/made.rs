//! Documents with something else at one place than is expected, and texts written in ways that nobody is used to.

use serde_yaml::Value;

/// Where a value stands: which entry of each mapping or list on the way to it.
type Place = Vec<usize>;

/// Every place of a document but the whole.
fn places(value: &Value) -> Vec<Place> {
    fn walk(value: &Value, at: &mut Place, all: &mut Vec<Place>) {
        let inner: Vec<&Value> = match value {
            Value::Mapping(fields) => fields.values().collect(),
            Value::Sequence(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        for (index, value) in inner.into_iter().enumerate() {
            at.push(index);
            all.push(at.clone());
            walk(value, at, all);
            at.pop();
        }
    }
    let mut all = Vec::new();
    walk(value, &mut Vec::new(), &mut all);
    all
}

/// What stands at a place, together with what it stands in.
fn with_parent<'v>(document: &'v mut Value, place: &[usize]) -> (&'v mut Value, usize) {
    let (last, way) = place.split_last().unwrap();
    let parent = way.iter().fold(document, |value, index| entry(value, *index));
    (parent, *last)
}

fn entry(value: &mut Value, index: usize) -> &mut Value {
    match value {
        Value::Mapping(fields) => fields.values_mut().nth(index).unwrap(),
        Value::Sequence(items) => &mut items[index],
        _ => unreachable!(),
    }
}

/// What may stand in the place of a value; `None`: nothing does.
const ODD: [fn(&Value) -> Option<Value>; 24] = [
    |_| None,
    |_| Some(Value::Null),
    |_| Some(true.into()),
    |_| Some(0.into()),
    |_| Some((-1).into()),
    |_| Some(0.5.into()),
    |_| Some(u64::MAX.into()),
    |_| Some(i64::MIN.into()),
    |_| Some(f64::INFINITY.into()),
    |_| Some(f64::NAN.into()),
    |_| Some("".into()),
    |_| Some(" ".into()),
    |_| Some("-----".into()),
    |_| Some("../../a b\n/".into()),
    |_| Some("\u{feff}\u{202e}{{ é }}\0\u{1b}[31m".into()),
    |_| Some("9999999999999999999999h".into()),
    |_| Some("n".repeat(5000).into()),
    |_| Some(Value::Sequence(Vec::new())),
    |_| Some(Value::Mapping(serde_yaml::Mapping::new())),
    |old| Some(Value::Sequence(vec![old.clone(), Value::Null, old.clone()])),
    |old| Some(Value::Mapping([(1.into(), old.clone())].into_iter().collect())),
    |old| Some(serde_yaml::to_string(old).unwrap().into()),
    |old| Some((0..60).fold(old.clone(), |inner, _| Value::Sequence(vec![inner]))),
    // A mapping whose key is no text, and one with an entry that nobody knows.
    |old| Some(Value::Mapping([(Value::Null, Value::Null), ("unheard-of".into(), old.clone())].into_iter().collect())),
];

/// The document with another value at a place.
fn with(document: &Value, place: &[usize], odd: fn(&Value) -> Option<Value>) -> Value {
    let mut document = document.clone();
    let (parent, index) = with_parent(&mut document, place);
    match (odd(entry(parent, index)), parent) {
        (Some(new), parent) => *entry(parent, index) = new,
        (None, Value::Mapping(fields)) => {
            let key = fields.keys().nth(index).cloned().unwrap();
            fields.remove(key);
        }
        (None, Value::Sequence(items)) => drop(items.remove(index)),
        (None, _) => unreachable!(),
    }
    document
}

/// Documents that differ from this one at one place: each place in turn, and at each every so-manieth value, from another on at the next.
pub(super) fn odd_in_one_place(document: &Value, every: usize) -> Vec<Value> {
    let all = places(document).into_iter().enumerate();
    let values = |turn: usize| ODD.iter().skip(turn % every).step_by(every);
    all.flat_map(|(turn, place)| values(turn).map(move |odd| with(document, &place, *odd)).collect::<Vec<_>>())
        .collect()
}

/// Streams that are odd at one place of each of their objects. So that it takes seconds, the places come one after the other, and the values
/// in turn; a kind that is none hides its object, and no more.
pub(super) fn odd_in_each_object(objects: &[Value]) -> Vec<String> {
    let all: Vec<_> = objects.iter().map(places).collect();
    let most = all.iter().map(Vec::len).max().unwrap();
    let known = |object: &Value| {
        object.get("apiVersion").is_some_and(Value::is_string) && object.get("kind").is_some_and(Value::is_string)
    };
    let mut streams = Vec::new();
    for turn in 0..most * ODD.len() / 6 {
        let object = |(index, (object, places)): (usize, (&Value, &Vec<Place>))| {
            let odd =
                with(object, &places[turn / 4 % places.len()], ODD[(turn * 6 + index * 5 + turn / 4) % ODD.len()]);
            // Something without a kind is no manifest, and nothing else is looked at then.
            if known(&odd) { odd } else { object.clone() }
        };
        streams.push(stream(&objects.iter().zip(&all).enumerate().map(object).collect::<Vec<_>>()));
    }
    streams
}

pub(super) fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

pub(super) fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
}

/// A text in ways that YAML allows and in some that it does not.
pub(super) fn written_oddly(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let half = lines[..lines.len() / 2].join("\n");
    let line = |from: &str, to: &str| text.replacen(from, to, 1);
    vec![
        String::new(),
        "\n\n".to_owned(),
        "---\n---\n...\n".to_owned(),
        "# nothing\n".to_owned(),
        "null\n".to_owned(),
        "- 1\n".to_owned(),
        "\u{feff}".to_owned(),
        format!("\u{feff}{text}"),
        format!("---\n\u{feff}{text}"),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replacen('\n', "\r\n", 3),
        text.trim_end().to_owned(),
        format!("{text}\n\n\n   \n"),
        format!("{text}\t\n"),
        text.replace("  ", "\t"),
        text.replacen("  ", "\t", 1),
        line("kind:", "kind:\t"),
        format!("{text}---\n{text}"),
        format!("{text}---\n{text}---\n- 1\n"),
        format!("{text}---\n{{}}\n"),
        format!("{text}---\n\"only a text\"\n"),
        format!("{text}---\nkind: A\nkind: B\n"),
        format!("{text}...\n{text}"),
        format!("{text}---\n? [a]\n: b\n"),
        format!("{text}1: a\n"),
        format!("{text}~: a\n"),
        format!("{text}kind: Twice\n"),
        format!("{text}x: &x [*x]\n"),
        format!("{text}x: *x\n"),
        format!("{text}<<: {{a: b}}\n"),
        format!("x: &x {{a: 1}}\n{text}y:\n  <<: *x\n  <<: *x\n"),
        format!("{text}x: !secret y\n"),
        format!("{text}x: {}\n", "[".repeat(90) + &"]".repeat(90)),
        format!("{text}x: {}\n", "[".repeat(500) + &"]".repeat(500)),
        format!("{text}x: {}\n", "{a: ".repeat(90) + &"}".repeat(90)),
        format!("{text}x: 123456789012345678901234567890\n"),
        format!("{text}x: 0x{}\n", "f".repeat(100)),
        format!("{text}x: 1e999999\n"),
        format!("{text}{}: 1\n", "k".repeat(2000)),
        format!("{text}? {}\n: 1\n", "k".repeat(2000)),
        format!("{text}x: |9\n  y\n"),
        format!("{text}x: >+\n\n\n"),
        format!("{text}x: \"\\ud800\"\n"),
        format!("{text}x: '"),
        format!("{text}x: {{"),
        format!("%YAML 1.1\n---\n{text}"),
        format!("%TAG ! tag:example.org,2026:\n---\n{text}"),
        format!("%NOTHING\n---\n{text}"),
        half.clone(),
        format!("{half}\n---\n{text}"),
        format!("apiVersion: v1\nkind: List\nitems:\n- {}\n", text.lines().collect::<Vec<_>>().join("\n  ")),
        format!("apiVersion: v1\nkind: List\nitems: []\n---\n{text}"),
        format!("apiVersion: v1\nkind: List\nitems:\n---\n{text}"),
        format!("apiVersion: v1\nkind: List\nitems: {{a: b}}\n---\n{text}"),
        format!("apiVersion: v1\nkind: List\nitems: [null, 1, [], {{}}, {{kind: List, items: [~]}}]\n---\n{text}"),
        format!("apiVersion: a/b/c\nkind: List\nkindred: [{{}}]\n---\n{text}"),
        format!("kind: List\nitems:\n- kind: List\n  items:\n  - kind: List\n    items: []\n---\n{text}"),
        format!(
            "apiVersion: kubevirt.io/v1\nkind: VirtualMachineList\nitems: [{{metadata: {{name: a}}}}]\n---\n{text}"
        ),
        serde_json::to_string(&documents(text)[0]).unwrap(),
        serde_json::to_string_pretty(&documents(text)).unwrap(),
    ]
}
