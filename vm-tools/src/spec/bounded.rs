//! YAML text → values, within a budget. Aliases let a short text stand for gigabytes; here it is refused long before.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// Most values, and bytes of text in them, that a document may stand for once its aliases are replaced.
const BUDGET: usize = 2 * super::MAX_BYTES;

/// Reads the one document of a text.
pub(super) fn values(text: &str) -> Result<Value, serde_yaml::Error> {
    Budget(&Cell::new(BUDGET)).deserialize(serde_yaml::Deserializer::from_str(text))
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
