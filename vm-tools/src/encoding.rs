//! Bytes as text, and back.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in base64, in one line.
pub(crate) fn to_base64(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(bytes))
}

/// What base64 stands for, if it is that. Line breaks in it, as `base64` without `-w0` prints them, are passed over, and no other
/// white space, as in Kubernetes and KubeVirt: <https://pkg.go.dev/encoding/base64#Encoding.Decode>.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let packed = Zeroizing::new(text.replace(['\r', '\n'], ""));
    STANDARD.decode(packed.as_bytes()).ok()
}
