//! Rules for single values, the same for a document's fields, a command's options and a guest's settings. Each returns what
//! is wrong with the value and what to write, as the end of a sentence that begins with the field's path.

use tandem_cli::shown;

type Check = Result<(), String>;

/// An RFC 1123 label: Kubernetes names that become part of a DNS name.
pub(crate) fn label(value: &str, max: usize) -> Check {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    let bytes = value.as_bytes();
    if value.is_empty() {
        return Err("is empty; write a name".to_owned());
    }
    if !(bytes.iter().copied().all(inside) && ends(bytes.first()) && ends(bytes.last())) {
        return Err(format!(
            "`{}` is not an RFC 1123 label; use a-z, 0-9 and -, beginning and ending with a letter or digit",
            shown(value)
        ));
    }
    if value.len() > max {
        return Err(format!("`{}` has {} bytes; use at most {max}", shown(value), value.len()));
    }
    Ok(())
}

/// An RFC 1035 label, as Services need it: like [`label`], beginning with a letter.
pub(crate) fn service_label(value: &str, max: usize) -> Check {
    label(value, max)?;
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{value}` begins with a digit, which a Service's name may not; begin with a letter"));
    }
    Ok(())
}

/// An RFC 1123 subdomain: dot-separated labels, at most 253 bytes.
pub(crate) fn subdomain(value: &str) -> Check {
    if value.len() > 253 {
        return Err(format!("`{}` has {} bytes; use at most 253", shown(value), value.len()));
    }
    if let Some(long) = value.split('.').map(str::len).find(|length| *length > 63) {
        return Err(format!("`{}` has a label of {long} bytes; use at most 63 between two dots", shown(value)));
    }
    value
        .split('.')
        .try_for_each(|part| label(part, 63))
        .map_err(|_| format!("`{}` is not a DNS name; use labels of a-z, 0-9 and -, joined by dots", shown(value)))
}

/// A DNS name for a certificate: a subdomain whose first label may be `*` (RFC 9525).
pub(crate) fn dns_san(value: &str) -> Check {
    match value.strip_prefix("*.") {
        Some(rest) => subdomain(rest),
        None => subdomain(value),
    }
}

/// Most bytes of a serial that a guest sees on virtio.
pub(crate) const VIRTIO_SERIAL: usize = 20;

/// A disk serial: what KubeVirt admits, cut to what a guest sees of it.
pub(crate) fn serial(value: &str, longest: usize) -> Check {
    if value.is_empty() {
        return Err("is empty; write a serial or leave the field out".to_owned());
    }
    if let Some(bad) = value.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.+-".contains(*c))) {
        return Err(format!("has the character {bad:?}; use only A-Z, a-z, 0-9, _, ., + and -"));
    }
    if value.len() > longest {
        return Err(format!(
            "`{}` has {} bytes, and the guest would see only the first {longest}; use at most {longest}, or leave the field out",
            shown(value),
            value.len()
        ));
    }
    Ok(())
}

/// An image reference. The registry is the judge of the rest.
pub(crate) fn image(value: &str) -> Check {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if value.is_empty() {
        return Err("is empty; write an image such as registry.example/name:tag".to_owned());
    }
    if !value.chars().all(known) || !value.starts_with(|c: char| c.is_ascii_alphanumeric()) || value.len() > 512 {
        return Err(format!("`{}` is not an image reference; write registry/name:tag", shown(value)));
    }
    Ok(())
}

/// A Kubernetes quantity of bytes of at least `min`:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
pub(crate) fn bytes_at_least(value: &str, min: (&str, f64)) -> Check {
    match quantity(value) {
        None => Err(format!("`{}` is not a quantity; write a number with a unit, such as {}", shown(value), min.0)),
        Some(bytes) if bytes < min.1 => Err(format!("`{value}` is less than {}; write at least {}", min.0, min.0)),
        Some(_) => Ok(()),
    }
}

fn quantity(value: &str) -> Option<f64> {
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let number: f64 = number.parse().ok()?;
    let power = |base: f64, letter: &str| {
        "kMGTPE"
            .to_lowercase()
            .find(&letter.to_lowercase())
            .and_then(|n| i32::try_from(n + 1).ok())
            .map(|n| base.powi(n))
    };
    let factor = match unit {
        "" => 1.0,
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => power(1024.0, &unit[..1])?,
        "k" | "M" | "G" | "T" | "P" | "E" => power(1000.0, unit)?,
        "m" => 1e-3,
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            10f64.powi(digits.parse::<i8>().ok()?.into())
        }
    };
    Some(number * factor).filter(|bytes| bytes.is_finite())
}

/// A Go duration, in seconds: <https://pkg.go.dev/time#ParseDuration>. Only the units that make sense for a
/// certificate's life are taken.
pub(crate) fn duration(value: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is not a duration; write hours, minutes and seconds, such as 2160h", shown(value));
    let (mut seconds, mut rest) = (0u64, value);
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..unit].parse().map_err(|_| wrong())?;
        let factor = match rest.as_bytes()[unit] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(wrong()),
        };
        seconds = number.checked_mul(factor).and_then(|n| n.checked_add(seconds)).ok_or_else(wrong)?;
        rest = &rest[unit + 1..];
    }
    // Go counts nanoseconds in 63 bits.
    if value.is_empty() || seconds > i64::MAX as u64 / 1_000_000_000 { Err(wrong()) } else { Ok(seconds) }
}

/// Any Go duration, as it may stand in somebody else's Certificate, in whole seconds.
pub(crate) fn go_duration(value: &str) -> Option<i64> {
    // jiff reads other notations as well, which Go does not.
    let is_gos = |c: char| c.is_ascii_digit() || "+-.hmnsu\u{b5}\u{3bc}".contains(c);
    let duration = value.chars().all(is_gos).then(|| value.parse::<jiff::SignedDuration>().ok()).flatten()?;
    Some(duration.as_secs())
}

/// One SSH public key: type, base64, and perhaps a comment, on one line.
pub(crate) fn ssh_public_key(value: &str) -> Check {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().is_some_and(|w| w.starts_with("ssh-") || w.starts_with("ecdsa-") || w.starts_with("sk-"));
    let key = words
        .next()
        .is_some_and(|w| w.len() >= 32 && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)));
    if kind && key && !value.chars().any(char::is_control) {
        return Ok(());
    }
    // The value is not repeated: it could be a private key put there by mistake.
    Err("is not an SSH public key; write one line as in a .pub file, such as ssh-ed25519 AAAA… name".to_owned())
}

/// A place in the guest. Only characters that mean nothing to a shell, to systemd or to a server's configuration.
pub(crate) fn guest_path(value: &str) -> Check {
    let normal = |part: &str| !part.is_empty() && part != "." && part != "..";
    let known = |c: char| c.is_ascii_alphanumeric() || "_.+-/@".contains(c);
    let parts = value.strip_prefix('/');
    if value.len() > 255 || !value.chars().all(known) || !parts.is_some_and(|parts| parts.split('/').all(normal)) {
        return Err(format!(
            "`{}` is not a plain absolute path; write one such as /etc/ssl/app, of A-Z, a-z, 0-9, _, ., +, - and @",
            shown(value)
        ));
    }
    Ok(())
}

/// A file's name in the guest.
pub(crate) fn file_name(value: &str) -> Check {
    if value.contains('/') || value.starts_with('.') || guest_path(&format!("/{value}")).is_err() {
        return Err(format!("`{}` is not a plain file name; write one such as tls.crt", shown(value)));
    }
    Ok(())
}

/// A user or group of the guest's: what `useradd` takes on one family or the other.
pub(crate) fn user(value: &str) -> Check {
    let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if value.len() > 32 || !begins || !value.chars().all(known) {
        return Err(format!("`{}` is not a user's name; write one such as nginx", shown(value)));
    }
    Ok(())
}

/// Mode of a file that holds a private key.
pub(crate) fn key_mode(value: &str) -> Check {
    let octal = (3..=4).contains(&value.len()) && value.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let Some(mode) = octal.then(|| u16::from_str_radix(value, 8).ok()).flatten() else {
        return Err(format!("`{}` is not a mode; write it in octal and in quotes, such as \"0400\"", shown(value)));
    };
    if mode & 0o007 != 0 {
        return Err(format!(
            "`{value}` lets every user of the guest at the private key; write \"0400\", \"0440\" or \"0640\""
        ));
    }
    if mode & !0o660 != 0 || mode & 0o400 == 0 {
        return Err(format!("`{value}` is no mode for a file that is read; write \"0400\", \"0440\" or \"0640\""));
    }
    Ok(())
}

/// A key of a Secret, without what a guest's settings do not take.
pub(crate) fn secret_key(value: &str) -> Check {
    if (1..=253).contains(&value.len()) && value != "." && value != ".." && plain_word(value) {
        return Ok(());
    }
    Err(format!("`{}` is no key of a Secret; use letters, digits and . _ -", shown(value)))
}

/// The name of a MongoDB replica set.
pub(crate) fn replica_set_name(value: &str) -> Check {
    if (1..=64).contains(&value.len()) && plain_word(value) {
        return Ok(());
    }
    Err(format!("`{}` is no name for a set; use 1 to 64 letters, digits and . _ -", shown(value)))
}

fn plain_word(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A systemd service (systemd.unit(5)).
pub(crate) fn unit(value: &str) -> Check {
    let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let name = value.strip_suffix(".service");
    if value.len() > 255 || !value.chars().all(known) || name.is_none_or(|name| name.is_empty() || name.ends_with('@'))
    {
        return Err(format!("`{}` is not a service; write its unit, such as nginx.service", shown(value)));
    }
    Ok(())
}

/// That a service is not one of those that bring the certificate: it would wait for itself.
pub(crate) fn others_unit(value: &str) -> Check {
    if ["tandem-tls.service", "tandem-tls-refresh.service"].contains(&value) {
        return Err(format!("`{value}` is tandem-vm's own; name the service that starts after it"));
    }
    Ok(())
}

/// Where an image is fetched from. CDI is the judge of the rest.
pub(crate) fn url(value: &str, schemes: &[&str]) -> Check {
    let rest = schemes.iter().find_map(|scheme| value.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{}` is not such a URL; begin with {}", shown(value), schemes.join(" or ")));
    }
    Ok(())
}
