use super::Picture;
use std::fmt::Write as _;

/// The picture in the language of mermaid.js.
pub(crate) fn mermaid(picture: &Picture) -> String {
    let mut text = String::from("flowchart TB\n");
    let published = picture.sandboxes.iter().any(|sandbox| !sandbox.ports.is_empty());
    if published {
        text.push_str("  outside((outside))\n");
    }
    text.push_str("  subgraph host\n");
    for (index, sandbox) in picture.sandboxes.iter().enumerate() {
        let _ = writeln!(text, "    s{index}[\"{}\"]", quoted(&sandbox.name));
    }
    for (index, network) in picture.networks.iter().enumerate() {
        let _ =
            writeln!(text, "    n{index}[[\"<b>{}</b><br/>{}\"]]", quoted(&network.name), quoted(&network.caption()));
    }
    text.push_str("  end\n");
    for (index, sandbox) in picture.sandboxes.iter().enumerate() {
        for port in &sandbox.ports {
            let _ = writeln!(text, "  outside -->|\"{} → {}\"| s{index}", quoted(&port.host), quoted(&port.inside));
        }
        for link in &sandbox.links {
            let label = quoted(&link.addresses.join("<br/>")).replace("&lt;br/&gt;", "<br/>");
            if label.is_empty() {
                let _ = writeln!(text, "  s{index} --- n{}", link.network);
            } else {
                let _ = writeln!(text, "  s{index} ---|\"{label}\"| n{}", link.network);
            }
        }
    }
    text
}

fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::picture, *};

    #[test]
    fn a_flow_chart() {
        insta::assert_snapshot!(mermaid(&picture()), @r#"
        flowchart TB
          outside((outside))
          subgraph host
            s0["web"]
            s1["job"]
            s2["db"]
            n0[["<b>front</b><br/>bridge · 172.17.1.0/24 · fd3c:91a2:77b0::/64"]]
            n1[["<b>back</b><br/>bridge · 172.17.2.0/24 · internal"]]
          end
          outside -->|"8080 → 80/tcp"| s0
          outside -->|"127.0.0.1:8443 → 443/tcp"| s0
          s0 ---|"172.17.1.2<br/>fd3c:91a2:77b0::2"| n0
          s0 ---|"172.17.2.2"| n1
          s1 ---|"172.17.1.3<br/>fd3c:91a2:77b0::3"| n0
          s2 ---|"172.17.2.3"| n1
        "#);
    }
}
