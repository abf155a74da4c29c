//! `cargo xtask test`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::openapi;
use crate::run::{cargo, root, say, step, target};
use crate::{bench, deploy_local, fuzz, shipped, simulate, template};

/// The version of the tool that checks licences and sources.
const CARGO_DENY: &str = "0.20.2";

/// The drill has to end within this time, debug build.
const DRILL_WITHIN: Duration = Duration::from_secs(60);

/// Runs every step; the first that fails ends it. `full` builds what is shipped, too.
pub(crate) fn all(full: bool) -> Result<(), String> {
    let began = Instant::now();
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step("tests", cargo(&["test", "--workspace", "--locked"]))?;
    drill()?;
    simulate::run_built(&["--seeds".to_owned(), simulate::SEEDS.to_string()])?;
    openapi::contract()?;
    let mut lints = cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--"]);
    lints.args(["-D", "warnings"]);
    step("lints", lints)?;
    licences()?;
    bench::healthy_sims()?;
    template::lint()?;
    fuzz::run(None, fuzz::SECONDS_IN_TEST, false)?;
    deploy_local::run()?;
    if full {
        shipped::check()?;
    }
    say(&format!("Everything passed in {} s.", began.elapsed().as_secs()));
    Ok(())
}

/// The main job, as a user runs it.
fn drill() -> Result<(), String> {
    say("── drill");
    let began = Instant::now();
    let mut drill = Command::new(target().join("debug").join("simfuse"));
    let output = drill.args(["drill", "--json"]).current_dir(root()).stderr(Stdio::inherit());
    let output = output.output().map_err(|error| format!("drill: {error}"))?;
    let took = began.elapsed();
    if !output.status.success() {
        return Err(format!("drill ({})", output.status));
    }
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("drill: {error}"))?;
    if took > DRILL_WITHIN {
        return Err(format!("drill: took {} s", took.as_secs()));
    }
    let rogues = report.get("rogues").and_then(serde_json::Value::as_array);
    let times = rogues.into_iter().flatten();
    let times = times.filter_map(|rogue| rogue.get("receipt_to_request_ms")?.as_f64());
    let slowest = times.fold(0.0, f64::max);
    let seconds = took.as_secs();
    say(&format!("── drill: passed in {seconds} s, slowest event to request {slowest:.0} ms"));
    Ok(())
}

/// Licences, sources and duplicate versions, by cargo-deny, which is installed when it is not there.
/// Its database of advisories is not asked: it is fetched from a repository, not a registry.
fn licences() -> Result<(), String> {
    let tools = target().join("tools");
    let tools_text = tools.to_string_lossy().into_owned();
    let deny = tools.join("bin").join("cargo-deny");
    if !deny.exists() {
        let version = ["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug"];
        let mut install = cargo(&version);
        install.args(["--no-default-features", "--root", &tools_text]);
        install.env("CARGO_TARGET_DIR", tools.join("build"));
        step("installing cargo-deny", install)?;
    }
    let mut check = Command::new(deny);
    check.args(["check", "bans", "licenses", "sources"]).current_dir(root());
    step("licences", check)
}
