//! Names that Kubernetes takes.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>

/// An RFC 1123 subdomain, as most objects' names are.
pub(crate) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

/// An RFC 1123 label, as namespaces' names are.
pub(crate) fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

fn is_label_of_any_length(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inside)
}
