use std::io::Write as _;

/// Reasons that may skip a test where `CI` is `true`, one a line.
const ALLOWED: &str = include_str!("../allowed-skips.txt");

/// Reasons a test may be skipped for in CI.
pub fn skips_allowed() -> impl Iterator<Item = &'static str> {
    ALLOWED.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Says visibly that the running test cannot run here: to standard error, and as a line of the file
/// that `LINKSPAN_SKIPS` names, which `make test` shows at its end. Use it by [`skip!`](crate::skip).
///
/// # Panics
/// In CI, where the reason is not on the written list `allowed-skips.txt`.
#[allow(clippy::print_stderr, reason = "a skip is said visibly")]
pub fn skip_now(reason: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    eprintln!("SKIPPED: {test}: {reason}");
    if let Some(path) = std::env::var_os("LINKSPAN_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "SKIPPED: {test}: {reason}");
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci || skips_allowed().any(|allowed| allowed == reason), "a skip that CI does not allow: {reason}");
}

/// Ends the running test as visibly skipped; see [`skip_now`].
#[macro_export]
macro_rules! skip {
    ($reason:expr) => {{
        $crate::skip_now($reason);
        return;
    }};
}
