use super::{Picture, Port, Sandbox};
use crate::output::Table;

/// The picture as lines: each network with who is on it.
pub(crate) fn text(picture: &Picture) -> String {
    let mut text = String::new();
    for (position, network) in picture.networks.iter().enumerate() {
        text.push_str(&format!("{} ({})\n", network.name, network.caption()));
        let members: Vec<(&Sandbox, &super::Link)> = picture
            .sandboxes
            .iter()
            .flat_map(|sandbox| sandbox.links.iter().map(move |link| (sandbox, link)))
            .filter(|(_, link)| link.network == position)
            .collect();
        let mut table = Table::default();
        for (index, (sandbox, link)) in members.iter().enumerate() {
            let branch = if index + 1 == members.len() { "└─" } else { "├─" };
            let stopped = if sandbox.running { "" } else { " (ended)" };
            table.row([
                format!("{branch} {}{stopped}", sandbox.name),
                link.interface.clone(),
                link.addresses.join(", "),
                published(picture, sandbox, position),
            ]);
        }
        text.push_str(&table.render(None));
        text.push('\n');
    }
    let alone: Vec<&str> = picture
        .sandboxes
        .iter()
        .filter(|sandbox| sandbox.links.is_empty())
        .map(|sandbox| sandbox.name.as_str())
        .collect();
    if !alone.is_empty() {
        text.push_str(&format!("on no network: {}\n\n", alone.join(", ")));
    }
    text.pop();
    text
}

/// What is published by way of the network at `position`: everything, on the first one with a way out.
fn published(picture: &Picture, sandbox: &Sandbox, position: usize) -> String {
    let way_out = sandbox.links.iter().map(|link| link.network).find(|network| !picture.networks[*network].internal);
    let ports = sandbox.ports.iter().filter(|_| way_out.is_none_or(|network| network == position));
    ports.map(arrow).collect::<Vec<_>>().join(", ")
}

fn arrow(port: &Port) -> String {
    format!("host {} → {}", port.host, port.inside)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::picture, *};

    #[test]
    fn networks_with_their_members() {
        insta::assert_snapshot!(text(&picture()), @r"
        front (bridge · 172.17.1.0/24 · fd3c:91a2:77b0::/64)
        ├─ web           eth0   172.17.1.2, fd3c:91a2:77b0::2   host 8080 → 80/tcp, host 127.0.0.1:8443 → 443/tcp
        └─ job (ended)   eth0   172.17.1.3, fd3c:91a2:77b0::3

        back (bridge · 172.17.2.0/24 · internal)
        ├─ web   eth1   172.17.2.2
        └─ db    eth0   172.17.2.3
        ");
    }
}
