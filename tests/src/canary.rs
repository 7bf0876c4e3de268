//! Key material, looked for in what is told: any piece of 24 characters, however it is written.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use rcgen::KeyPair;

/// How long a piece is.
const PIECE: usize = 24;

/// Pieces are found by parts of this length, of which a piece has at least two in whatever place.
const PART: usize = 8;

/// What must not be told.
#[derive(Debug, Default)]
pub struct Canary {
    pieces: HashSet<Vec<u8>>,
    parts: HashSet<Vec<u8>>,
}

impl Canary {
    /// Looks for these private keys, in PEM; not for what is public: what stands in these documents as well (certificates in
    /// PEM, one or several each), and pieces of which most is what all keys of their kind begin with.
    ///
    /// # Errors
    /// Where one is none.
    pub fn of(keys: &[&str], public: &[&str]) -> Result<Self> {
        let mut canary = Self::default();
        for key in keys {
            canary.add_key(key)?;
        }
        for document in public {
            canary.forgive(document)?;
        }
        for key in keys {
            let kind = KeyPair::from_pem(key).context("a key that cannot be read")?;
            let mut another = Self::default();
            another.add_key(&KeyPair::generate_for(kind.algorithm())?.serialize_pem())?;
            let begins = |piece: &[u8]| piece.get(..PIECE - PART).unwrap_or_default().to_vec();
            let common: HashSet<_> = another.pieces.iter().map(|piece| begins(piece)).collect();
            canary.pieces.retain(|piece| !common.contains(&begins(piece)));
        }
        Ok(canary)
    }

    /// Looks for this text from now on: as it stands, and in base64.
    ///
    /// # Errors
    /// None that is known.
    pub fn add_text(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            self.add(line);
        }
        self.add(&base64(text.as_bytes())?);
        Ok(())
    }

    /// Looks for this private key, in PEM, from now on: its lines, the same in base64 (as Secrets are on the wire), its bytes in
    /// base64 without line breaks, in hexadecimal digits, and as lists of numbers.
    ///
    /// # Errors
    /// Where it is no PEM.
    pub fn add_key(&mut self, key: &str) -> Result<()> {
        let der = pem::parse(key).context("a key that is no PEM")?.into_contents();
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            self.add(line);
        }
        // Without the label, which is no secret, at each of the places that bytes have in base64.
        let body = key.find('\n').and_then(|end| key.get(end..)).unwrap_or_default();
        for skipped in 0..3 {
            self.add(&base64(body.as_bytes().get(skipped..).unwrap_or_default())?);
            self.add(&base64(der.get(skipped..).unwrap_or_default())?);
        }
        let hex = der.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.add(&hex);
        self.add(&hex.to_uppercase());
        for bytes in [key.as_bytes(), &der] {
            for separator in [", ", ","] {
                self.add(&bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(separator));
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        self.pieces.extend(text.as_bytes().windows(PIECE).map(<[u8]>::to_vec));
        self.parts.extend(text.as_bytes().windows(PART).map(<[u8]>::to_vec));
    }

    /// Looks no longer for what is in these documents, in PEM, as well: certificates, or other keys.
    ///
    /// # Errors
    /// Where it is no PEM.
    pub fn forgive(&mut self, public: &str) -> Result<()> {
        let mut all = Self::default();
        for document in pem::parse_many(public)? {
            all.add_key(&pem::encode(&document))?;
        }
        self.pieces.retain(|piece| !all.pieces.contains(piece));
        Ok(())
    }

    /// The pieces that are in a text, each with its place.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<(usize, String)> {
        let text = text.as_bytes();
        let mut found = BTreeMap::new();
        for (index, part) in text.chunks_exact(PART).enumerate() {
            if !self.parts.contains(part) {
                continue;
            }
            // The pieces that this part may belong to.
            let first = (index * PART).saturating_sub(PIECE - PART);
            for begin in first..=index * PART {
                let piece = text.get(begin..begin + PIECE).unwrap_or_default();
                if self.pieces.contains(piece) {
                    found.insert(begin, String::from_utf8_lossy(piece).into_owned());
                }
            }
        }
        found.into_iter().collect()
    }
}

fn base64(bytes: &[u8]) -> Result<String> {
    let text = serde_json::to_string(&ByteString(bytes.to_vec()))?;
    Ok(text.trim_matches('"').trim_end_matches('=').to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

    use super::*;

    /// Every piece of 24 characters is found, in whatever place, and in whatever way it is written.
    #[test]
    fn any_piece_of_a_key_is_found() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let (pem, der) = (key.serialize_pem(), key.serialize_der());
            let mut canary = Canary::default();
            canary.add_key(&pem).unwrap();
            let hex: String = der.iter().map(|byte| format!("{byte:02X}")).collect();
            let joined = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
            for told in [
                pem.clone(),
                joined,
                base64(pem.as_bytes()).unwrap(),
                hex,
                format!("{der:?}"),
                format!("{:?}", pem.as_bytes()),
                format!("{pem:?}"),
                serde_json::json!({"stringData": {"tls.key": pem}}).to_string(),
            ] {
                assert!(!canary.find(&told).is_empty(), "{told}");
            }
            let line = pem.lines().nth(1).unwrap();
            for begin in 0..line.len() - PIECE {
                for place in 0..PART {
                    let told = format!("{}{}…", " ".repeat(place), &line[begin..begin + PIECE]);
                    assert_eq!(canary.find(&told).len(), 1, "{told}");
                }
            }
            assert_eq!(canary.find(&format!(" {}…", &line[..PIECE - 1])), []);
        }
    }

    #[test]
    fn what_is_public_is_forgiven_and_no_more() {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let pem = key.serialize_pem();
        let mut canary = Canary::default();
        canary.add_key(&pem).unwrap();
        let public = key.public_key_pem();
        canary.forgive(&public).unwrap();
        assert_eq!(canary.find(&public), []);
        assert!(!canary.find(&pem).is_empty());
    }

    /// In whatever order they are given.
    #[test]
    fn keys_are_told_from_what_is_public_of_them_and_from_others_of_their_kind() {
        let make = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let (one, other) = (make(), make());
        let keys = [one.serialize_pem(), other.serialize_pem()];
        let public = one.public_key_pem();
        let canary = Canary::of(&[&keys[0], &keys[1]], &[&public]).unwrap();
        assert_eq!(canary.find(&public), []);
        assert_eq!(canary.find(&make().serialize_pem()), []);
        assert!(keys.iter().all(|key| !canary.find(key).is_empty()));
        assert!(!canary.find(&other.public_key_pem()).is_empty(), "what is not said to be public");
    }

    #[test]
    fn a_token_is_found_in_part() {
        let mut canary = Canary::default();
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMzQ1Njc4OTAifQ.abcdefghijklmnopqrstuvwxyz";
        canary.add_text(token).unwrap();
        assert!(!canary.find(&format!("authorization: Bearer {token}")).is_empty());
        assert!(!canary.find(&token[10..40]).is_empty());
        assert_eq!(canary.find("authorization: Sensitive"), []);
    }
}
