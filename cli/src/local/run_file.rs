//! Where a running `up` leaves its address, so that `kill` and the others find it.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a running `up` says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Where the functions are invoked.
    pub(crate) origin: String,
    /// The process, to tell the file of another `up` from one's own.
    pub(crate) pid: u32,
}

fn path() -> io::Result<PathBuf> {
    let folder = dirs::runtime_dir().or_else(dirs::cache_dir);
    let folder = folder.ok_or_else(|| io::Error::other("this user has no folder for caches"))?;
    Ok(folder.join("simfuse").join("up.json"))
}

/// Leaves the address.
pub(crate) fn write(running: &Running) -> io::Result<()> {
    let path = path()?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_vec(running)?)
}

/// Reads the address of the latest `up`.
pub(crate) fn read() -> io::Result<Running> {
    Ok(serde_json::from_slice(&fs::read(path()?)?)?)
}

/// Removes the address, if it is still this one's.
pub(crate) fn remove(running: &Running) {
    if read().is_ok_and(|found| found == *running)
        && let Ok(path) = path()
        && let Err(error) = fs::remove_file(path)
    {
        tracing::debug!(%error, "the address of this `up` was not removed");
    }
}
