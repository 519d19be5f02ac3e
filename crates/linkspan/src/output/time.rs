use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// How long ago `then` was, as Docker says it: `3 minutes ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", elapsed(then, now))
}

/// The time from `then` to `now`, roughly: `About an hour`.
pub(crate) fn elapsed(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).max(SignedDuration::ZERO).as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours <= 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// A moment as Docker's listings print it: `2026-08-01 12:00:00.123 +0200 CEST`.
pub(crate) fn date(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_says_it() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        for (seconds, text) in [
            (-5, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (3540, "59 minutes"),
            (3700, "About an hour"),
            (7300, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 20, "2 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 800, "2 years"),
        ] {
            assert_eq!(elapsed(now - SignedDuration::from_secs(seconds), now), text);
        }
    }
}
