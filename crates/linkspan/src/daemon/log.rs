use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Logs to standard error, as much as `LINKSPAN_LOG` says.
pub(super) fn start() {
    let filter = EnvFilter::builder().with_env_var("LINKSPAN_LOG").with_default_directive(tracing::Level::INFO.into());
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        // A log on a full disk must not end the daemon.
        .log_internal_errors(false)
        .init();
}
