//! Bytes as text, and back.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What base64 stands for, if it is that. White space in it, as `base64` without `-w0` prints it, is passed over, as
/// Kubernetes and cloud-init do.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let packed = Zeroizing::new(text.split_ascii_whitespace().collect::<String>());
    STANDARD.decode(packed.as_bytes()).ok()
}
