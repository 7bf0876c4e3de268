//! What stands in `spec.request` around the DER: PEM (RFC 7468).

use rcgen::KeyPair;

use crate::support::{root, to_pem};

use super::{Case, Forge, case};

pub(super) fn cases() -> Vec<Case> {
    let der = Forge::new().der();
    let good = to_pem("CERTIFICATE REQUEST", &der);
    let key = KeyPair::generate().unwrap().serialize_pem();
    let certificate = root("pasted", &rcgen::PKCS_ECDSA_P256_SHA256).as_ref().pem();
    let labelled = |label| to_pem(label, &der);
    let headed = |header: &str| good.replacen("-----\r\n", &format!("-----\r\n{header}\r\n\r\n"), 1);
    let without = |text: &str| good.replacen(text, "", 1);
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let framed =
        |body: &str| format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
    vec![
        case("nothing", String::new(), "no PEM block was found"),
        case("white space alone", " \n\t\r\n".to_owned(), "no PEM block was found"),
        case("a word", "request".to_owned(), "no PEM block was found"),
        case("DER instead of PEM", der.clone(), "it is not text"),
        case("base64 without its frame", body.clone(), "no PEM block was found"),
        case("a request in base64 twice", framed(&pem_base64(good.as_bytes())), "PKCS#10"),
        case("UTF-16", good.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>(), "no PEM block was found"),
        case("a byte that is not UTF-8 before it", [&[0xff], good.as_bytes()].concat(), "it is not text"),
        case("a byte that is not UTF-8 after it", [good.as_bytes(), &[0xc0]].concat(), "it is not text"),
        case("a NUL after it", format!("{good}\0"), "something follows its first block"),
        case("a no-break space and a letter after it", format!("{good}\u{a0}x"), "something follows its first block"),
        case("a comment after it", format!("{good}# end\n"), "something follows its first block"),
        case("two requests", format!("{good}{good}"), "something follows its first block"),
        case("a request and a key", format!("{good}{key}"), "something follows its first block"),
        case("a key and a request", format!("{key}{good}"), "something follows its first block"),
        case("a request and a certificate", format!("{good}{certificate}"), "something follows its first block"),
        case("a block within a block", good.replacen("\r\n", &format!("\r\n{good}"), 1), "something follows its first"),
        case("a beginning within a block", good.replacen("\r\n", "\r\n-----BEGIN X-----\r\n", 1), "not base64"),
        case("no end", without("-----END CERTIFICATE REQUEST-----"), "no PEM block was found"),
        case("no beginning", without("-----BEGIN CERTIFICATE REQUEST-----"), "its framing is broken"),
        case("an end that is cut", good.trim_end().trim_end_matches('-').to_owned(), "no PEM block was found"),
        case("an end with another label", good.replace("END CERT", "END NEW CERT"), "do not agree"),
        case("labels in lower case", labelled("certificate request"), "it has another label"),
        case("a label with a space too many", labelled("CERTIFICATE  REQUEST"), "it has another label"),
        case("a label with a no-break space", labelled("CERTIFICATE\u{a0}REQUEST"), "it has another label"),
        case("a label in Cyrillic look-alikes", labelled("СERTIFICATE REQUEST"), "it has another label"),
        case("a label with a suffix", labelled("CERTIFICATE REQUESTS"), "it has another label"),
        case("no label", labelled(""), "framing is broken"),
        case("a request labelled as certificate", labelled("CERTIFICATE"), r#"its label is "CERTIFICATE""#),
        case("a request labelled as PKCS #7", labelled("PKCS7"), "it has another label"),
        case("a certificate pasted as request", certificate.clone(), r#"its label is "CERTIFICATE""#),
        case(
            "a certificate under a request's label",
            certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
            "PKCS#10",
        ),
        case("a private key pasted as request", key.clone(), r#"its label is "PRIVATE KEY""#),
        case("a private key under a request's label", key.replace("PRIVATE KEY", "CERTIFICATE REQUEST"), "PKCS#10"),
        case(
            "a public key pasted as request",
            to_pem("PUBLIC KEY", &super::forge::Forge::new().key),
            r#""PUBLIC KEY""#,
        ),
        case("an encrypted header", headed("Proc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-128-CBC,00"), "lines of headers"),
        case("a header", headed("Comment: harmless"), "lines of headers"),
        case("a line that is no header", headed("no header"), "no header"),
        case("an empty block", framed(""), "PKCS#10"),
        case("base64url", framed(&body.replace('M', "-")), "not base64"),
        case("base64 without its padding", framed("MAA"), "not base64"),
        case("base64 with bits beyond its end", framed("MAB="), "not base64"),
        case("base64 that goes on after its padding", framed(&format!("MA=={body}")), "not base64"),
        case("a star within the base64", framed(&format!("*{body}")), "not base64"),
        case(
            "one byte too many for the limit",
            " ".repeat(64 * 1024 + 1 - good.len()) + &good,
            "more than the 65536 bytes that are accepted",
        ),
        case("a megabyte of letters", "A".repeat(1 << 20), "more than the 65536 bytes that are accepted"),
        case("64 KiB of hyphens", "-".repeat(64 * 1024), "no PEM block was found"),
        case("64 KiB of beginnings", "-----BEGIN ".repeat(5900), "no PEM block was found"),
    ]
}

fn pem_base64(bytes: &[u8]) -> String {
    to_pem("X", bytes).lines().filter(|line| !line.starts_with('-')).collect()
}
