//! What is shipped: built as a user builds it, optimised and for arm64 where that can be built, and
//! fit for Lambda's system.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{root, say, step, target};
use crate::tools;

const ARM64: &str = "aarch64-unknown-linux-gnu";

/// The C library of Amazon Linux 2023, on which `provided.al2023` runs.
const GLIBC_MAX: (u32, u32) = (2, 34);

const FUNCTIONS: [&str; 4] = ["Webhook", "KillSwitch", "UsageAggregator", "Console"];

/// Builds what is shipped, and looks at what came of it.
pub(crate) fn check() -> Result<(), String> {
    let architecture = if has_arm64()? {
        "arm64"
    } else {
        say("── SKIPPED: arm64, for which no standard library can be had here; x86_64 instead");
        "x86_64"
    };
    let sam = tools::sam()?;
    let built = target().join("sam").join("shipped");
    let mut build = sam.command("sam")?;
    let parameter = format!("Architecture={architecture}");
    build.args(["build", "--parameter-overrides", &parameter, "--build-dir"]).arg(&built);
    step(&format!("sam build, as shipped, {architecture}"), build)?;
    for function in FUNCTIONS {
        let bootstrap = built.join(function).join("bootstrap");
        let (major, minor) = glibc_needed(&bootstrap)?;
        let bytes = std::fs::metadata(&bootstrap).map_err(|error| error.to_string())?.len();
        let needs = format!("{function}: {bytes} bytes, needs glibc {major}.{minor}");
        if (major, minor) > GLIBC_MAX {
            return Err(format!("{needs}, and Lambda has {}.{}", GLIBC_MAX.0, GLIBC_MAX.1));
        }
        say(&format!("── {needs}"));
    }
    Ok(())
}

/// Whether Rust's standard library for arm64 is there, or could be fetched.
fn has_arm64() -> Result<bool, String> {
    if standard_library()?.is_dir() {
        return Ok(true);
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", ARM64]).current_dir(root());
    Ok(step("adding the arm64 standard library", add).is_ok() && standard_library()?.is_dir())
}

fn standard_library() -> Result<PathBuf, String> {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", ARM64]).current_dir(root());
    let answer = ask.output().map_err(|error| format!("rustc: {error}"))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()))
}

/// The newest version of glibc of which a program uses a symbol.
fn glibc_needed(program: &Path) -> Result<(u32, u32), String> {
    let doing = |what: &str| format!("objdump -T {}: {what}", program.display());
    let output = Command::new("objdump").arg("-T").arg(program).output();
    let output = output.map_err(|error| doing(&error.to_string()))?;
    newest_glibc(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| doing("no symbol of glibc"))
}

fn newest_glibc(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|of: char| !of.is_ascii_digit() && of != '.');
        let mut parts = rest.get(..end.unwrap_or(rest.len()))?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::newest_glibc;

    #[test]
    fn the_newest_version_counts_and_not_the_last_or_the_longest() {
        let symbols = "0 DF *UND* 0 (GLIBC_2.2.5) free\n0 DF *UND* 0 (GLIBC_2.30) gettid\n\
                       0 DF *UND* 0 (GLIBC_2.9) x\n";
        assert_eq!(newest_glibc(symbols), Some((2, 30)));
        assert_eq!(newest_glibc("no symbols"), None);
    }
}
