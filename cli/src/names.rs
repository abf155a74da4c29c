//! Names of SIMs, from the command line, a file or standard input.

use std::collections::BTreeSet;
use std::path::Path;

use simfuse_domain::port::SimName;
use simfuse_kill_switch::request::SIMS_MAX;

use crate::args::NamesArgs;
use crate::error::CliError;
use crate::replay::input;

/// Standard input, as a file and among names.
const STDIN: &str = "-";

/// All names, each once, in the order in which they come.
pub(crate) fn read(args: &NamesArgs) -> Result<Vec<String>, CliError> {
    let mut names: Vec<String> = Vec::new();
    if let Some(file) = &args.file {
        names.extend(listed(file)?);
    }
    for name in &args.sims {
        match name.as_str() {
            STDIN => names.extend(listed(Path::new(STDIN))?),
            name => names.push(name.to_owned()),
        }
    }
    // What has several spellings is one SIM all the same.
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(SimName::parse(name).to_string()));
    if names.len() > SIMS_MAX {
        let count = names.len();
        return Err(CliError::Usage(format!(
            "{count} SIMs are named, at most {SIMS_MAX} are taken in one command"
        )));
    }
    Ok(names)
}

fn listed(path: &Path) -> Result<Vec<String>, CliError> {
    let bytes = input::read(path)?;
    let not_text =
        |_| CliError::Usage(format!("{}: it is not a list of names in UTF-8", path.display()));
    let names = names_in(&String::from_utf8(bytes).map_err(not_text)?);
    if names.is_empty() {
        // An empty list is a mistake upstream, not a wish for nothing.
        return Err(CliError::Usage(format!("{}: no name in it", path.display())));
    }
    Ok(names)
}

fn names_in(text: &str) -> Vec<String> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().map(str::trim);
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_name_a_line_without_what_is_none() {
        let text = "\u{feff}pump-17\r\n\n  # the depot\n\tpump 18 \n#\npump#19";
        assert_eq!(names_in(text), ["pump-17", "pump 18", "pump#19"]);
        assert!(names_in("# nothing\n\n").is_empty());
    }

    #[test]
    fn a_sim_that_is_named_twice_is_named_once() {
        let sid = "HS0123456789abcdef0123456789abcdef";
        let shouted = "HS0123456789ABCDEF0123456789ABCDEF";
        let sims = ["b", sid, "a", "b", shouted].map(str::to_owned).to_vec();
        assert_eq!(read(&NamesArgs { sims, file: None }).unwrap(), ["b", sid, "a"]);
    }
}
