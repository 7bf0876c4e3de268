//! The arguments of a command, before anything else looks at them.

use std::ffi::OsStr;

use crate::problem::has_key;

/// Refuses a private key among the arguments, as one word or as several: whatever is said of them later repeats what it is
/// about. No option takes a key.
///
/// # Errors
/// In words, without the key.
pub fn hold_no_key<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let words: Vec<_> = arguments.into_iter().map(OsStr::to_string_lossy).collect();
    if has_key(&words.join(" ")) {
        return Err(
            "an argument is a private key, which every user of this machine can see in the list of processes; \
                    replace the key, keep the new one in a file of mode 0600, and name that file"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_one_word_and_in_several() {
        let says = |words: &[&str]| hold_no_key(words.iter().map(OsStr::new)).err().unwrap_or_default();
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\n-----END EC PRIVATE KEY-----\n";
        let split: Vec<_> = key.split_whitespace().collect();
        for words in [&["verify", "--folder", key][..], &[&format!("--user={key}")], &split] {
            let said = says(words);
            assert!(said.contains("is a private key") && !said.contains("MHcC"), "{said}");
        }
        assert_eq!(says(&["keyfile", "tls.key", "--reload-command", "grep 'BEGIN CERTIFICATE' /etc/ssl/tls.crt"]), "");
    }
}
