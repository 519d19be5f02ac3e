use crate::Host;
use std::collections::BTreeSet;

/// What the kernel holds for a host: links, addresses, routes, named namespaces, the nftables
/// ruleset, sysctls the product may touch, and what is mounted or stored in the runtime directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    lines: BTreeSet<String>,
}

/// One line an object, so that order does not matter; what the kernel changes by itself (counters, lifetimes,
/// carriers, link-local addresses, a bridge's offloads, which are its ports', the address of a sandbox's end in the host) is left out.
const SCRIPT: &str = r#"
ip -j -d link | jq -c '.[] | "link " + .ifname + " " + (del(.ifindex, .link_index, .stats, .stats64, .linkinfo.info_data, .linkinfo.info_slave_data, .operstate, .flags, .tso_max_size, .tso_max_segs, .gso_max_size, .gso_max_segs, .gro_max_size, .gso_ipv4_max_size, .gro_ipv4_max_size) | if .ifname | startswith("lsv") then del(.address) else . end | tostring)'
ip -j addr | jq -c '.[] | .ifname as $i | .addr_info[] | select(.scope != "link") | "address " + $i + " " + .local + "/" + (.prefixlen | tostring)'
ip -4 route show table all | sed 's/^/route /; s/ linkdown *$//; s/ linkdown / /'
ip -6 route show table all | grep -v -e fe80:: -e ff00:: | sed 's/^/route6 /; s/ linkdown / /; s/ expires [0-9]*sec//'
ip rule | sed 's/^/rule /'
ls /run/netns | sed 's/^/netns /'
for key in net/ipv4/ip_forward net/ipv6/conf/all/forwarding; do echo "sysctl $key $(cat /proc/sys/$key)"; done
find "$(dirname "$LINKSPAN_SOCKET")" -mindepth 1 -printf 'file %P %y\n'
awk -v dir="$(dirname "$LINKSPAN_SOCKET")" 'index($5, dir) == 1 {print "mount " $5}' /proc/self/mountinfo
"#;

impl Snapshot {
    /// The host as it is.
    ///
    /// # Panics
    /// Where a witness is missing.
    pub fn of(host: &Host) -> Self {
        let mut lines: BTreeSet<String> = host.ok(SCRIPT).lines().map(|line| line.trim().to_owned()).collect();
        lines.extend(nft_lines(&host.ok("nft list ruleset")));
        Self { lines }
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Lines that only one of the two has, with `-` for this one and `+` for the other.
    pub fn difference(&self, other: &Self) -> String {
        let gone = self.lines.difference(&other.lines).map(|line| format!("- {line}\n"));
        let come = other.lines.difference(&self.lines).map(|line| format!("+ {line}\n"));
        gone.chain(come).collect()
    }

    /// # Panics
    /// Where the two differ.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let difference = self.difference(other);
        assert!(difference.is_empty(), "the kernel is not as before:\n{difference}");
    }
}

/// The ruleset as lines that carry their table and chain or set, elements each on their own.
fn nft_lines(ruleset: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // Rules are ordered, and the same rule may stand twice, so they get numbers; elements do not.
    let mut number = 0;
    let mut path: Vec<String> = Vec::new();
    let mut elements: Option<String> = None;
    for line in ruleset.lines().map(str::trim) {
        let text = match elements.take() {
            Some(begun) => format!("{begun} {line}"),
            None => line.to_owned(),
        };
        if let Some(inner) = text.strip_prefix("elements = {") {
            let Some(inner) = inner.strip_suffix('}') else {
                elements = Some(text);
                continue;
            };
            // Commas inside of comments would split wrongly, but the same way every time.
            lines.extend(inner.split(',').map(|element| format!("nft {} element {}", path.join(" "), element.trim())));
        } else if let Some(header) = text.strip_suffix('{') {
            path.push(header.trim().to_owned());
            lines.push(format!("nft {}", path.join(" ")));
            number = 0;
        } else if text == "}" {
            path.pop();
        } else if !text.is_empty() {
            number += 1;
            lines.push(format!("nft {} #{number} {}", path.join(" "), without_counters(&text)));
        }
    }
    lines
}

fn without_counters(rule: &str) -> String {
    let words: Vec<&str> = rule.split(' ').collect();
    let mut kept = Vec::new();
    let mut index = 0;
    while index < words.len() {
        let counted =
            words.get(index + 1).copied() == Some("packets") && words.get(index + 3).copied() == Some("bytes");
        kept.push(words[index]);
        index += if words[index] == "counter" && counted { 5 } else { 1 };
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULESET: &str = "table inet t {\n set s {\n  type ifname\n  elements = { \"b\",\n     \"a\" }\n }\n chain c {\n  counter packets 3 bytes 4 drop\n }\n}\n";

    #[test]
    fn the_order_of_elements_and_counters_do_not_matter_and_rules_do() {
        let set = |text: &str| nft_lines(text).into_iter().collect::<BTreeSet<_>>();
        let swapped = RULESET.replace("\"b\",\n     \"a\"", "\"a\",\n     \"b\"").replace("packets 3", "packets 9");
        assert_eq!(set(RULESET), set(&swapped));
        assert_ne!(set(RULESET), set(&RULESET.replace("drop", "accept")));
        assert_ne!(set(RULESET), set(&RULESET.replace("\"b\",", "")));
        assert!(nft_lines(RULESET).contains(&"nft table inet t set s element \"a\"".to_owned()));
    }
}
