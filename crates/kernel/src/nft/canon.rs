use super::nat;
use crabtables::{
    Expr, Rule, Ruleset,
    lang::{ast::TableItem, decompile, print},
    sys, udata,
};
use std::collections::{BTreeMap, HashMap};

/// One object of a table, as `nft -s list` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The object without what it contains: a chain's type, hook, priority and policy; a set's
    /// types and flags.
    pub(crate) frame: String,
    /// The object with its rules or elements.
    pub(crate) text: String,
}

/// What a table says, in a form that is the same for a table just compiled and for the same
/// table listed by the kernel: objects by kind and name, whatever their order, handles and
/// counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canon {
    /// Comment and flags of the table.
    pub(crate) head: (Option<String>, Vec<String>),
    /// Objects by kind (`chain`, `set`, `counter`, `flowtable`) and name.
    pub(crate) items: BTreeMap<(&'static str, String), Item>,
}

impl Canon {
    /// The canonical form of the one table in `ruleset`; none where there is none.
    pub(crate) fn of(ruleset: &Ruleset) -> Option<Self> {
        let ruleset = plain(ruleset);
        let mut table = decompile::ruleset(&ruleset).into_iter().next()?;
        let items = std::mem::take(&mut table.items);
        let print = |item: TableItem| {
            let mut alone = table.clone();
            alone.items = vec![item];
            print::tables(&[alone], &options())
        };
        let items = items
            .into_iter()
            .map(|mut item| {
                let text = print(item.clone());
                let key = match &mut item {
                    TableItem::Chain(chain) => {
                        chain.rules.clear();
                        ("chain", chain.name.clone())
                    }
                    TableItem::Set(set) => {
                        set.elements = None;
                        ("set", set.name.clone())
                    }
                    TableItem::Obj(object) => ("object", object.name.clone()),
                    TableItem::Flowtable(flowtable) => ("flowtable", flowtable.name.clone()),
                };
                (key, Item { frame: print(item), text })
            })
            .collect();
        Some(Self { head: (table.comment.clone(), table.flags.clone()), items })
    }
}

/// What stands between the braces of the one table in `ruleset`, in the language of nft(8).
pub(crate) fn body(ruleset: &Ruleset) -> String {
    let text = print::tables(&decompile::ruleset(&plain(ruleset)), &options());
    let inner = text.split_once('\n').map_or("", |(_, rest)| rest);
    inner.trim_end().strip_suffix('}').unwrap_or(inner).trim_end().to_owned()
}

fn options() -> print::Opts {
    print::Opts { stateless: true, ..print::Opts::default() }
}

/// The ruleset in the form that prints the same whoever made it: sets described by their types
/// alone, and the anonymous sets of a compiled table, all called `__set%d` until the kernel
/// numbers them, with names of their own, so that a rule's lookup finds its set.
pub(super) fn plain(ruleset: &Ruleset) -> Ruleset {
    let mut ruleset = ruleset.clone();
    let name = |id: u32| format!("__set{id}");
    for (set, _) in &mut ruleset.sets {
        set.userdata = set.userdata.as_deref().map(portable_userdata);
        if let Some(id) = set.id.filter(|_| set.flags & sys::NFT_SET_ANONYMOUS != 0) {
            set.name = name(id);
        }
    }
    let data_types: HashMap<String, u32> =
        ruleset.sets.iter().filter_map(|(set, _)| Some((set.name.clone(), set.data_type?))).collect();
    for rule in &mut ruleset.rules {
        nat::leave_port(rule, |set| data_types.get(set).copied());
    }
    for expr in ruleset.rules.iter_mut().flat_map(|rule: &mut Rule| &mut rule.exprs) {
        if let Expr::Lookup(lookup) = expr
            && lookup.set.contains('%')
            && let Some(id) = lookup.set_id
        {
            lookup.set = name(id);
        }
    }
    ruleset
}

/// What nft(8) of every version understands of a set's user data: the byte orders, merging,
/// interval data and the comment. The `typeof` descriptions that newer versions add to plain
/// types make `nft list` of version 1.0.6 (Debian 12) crash.
pub(crate) fn portable_userdata(bytes: &[u8]) -> Vec<u8> {
    let mut portable = udata::Udata::new();
    for (kind, value) in udata::iter(bytes) {
        if !matches!(kind, udata::UDATA_SET_KEY_TYPEOF | udata::UDATA_SET_DATA_TYPEOF) {
            portable.push(kind, value);
        }
    }
    portable.into_bytes()
}
