//! Running other programs, step by step.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    forget_xtask(&mut command);
    command
}

/// Takes away what cargo says of this program to itself. Build scripts (ring's is one) look at these
/// variables: with them the crate, and all that rests on it, would be built anew for each change
/// between `cargo xtask` and plain cargo.
pub(crate) fn forget_xtask(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}

/// Runs one step, and says what it is, how it ended and how long it took.
pub(crate) fn step(name: &str, mut command: Command) -> Result<(), String> {
    say(&format!("── {name}"));
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    let seconds = began.elapsed().as_secs();
    if !status.success() {
        return Err(format!("{name} ({status} after {seconds} s)"));
    }
    say(&format!("── {name}: passed in {seconds} s"));
    Ok(())
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told that nobody is listening.
    _ = writeln!(std::io::stderr(), "{text}");
}
