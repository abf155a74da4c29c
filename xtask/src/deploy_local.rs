//! `cargo xtask deploy-local`: the real template, built and deployed by the real `sam` to an emulator
//! of AWS with IAM enforced, and a theft on it.

use std::path::PathBuf;

use crate::run::{cargo, root, step, target};
use crate::tools::{self, Environment, text};

/// A light build in place of the shipped one: whole-program optimisation would take minutes for each
/// function and would show nothing about the deployment.
const LIGHT: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// Builds, deploys, checks, and takes everything down.
pub(crate) fn run() -> Result<(), String> {
    let sam = tools::sam()?;
    let ministack = tools::ministack()?;
    let built = build(&sam)?;
    // The whole workspace, as the tests build it: another set has other features.
    let beside = ["build", "--locked", "--workspace", "--bins", "--examples"];
    step("the simulated Super SIM service, and simfuse", cargo(&beside))?;
    let mut checks = ministack.command("python")?;
    checks.arg("tests/deployed");
    for (option, path) in [
        ("--sam", sam.path("sam")),
        ("--ministack", ministack.path("ministack")),
        ("--super-sim", target().join("debug").join("examples").join("super_sim")),
        ("--simfuse", target().join("debug").join("simfuse")),
        ("--template", built),
        ("--policy", root().join("cli").join("src").join("drill").join("policy.toml")),
    ] {
        checks.args([option.to_owned(), text(&path)]);
    }
    step("deployed to an emulator", checks)
}

/// Builds the functions for this machine's kind, in a folder of their own, which keeps the cache of
/// the light build apart; returns the built template.
fn build(sam: &Environment) -> Result<PathBuf, String> {
    let folder = target().join("sam");
    let built = folder.join("build");
    let mut command = sam.command("sam")?;
    command.args(["build", "--parameter-overrides", "Architecture=x86_64", "--build-dir"]);
    command.arg(&built).env("CARGO_TARGET_DIR", &folder).envs(LIGHT);
    step("sam build", command)?;
    Ok(built.join("template.yaml"))
}
