//! What fuzzing has found worth keeping, replayed in every run.

use std::{fs, panic::catch_unwind, path::Path};

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "there it is a crate of its own")]
pub(crate) mod targets;

#[test]
fn no_target_panics_on_its_corpus() {
    for (name, target) in targets::TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(inputs.len() >= 100, "{name} has {} inputs", inputs.len());
        let panics = |input: &&std::path::PathBuf| {
            let bytes = fs::read(input).unwrap();
            catch_unwind(|| target(&bytes)).is_err()
        };
        let found: Vec<_> = inputs.iter().filter(panics).collect();
        assert!(found.is_empty(), "{name} panics on {found:?}");
    }
}
