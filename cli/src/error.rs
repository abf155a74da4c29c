//! What ends a command.

use std::error::Error;

use simfuse_domain::chain::Chain;

/// Why a command ended without doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A file that the command line names could not be read.
    #[error("{path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A policy was refused.
    #[error("{path}: {source}")]
    Policy {
        /// Which file.
        path: String,
        /// Why.
        source: simfuse_domain::policy::PolicyError,
    },
    /// Something on this machine failed.
    #[error("{doing}")]
    Local {
        /// What was being done.
        doing: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The other side refused or failed.
    #[error("{0}")]
    Remote(String),
}

impl CliError {
    /// Says what was being done when something failed.
    pub(crate) fn local(doing: &str) -> impl Fn(Box<dyn Error + Send + Sync>) -> Self + use<> {
        let doing = doing.to_owned();
        move |source| Self::Local { doing: doing.clone(), source }
    }

    /// The exit code: 2 for a mistake in the command line or in a file that it names, before anything
    /// was done; 1 for everything else.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } | Self::Policy { .. } => 2,
            Self::Local { .. } | Self::Remote(_) => 1,
        }
    }
}

/// What is told about an error: with its causes, on one line.
pub(crate) fn sentence(error: &CliError) -> String {
    match error {
        // The sentence of a refused policy holds its cause already.
        CliError::Policy { .. } => error.to_string(),
        error => Chain(error).to_string(),
    }
}
