//! An honest request in a spec that is not (facts 11, 12, 22).

use jiff::SignedDuration;
use tandem_issuer_core::{Policy, Settings, decide::Api};

use super::{Attempt, Case, Forge, case};

pub(super) fn cases() -> Vec<Case> {
    let honest = || Attempt::from(Forge::new());
    let usage = |usage: &str| Attempt { usages: vec!["server auth".to_owned(), usage.to_owned()], ..honest() };
    let duration = |duration: SignedDuration| Attempt { duration: Ok(Some(duration)), ..honest() };
    let text = |text| Attempt { duration: Err(text), ..honest() };
    let seconds = |seconds| Attempt { api: Api::Kubernetes, ..duration(SignedDuration::from_secs(seconds)) };
    vec![
        case("an unknown usage", usage("everything"), r#""everything" is not a key usage"#),
        case("a usage without letters", usage(""), r#""" is not a key usage"#),
        case("a usage in capitals", usage("Server Auth"), "is not a key usage"),
        case("a usage with a space after it", usage("server auth "), "is not a key usage"),
        case("a usage with a no-break space", usage("server\u{a0}auth"), "is not a key usage"),
        case("a usage in Cyrillic look-alikes", usage("сlient auth"), "is not a key usage"),
        case("a usage with a NUL", usage("server auth\0"), "is not a key usage"),
        case("a usage with lines of its own", usage("server auth\n[ERROR] forged"), "is not a key usage"),
        case("a usage by its OID", usage("1.3.6.1.5.5.7.3.1"), "is not a key usage"),
        case("two usages in one", usage("server auth,client auth"), "is not a key usage"),
        case("no time", duration(SignedDuration::ZERO), "is not a duration that a certificate can have"),
        case("less than a second", duration(SignedDuration::from_millis(999)), "is not a duration"),
        case("a second before now", duration(SignedDuration::from_secs(-1)), "is not a duration"),
        case("all time before now", duration(SignedDuration::MIN), "is not a duration"),
        case("all time after now", duration(SignedDuration::MAX), "is not a duration"),
        case("until after the year 9999", duration(SignedDuration::from_hours(24 * 366 * 8000)), "is not a duration"),
        case("beyond the CA's end", duration(SignedDuration::from_hours(24 * 366 * 7000)), "after its CA"),
        case("a duration in words", text("ninety days"), "is not a duration such as"),
        case("a duration with lines of its own", text("1h\r\nforged"), "is not a duration such as"),
        case("a duration of a megabyte", text(LONG), "is not a duration such as"),
        case("Kubernetes: 599 seconds", seconds(599), "the shortest that a CertificateSigningRequest has is 600 s"),
        case("Kubernetes: no time", seconds(0), "600 s"),
        case("Kubernetes: before now", seconds(-600), "600 s"),
        case("Kubernetes: a duration in words", Attempt { api: Api::Kubernetes, ..text("soon") }, "request-duration"),
        case(
            "four thousand names beyond the policy",
            Attempt {
                settings: Settings { policy: Some(Policy::default()), ..Settings::default() },
                ..Forge::names(&[(0x82, b"a.example".as_slice()); 4000]).into()
            },
            "and 3936 more",
        ),
    ]
}

const LONG: &str = match std::str::from_utf8(&[b'9'; 1 << 20]) {
    Ok(text) => text,
    Err(_) => "",
};
