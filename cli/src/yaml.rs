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
    Budget(&Cell::new(budget)).deserialize(serde_yaml::Deserializer::from_str(text))
}

/// Brackets that may be open at once. The scanner's time grows with the square of their number; what is read afterwards
/// allows far fewer.
const MAX_OPEN: usize = 10_000;

/// Reads all documents of a text, empty ones as null, within one budget. After an error there are no more.
pub fn documents(text: &str, budget: usize) -> impl Iterator<Item = Result<Value, serde_yaml::Error>> {
    let left = Cell::new(budget);
    let too_deep = opens_too_many(text);
    let mut failed = false;
    serde_yaml::Deserializer::from_str(if too_deep { "" } else { text }).map_while(move |document| {
        let read = (!failed).then(|| match too_deep {
            true => Err(serde_yaml::Error::custom("it is nested too deep; write it flatter")),
            false => Budget(&left).deserialize(document),
        })?;
        failed = read.is_err();
        Some(read)
    })
}

/// Counts brackets wherever they stand, in quoted texts as well: no manifest comes near the limit.
fn opens_too_many(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN
    })
}

#[derive(Clone, Copy)]
struct Budget<'a>(&'a Cell<usize>);

impl Budget<'_> {
    fn spend<E: Error>(self, amount: usize) -> Result<(), E> {
        let left = self
            .0
            .get()
            .checked_sub(amount)
            .ok_or_else(|| E::custom("its aliases stand for too much; write the values out"))?;
        self.0.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Budget<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1)?;
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
        self.spend(value.len())?;
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
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Mapping::new();
        while let Some((key, value)) = entries.next_entry_seed(self, self)? {
            let Value::String(name) = &key else { return Err(A::Error::custom("a field's name is not a string")) };
            let twice = A::Error::custom(format_args!("the field `{name}` is there twice"));
            if all.insert(key, value).is_some() {
                return Err(twice);
            }
        }
        Ok(all.into())
    }
}
