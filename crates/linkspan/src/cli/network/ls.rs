use super::super::{
    Place,
    list::{self, ListArgs},
};
use crate::{
    exit::Outcome,
    output::{self, Field, Filters, Row},
};
use linkspan_engine::NetworkView;
use linkspan_model::Result;

const FIELDS: [Field; 9] = [
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];
const COLUMNS: [&str; 4] = ["ID", "Name", "Driver", "Scope"];
const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Arguments of `network ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network ls --filter driver=bridge --filter label=tier=web
  linkspan network ls --format '{{.Name}}: {{.ID}}'
  linkspan network ls --format 'table {{.Name}}\\t{{.Label \"tier\"}}'

Filters: dangling=BOOL, driver, id, label=KEY[=VALUE], name, scope, type=builtin|custom.
Fields: .ID .Name .Driver .Scope .IPv4 .IPv6 .Internal .Labels .Label .CreatedAt")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    list: ListArgs,
}

pub(in crate::cli) fn run(args: &Args, place: &Place) -> Outcome {
    let filters = Filters::parse(&args.list.filter, &FILTERS)?;
    let passes = check(&filters)?;
    let mut networks = place.client()?.networks()?;
    networks.retain(|network| passes(network));
    let rows = networks.iter().map(|network| (network.id.to_string(), row(network, args.list.no_trunc)));
    Ok(args.list.print(&FIELDS, &COLUMNS, rows.collect())?)
}

/// The test that a network must pass, with everything that can be wrong about it found.
fn check(filters: &Filters) -> Result<impl Fn(&NetworkView) -> bool> {
    let dangling = filters.boolean("dangling")?;
    let labels = list::labels(filters)?;
    filters.only("type", &["builtin", "custom"])?;
    Ok(move |network: &NetworkView| {
        let unused = network.endpoints.is_empty() && !network.builtin;
        dangling.is_none_or(|wanted| wanted == unused)
            && filters.any("driver", |driver| network.driver == driver)
            && filters.any("id", |id| network.id.to_string().contains(id))
            && filters.any("name", |name| network.name.as_str().contains(name))
            && filters.any("scope", |scope| network.scope.to_string() == scope)
            && filters.any("type", |kind| (kind == "builtin") == network.builtin)
            && labels.iter().all(|label| label.matches(&network.labels))
    })
}

fn row(network: &NetworkView, whole: bool) -> Row {
    let labels: Vec<String> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Row {
        values: vec![
            output::id(&network.id.to_string(), whole),
            network.name.to_string(),
            network.driver.clone(),
            network.scope.to_string(),
            network.enable_ipv4.to_string(),
            network.enable_ipv6.to_string(),
            network.internal.to_string(),
            labels.join(","),
            output::date(network.created),
        ],
        labels: network.labels.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::shape::tests::network, *};
    use crate::output::{Format, Listing};

    fn passes(filters: &[&str]) -> bool {
        let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
        let filters = Filters::parse(&filters, &FILTERS).unwrap();
        let check = check(&filters).unwrap();
        check(&network())
    }

    #[test]
    fn filters_of_docker() {
        assert!(passes(&["driver=host", "driver=bridge", "name=ap", "label=tier", "label=tier=web", "scope=local"]));
        assert!(passes(&["dangling=false", "type=custom", "id=01010101"]));
        for filter in ["driver=host", "name=xx", "label=tier=db", "dangling=true", "type=builtin", "scope=swarm"] {
            assert!(!passes(&[filter]), "{filter}");
        }
    }

    #[test]
    fn a_listing() {
        let listing = Listing { fields: &FIELDS, columns: &COLUMNS, rows: vec![row(&network(), false)] };
        insta::assert_snapshot!(listing.render(&Format::Table).unwrap(), @r"
        NETWORK ID     NAME   DRIVER   SCOPE
        010101010101   app    bridge   local
        ");
        let fields = "{{.Name}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label \"tier\"}}";
        let text = listing.render(&Format::parse(Some(fields)).unwrap()).unwrap();
        assert_eq!(text, "app true true false tier=web web\n");
    }
}
