//! DNS names as certificates hold them: ASCII, with internationalised labels as A-labels (RFC 5280 clauses 4.2.1.6 and
//! 7.2; RFC 5890 clause 2.3).

/// Reads a DNS name, which may begin with a wildcard label; in lower case. Underscores pass: names of services have them.
pub(crate) fn read(name: &str) -> Result<String, &'static str> {
    match name.strip_prefix("*.") {
        Some(parent) => Ok(format!("*.{}", read_host(parent)?)),
        None => read_host(name),
    }
}

/// Reads a DNS name without wildcards; in lower case.
pub(crate) fn read_host(name: &str) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    // With a wildcard label of two bytes before it.
    if name.len() > 251 {
        return Err("it is longer than a DNS name");
    }
    if name.ends_with('.') {
        return Err("it ends in a dot");
    }
    let name = name.to_ascii_lowercase();
    name.split('.').try_for_each(check_label)?;
    Ok(name)
}

/// The ASCII form of a name that may hold U-labels, in lower case (UTS #46, as browsers do it).
pub(crate) fn to_ascii(name: &str) -> Result<String, &'static str> {
    idna::domain_to_ascii(name).map_err(|_| "it is no internationalised DNS name (RFC 5890)")
}

fn check_label(label: &str) -> Result<(), &'static str> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match label {
        "" => Err("it has an empty label"),
        _ if label.contains('*') => Err("a wildcard may only be the whole of its first label, before others"),
        _ if !label.bytes().all(known) => Err("it has a character that no DNS name has"),
        _ if label.len() > 63 => Err("one of its labels is longer than 63 bytes"),
        _ if label.starts_with("xn--") && !is_a_label(label) => Err("a label begins with xn-- and is no A-label"),
        _ if label.starts_with('-') || label.ends_with('-') => Err("one of its labels begins or ends with a hyphen"),
        _ => Ok(()),
    }
}

/// Whether a label in lower case is what its own U-label becomes.
fn is_a_label(label: &str) -> bool {
    let (unicode, read) = idna::domain_to_unicode(label);
    read.is_ok() && !unicode.is_ascii() && to_ascii(&unicode).is_ok_and(|again| again == label)
}
