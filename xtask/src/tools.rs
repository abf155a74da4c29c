//! Tools written in Python, pinned, each set in an environment of its own under `target/tools`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{forget_xtask, root, step, target};

/// SAM, its linter and what builds Rust for Lambda.
const SAM: Tools = Tools {
    name: "sam",
    packages: &["aws-sam-cli==1.170.0", "cargo-lambda==1.9.2", "ziglang==0.17.1"],
};

/// The emulator of AWS. It moves fast: what was tried against this version holds for this version.
const MINISTACK: Tools = Tools { name: "ministack", packages: &["ministack[full]==1.5.33"] };

struct Tools {
    name: &'static str,
    packages: &'static [&'static str],
}

/// An environment that is ready.
pub(crate) struct Environment {
    bin: PathBuf,
}

/// SAM's environment, set up if it is not there.
pub(crate) fn sam() -> Result<Environment, String> {
    SAM.set_up()
}

/// MiniStack's environment, set up if it is not there.
pub(crate) fn ministack() -> Result<Environment, String> {
    MINISTACK.set_up()
}

impl Tools {
    fn set_up(&self) -> Result<Environment, String> {
        let folder = target().join("tools").join(self.name);
        let bin = folder.join("bin");
        let list = folder.join("installed.txt");
        let wanted = self.packages.join("\n");
        if fs::read_to_string(&list).is_ok_and(|installed| installed == wanted) {
            return Ok(Environment { bin });
        }
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&folder);
        step(&format!("making an environment for {}", self.name), make)?;
        let mut install = Command::new(bin.join("pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check"]).args(self.packages);
        step(&format!("installing {}", self.packages.join(", ")), install)?;
        fs::write(&list, wanted).map_err(|error| format!("{}: {error}", list.display()))?;
        Ok(Environment { bin })
    }
}

impl Environment {
    /// A program of this environment.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    /// A command of this environment, which finds the others, sends nothing to anyone about its use,
    /// and knows no account.
    pub(crate) fn command(&self, program: &str) -> Result<Command, String> {
        let mut command = Command::new(self.path(program));
        command
            .current_dir(root())
            .env("PATH", self.search_path()?)
            .env("SAM_CLI_TELEMETRY", "0")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        forget_xtask(&mut command);
        Ok(command)
    }

    fn search_path(&self) -> Result<OsString, String> {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let rest = std::env::split_paths(&rest).collect::<Vec<_>>();
        let all = std::iter::once(self.bin.clone()).chain(rest);
        std::env::join_paths(all).map_err(|error| format!("PATH: {error}"))
    }
}

/// A path as an argument of a command.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
