//! `cargo xtask fuzz`: what comes from outside, by libFuzzer.
//!
//! The coverage that libFuzzer needs is compiled in by flags that the stable compiler knows; so there
//! is no sanitizer, which for safe code finds nothing more than a panic does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{cargo, root, say, step, target};

/// Each is a program in `fuzz/src/bin` and a folder in `fuzz/corpus`.
const TARGETS: [&str; 5] = ["webhook_body", "envelope", "signature", "policy", "request"];

/// How long each is fuzzed in `cargo xtask test`.
pub(crate) const SECONDS_IN_TEST: u32 = 20;

/// Inputs longer than this only make it slow.
const INPUT_BYTES_MAX: u32 = 8_192;

/// One input may take this long, debug assertions and a busy machine included.
const INPUT_SECONDS_MAX: u32 = 20;

const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Replays the corpus of each target, then fuzzes it for so long. `keep` merges what covers more into
/// the corpus that is kept.
pub(crate) fn run(only: Option<&str>, seconds: u32, keep: bool) -> Result<(), String> {
    if let Some(name) = only.filter(|name| !TARGETS.contains(name)) {
        return Err(format!("no fuzz target {name}, there are {}", TARGETS.join(", ")));
    }
    let programs = build()?;
    for name in TARGETS.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let (kept, found) = (root().join("fuzz/corpus").join(name), folder(name, "corpus")?);
        let artifacts = folder(name, "artifacts")?;
        let program = || {
            let mut command = Command::new(programs.join(name));
            command.arg(format!("-artifact_prefix={}/", artifacts.display()));
            command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
            command.arg("-verbosity=0").current_dir(root());
            command
        };
        let mut replay = program();
        replay.arg("-runs=0").arg(&kept);
        step(&format!("fuzz {name}: the corpus"), replay)?;
        let mut fuzz = program();
        fuzz.args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            "-print_final_stats=1".to_owned(),
        ]);
        fuzz.arg(&found).arg(&kept);
        step(&format!("fuzz {name}"), fuzz).map_err(|error| {
            format!("{error}; the input is in {}, replay it by {}", artifacts.display(), name)
        })?;
        if keep {
            let mut merge = program();
            // By edges and by the least set of inputs: hundreds to keep instead of thousands.
            merge.args(["-set_cover_merge=1", "-use_counters=0"]).arg(&kept).arg(&found);
            step(&format!("fuzz {name}: what covers more is kept"), merge)?;
        }
    }
    Ok(())
}

/// Builds all targets; says where the programs are.
fn build() -> Result<PathBuf, String> {
    let host = host()?;
    let built = target().join("fuzz").join("build");
    let mut build = cargo(&["build", "--release", "--locked", "--bins"]);
    build.arg("--manifest-path").arg(root().join("fuzz").join("Cargo.toml"));
    // With a target named, the flags are not those of build scripts.
    build.args(["--target", &host]).arg("--target-dir").arg(&built);
    build.env("RUSTFLAGS", COVERAGE.join(" "));
    step("building the fuzz targets", build)?;
    Ok(built.join(host).join("release"))
}

fn host() -> Result<String, String> {
    let answer = Command::new("rustc").args(["--print", "host-tuple"]).output();
    let answer = answer.map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

fn folder(name: &str, kind: &str) -> Result<PathBuf, String> {
    let folder: PathBuf = target().join("fuzz").join(kind).join(name);
    make(&folder)?;
    Ok(folder)
}

fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| {
        say(&format!("{}: {error}", folder.display()));
        format!("making {}: {error}", folder.display())
    })
}
