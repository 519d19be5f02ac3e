//! The kernel below an engine: one in memory, or Linux in namespaces of the test's own.

use crate::support::own_host::{own_host, shell};
use linkspan_kernel::{FakeKernel, Kernel, Linux};
use linkspan_testkit::Scratch;
use std::{path::Path, sync::Arc};

pub(crate) enum Beneath {
    Memory(Arc<FakeKernel>),
    Linux(Arc<Linux>),
}

impl Beneath {
    /// One in memory, and a directory.
    pub(crate) fn memory() -> (Self, Scratch) {
        (Self::Memory(Arc::new(FakeKernel::new())), Scratch::new())
    }

    /// Linux; this thread moves to a host of its own, on which the directory is.
    pub(crate) fn linux() -> (Self, Scratch) {
        let dir = own_host();
        (Self::Linux(Arc::new(Linux::new().unwrap())), dir)
    }

    pub(crate) fn calls(&self) -> Arc<dyn Kernel> {
        match self {
            Self::Memory(kernel) => Arc::<FakeKernel>::clone(kernel),
            Self::Linux(kernel) => Arc::<Linux>::clone(kernel),
        }
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Links, addresses inside of namespaces, default routes and published ports, each with its place, which is the file
    /// of a namespace in `dir` or in its `run/netns`.
    pub(crate) fn seen(&self, dir: &Path) -> Vec<(String, String)> {
        match self {
            Self::Memory(kernel) => kernel.dump().lines().filter_map(of_dump).collect(),
            Self::Linux(_) => of_witnesses(dir),
        }
    }
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    Some(text.split_once(start)?.1.split_once(end)?.0.to_owned())
}

fn of_dump(line: &str) -> Option<(String, String)> {
    let (place, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let what = if rest.starts_with("Link(") {
        format!("link {}", between(rest, "name: \"", "\"")?)
    } else if rest.starts_with("Address(") && place != "host" {
        format!("address {}", between(rest, "address: ", " }")?)
    } else if rest.starts_with("Route(") && rest.contains("destination: 0.0.0.0/0") {
        "default route 4".to_owned()
    } else if rest.starts_with("Route(") && rest.contains("destination: ::/0") {
        "default route 6".to_owned()
    } else {
        let (set, element) = rest.strip_prefix("element of inet linkspan ")?.split_once(": tcp . ")?;
        let (port, target) = element.split_once(" : ")?;
        format!("{set} {port} {}", target.split(" . ").next()?)
    };
    Some((place.to_owned(), what))
}

/// What `ip` and `nft` see: the place, then `link`, `address`, `route` or `element` and what it is.
fn of_witnesses(dir: &Path) -> Vec<(String, String)> {
    let script = format!(
        r#"see() {{
            ip -o link | sed -E "s|^[0-9]+: ([^:@]+).*|$1 link \1|"
            ip -o addr show scope global | awk -v place=$1 '{{print place, "address", $4}}'
            for family in 4 6; do ip -$family route show default | sed "s|.*|$1 route $family|"; done
        }}
        see host
        for map in publish4_any publish6_any; do
            nft list map inet linkspan $map | sed 's/ comment "[^"]*"//g' | tr ',' '\n' | grep -oE 'tcp \. [0-9]+ : [0-9a-f.:]+' |
                sed "s|tcp . \([0-9]*\) : |host element $map \1 |"
        done
        for file in {dir}/vm* {dir}/run/netns/*; do
            test -e $file && nsenter --net=$file sh -c "$(declare -f see); see $file"
        done; true"#,
        dir = dir.display()
    );
    let seen = shell(&format!("exec bash -c '{}'", script.replace('\'', "'\\''")));
    let line = |line: &str| {
        let (place, what) = line.split_once(' ')?;
        let (kind, value) = what.split_once(' ')?;
        match kind {
            "address" if place == "host" => None,
            "route" => Some((place.to_owned(), format!("default route {value}"))),
            "element" => Some((place.to_owned(), value.to_owned())),
            _ => Some((place.to_owned(), what.to_owned())),
        }
    };
    seen.lines().filter_map(line).collect()
}
