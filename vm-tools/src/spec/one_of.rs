//! Fields of which exactly one is there, such as `database: {mongodb: …}`: an enum in Rust, a mapping with one key in YAML.

/// Makes such an enum. serde's own would be read and written as a YAML tag.
macro_rules! one_of {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $key:literal => $variant:ident($type:ty),)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$doc])* $variant($type),)+
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(Some(1))?;
                match self {
                    $(Self::$variant(value) => map.serialize_entry($key, value)?,)+
                }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::{Error, MapAccess, Visitor};
                struct OneOf;
                impl<'de> Visitor<'de> for OneOf {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("struct with one field")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        const KEYS: &[&str] = &[$($key),+];
                        let Some(key) = map.next_key::<String>()? else {
                            return Err(A::Error::custom(format_args!("is empty; write one of {}", KEYS.join(", "))));
                        };
                        let value = match key.as_str() {
                            $($key => $name::$variant(map.next_value()?),)+
                            _ => return Err(A::Error::unknown_field(&key, KEYS)),
                        };
                        match map.next_key::<String>()? {
                            None => Ok(value),
                            Some(other) if !KEYS.contains(&other.as_str()) => Err(A::Error::unknown_field(&other, KEYS)),
                            Some(other) => Err(A::Error::custom(format_args!("names {key} and {other}; keep one of them"))),
                        }
                    }
                }
                deserializer.deserialize_map(OneOf)
            }
        }
    };
}

pub(super) use one_of;
