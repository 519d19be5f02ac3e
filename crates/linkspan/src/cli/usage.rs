use crate::{exit, output};
use clap::error::ErrorKind;

/// Tells the user what is wrong with the command line, in one line, and returns the exit code.
/// Help and version are no errors.
pub(super) fn report(error: &clap::Error) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        output::print(&render(error));
        return 0;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A bare `linkspan network` is a question.
        let _ = error.print();
        return exit::USAGE;
    }
    output::complain(one_line(&error.to_string()));
    // Scripts tell a program's own exit code from ours by it, as with `docker run`.
    match std::env::args().nth(1).as_deref() {
        Some("run" | "exec") => exit::RUN_FAILED,
        _ => exit::USAGE,
    }
}

fn render(error: &clap::Error) -> String {
    use std::io::IsTerminal;
    let text = error.render();
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colours { text.ansi().to_string() } else { text.to_string() }
}

/// The library's message without its headings: the error and its tips, and where to read on.
fn one_line(text: &str) -> String {
    let message: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message).replace(" tip: ", "; ");
    match text.lines().find_map(|line| line.strip_prefix("Usage: ")) {
        Some(usage) => {
            let words: Vec<&str> =
                usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
            format!("{message}; see `{} --help`", words.join(" "))
        }
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn complaint(arguments: &str) -> String {
        one_line(&super::super::Cli::try_parse_from(arguments.split(' ')).unwrap_err().to_string())
    }

    #[test]
    fn one_line_that_says_what_is_wrong() {
        insta::assert_snapshot!(complaint("linkspan network create"), @"the following required arguments were not provided: <NETWORK>; see `linkspan network create --help`");
        insta::assert_snapshot!(complaint("linkspan network create --subnett 1 a"), @"unexpected argument '--subnett' found; a similar argument exists: '--subnet'; see `linkspan network create --help`");
        insta::assert_snapshot!(complaint("linkspan network create --subnet 10.0.0.0 a"), @"invalid value '10.0.0.0' for '--subnet <CIDR>': give an address and a prefix length such as 10.0.0.0/24");
        insta::assert_snapshot!(complaint("linkspan run -p 0 -- true"), @r#"invalid value '0' for '--publish <PORT>': port 0 in "0"; ports go from 1 to 65535"#);
        insta::assert_snapshot!(complaint("linkspan frobnicate"), @"unrecognized subcommand 'frobnicate'; see `linkspan --help`");
    }
}
