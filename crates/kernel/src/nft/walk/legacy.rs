use super::{Decision, Hook, Packet, Passed};

/// A chain of iptables-legacy, table `filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) v4: bool,
    pub(crate) hook: Hook,
    pub(crate) rules: Vec<LegacyRule>,
    /// Its policy is to drop.
    pub(crate) drops: bool,
}

/// A rule of it, as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LegacyRule {
    /// The interfaces it is for: a name, what names begin with, followed by `*`, or `*` for any.
    pub(crate) incoming: String,
    pub(crate) outgoing: String,
    /// It looks at nothing else.
    pub(crate) plain: bool,
    /// Whether it lets pass or stops; none where it does something else.
    pub(crate) verdict: Option<bool>,
}

impl Legacy {
    /// What happens to a packet there.
    pub(super) fn pass(&self, packet: &Packet, passed: &mut Passed) {
        let mut unsure = false;
        for rule in &self.rules {
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            if !covers(&rule.incoming, &name(&packet.incoming)) || !covers(&rule.outgoing, &name(&packet.outgoing)) {
                continue;
            }
            match (rule.verdict, rule.plain) {
                (Some(true), true) => return,
                (Some(false), true) => return self.stop("a rule that drops or rejects", unsure, passed),
                (Some(true), false) => unsure = true,
                // What it looks at, or where it leads, is not read.
                (Some(false) | None, _) => {
                    passed.may_stop.push(self.decision("a rule that linkspan does not read"));
                    unsure = true;
                }
            }
        }
        if self.drops {
            self.stop("policy DROP", unsure, passed);
        }
    }

    fn decision(&self, rule: &str) -> Decision {
        let tool = if self.v4 { "iptables-legacy" } else { "ip6tables-legacy" };
        Decision {
            table: format!("filter of {tool}"),
            chain: self.hook.name().to_uppercase(),
            rule: rule.to_owned(),
            element: None,
        }
    }

    fn stop(&self, rule: &str, unsure: bool, passed: &mut Passed) {
        let decision = self.decision(rule);
        if unsure {
            passed.may_stop.push(decision);
        } else {
            passed.stopped = Some(decision);
        }
    }

    /// Whether everything that is forwarded passes which comes from, or goes to, `interfaces`, before anything stops it.
    pub(crate) fn lets_pass(&self, interfaces: &str) -> bool {
        let any = |name: &str| name == "*";
        let (mut from, mut to) = (false, false);
        for rule in self.rules.iter().filter(|rule| rule.plain) {
            match rule.verdict {
                Some(true) => {
                    from |= rule.incoming == interfaces && any(&rule.outgoing);
                    to |= rule.outgoing == interfaces && any(&rule.incoming);
                }
                Some(false) if any(&rule.incoming) && any(&rule.outgoing) => return from && to,
                _ => {}
            }
        }
        !self.drops || (from && to)
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or_else(|| pattern == name, |start| name.starts_with(start))
}
