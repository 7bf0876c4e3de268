//! YAML text → values, within a budget. Aliases let a short text stand for gigabytes; here it is refused long before.
//! JSON is read as the YAML that it is.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// Reads the one document of a text. `budget` is the most values, and bytes of text in them, that it may stand for once
/// its aliases are replaced.
///
/// # Errors
/// Where it is not YAML, holds several documents, or exceeds the budget.
pub fn document(text: &str, budget: usize) -> Result<Value, serde_yaml::Error> {
    Budget::of(&Cell::new(Left::of(budget))).deserialize(serde_yaml::Deserializer::from_str(unmarked(text)))
}

/// Without the byte order mark that a stream may begin with (YAML 1.2.2, clause 5.2): the library counts it as a column, and what
/// stands below the first line would be indented otherwise.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Values that a text may hold, also once its aliases are replaced. Each takes some two hundred bytes of memory, however short
/// it is; a thousand rendered virtual machines hold three million at the most.
const MAX_VALUES: usize = 4 * 1024 * 1024;

/// Brackets that may be open at once. The scanner's time grows with the square of their number; what is read afterwards
/// allows far fewer.
const MAX_OPEN: usize = 10_000;

/// Reads all documents of a text, empty ones as null, within one budget. After an error there are no more.
pub fn documents(text: &str, budget: usize) -> impl Iterator<Item = Result<Value, serde_yaml::Error>> {
    let left = Cell::new(Left::of(budget));
    let excess = excess(text);
    let mut failed = false;
    serde_yaml::Deserializer::from_str(if excess.is_some() { "" } else { unmarked(text) }).map_while(move |document| {
        let read = (!failed).then(|| match excess {
            Some(why) => Err(serde_yaml::Error::custom(why)),
            None => Budget::of(&left).deserialize(document),
        })?;
        failed = read.is_err();
        Some(read)
    })
}

/// What a text has too much of to be parsed. Brackets, and places at which a value may begin, are counted wherever they
/// stand, in quoted texts as well: no manifest comes near the limits.
fn excess(text: &str) -> Option<&'static str> {
    let (mut open, mut values) = (0_usize, 0_usize);
    let next = text.bytes().skip(1).chain([b' ']);
    for (byte, next) in text.bytes().zip(next) {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        let begins = matches!(byte, b'[' | b'{' | b',' | b':' | b'\n') || (matches!(byte, b'-' | b'?') && next == b' ');
        values += usize::from(begins);
        if open > MAX_OPEN {
            return Some("it is nested too deep; write it flatter");
        }
        if values > MAX_VALUES {
            return Some("it holds millions of values; split it into several files");
        }
    }
    None
}

/// What may still be read.
#[derive(Clone, Copy)]
struct Left {
    /// Values, and bytes of text in them.
    budget: usize,
    /// Values alone.
    values: usize,
}

impl Left {
    fn of(budget: usize) -> Self {
        Self { budget, values: MAX_VALUES }
    }

    fn without(self, values: usize, bytes: usize) -> Option<Self> {
        let budget = self.budget.checked_sub(values)?.checked_sub(bytes)?;
        Some(Self { budget, values: self.values.checked_sub(values)? })
    }
}

#[derive(Clone, Copy)]
struct Budget<'a> {
    left: &'a Cell<Left>,
    /// Where the name of a field is read: the fields before it. The library says of an error where the value began that was being
    /// read, so one in a name has to be found while that is.
    before: Option<&'a Mapping>,
}

impl<'a> Budget<'a> {
    fn of(left: &'a Cell<Left>) -> Self {
        Self { left, before: None }
    }

    fn spend<E: Error>(self, values: usize, bytes: usize) -> Result<(), E> {
        let too_much = || E::custom("its aliases stand for too much; write the values out");
        self.left.set(self.left.get().without(values, bytes).ok_or_else(too_much)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Budget<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1, 0)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Budget<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value without a tag")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(0, value.len())?;
        if self.before.is_some_and(|fields| fields.contains_key(value)) {
            return Err(E::custom(format_args!("the field `{value}` is there twice")));
        }
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// A text without a document.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Self::of(self.left))? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Mapping::new();
        let value = Self::of(self.left);
        while let Some((key, value)) = entries.next_entry_seed(Budget { before: Some(&all), ..value }, value)? {
            let name = match key {
                Value::String(name) => name,
                // As kubectl and cloud-init take them.
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                // As `{{ .Values.name }}` is read.
                Value::Mapping(_) => return Err(A::Error::custom("a field's name is a mapping")),
                _ => return Err(A::Error::custom("a field's name is not a text; write it in quotes")),
            };
            // A number may stand beside its text.
            let twice = A::Error::custom(format_args!("the field `{name}` is there twice"));
            if all.insert(name.into(), value).is_some() {
                return Err(twice);
            }
        }
        Ok(all.into())
    }
}
