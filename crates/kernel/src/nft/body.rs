use super::{Canon, SetSchema, canon, family, nat};
use crate::{NftFamily, NftTable};
use crabtables::{
    Batch, Object, Rule, Ruleset, Set,
    lang::{compile, parse},
    nl::Messages,
    sys,
};
use linkspan_model::{Error, Result};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// How many compiled bodies are kept; a daemon has two or three, or one a sandbox where they
/// carry a port.
const CACHE_SIZE: usize = 64;

type CacheKey = (NftFamily, String, String);

static CACHE: LazyLock<Mutex<HashMap<CacheKey, Arc<Body>>>> = LazyLock::new(Mutex::default);

/// One netlink message that makes a part of a table.
#[derive(Debug)]
pub(crate) enum Message {
    /// `NFT_MSG_NEWSET`.
    Set(Set),
    /// `NFT_MSG_NEWRULE`, at the end of its chain.
    Rule(Rule),
    /// Any other: its `NFT_MSG_` number, its flags and its attributes.
    Other { subtype: u8, flags: u16, attributes: Vec<u8> },
}

/// The body of a table, compiled.
#[derive(Debug)]
pub(crate) struct Body {
    family: NftFamily,
    messages: Vec<Message>,
    sets: BTreeMap<String, Set>,
    chains: Vec<String>,
    ruleset: Ruleset,
    canon: std::sync::OnceLock<Option<Canon>>,
}

impl Body {
    /// Compiles the body of `table`, or finds it compiled.
    ///
    /// # Errors
    /// Of class `Internal`, with the place in the text, where the body is not one of sets, maps
    /// and chains in the language of nft(8), or names elements of named sets.
    pub(crate) fn of(table: &NftTable) -> Result<Arc<Self>> {
        let key = (table.family, table.name.clone(), table.body.clone());
        if let Some(body) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(body));
        }
        let body = Arc::new(Self::compile(table)?);
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_SIZE {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&body));
        Ok(body)
    }

    fn compile(table: &NftTable) -> Result<Self> {
        let text = format!("table {} {} {{\n{}\n}}\n", table.family, table.name, table.body);
        let wrong = |what: String| Error::internal(format!("{table}: {what}"));
        let commands = parse::parse(&text).map_err(|error| wrong(error.render(&text, None).trim_end().to_owned()))?;
        if commands.len() != 1 {
            return Err(wrong("the body closes the table".to_owned()));
        }
        let (batch, _) =
            compile::compile(&commands).map_err(|error| wrong(error.render(&text, None).trim_end().to_owned()))?;

        let mut body = Self {
            family: table.family,
            messages: Vec::new(),
            sets: BTreeMap::new(),
            chains: Vec::new(),
            ruleset: Ruleset::default(),
            canon: std::sync::OnceLock::new(),
        };
        for message in Messages::new(batch.body()) {
            let message = message.map_err(|error| wrong(error.to_string()))?;
            let (header, attributes) = message.nfgen().map_err(|error| wrong(error.to_string()))?;
            let raw = attributes.remaining().to_vec();
            let object = Object::decode(message.subtype(), header.family, attributes)
                .map_err(|error| wrong(error.to_string()))?
                .map(|(_, object)| object);
            let other = Message::Other { subtype: message.subtype(), flags: message.flags, attributes: raw };
            let message = match object {
                Some(Object::Table(table)) => {
                    body.ruleset.tables.push(table);
                    other
                }
                Some(Object::Chain(chain)) => {
                    body.chains.push(chain.name.clone());
                    body.ruleset.chains.push(chain);
                    other
                }
                Some(Object::Rule(mut rule)) => {
                    nat::take_port(&mut rule, |set| body.sets.get(set)?.data_type);
                    body.ruleset.rules.push(rule.clone());
                    Message::Rule(rule)
                }
                Some(Object::Set(mut set)) => {
                    set.userdata = set.userdata.as_deref().map(canon::portable_userdata);
                    body.ruleset.sets.push((set.clone(), Vec::new()));
                    if set.flags & sys::NFT_SET_ANONYMOUS == 0 {
                        body.sets.insert(set.name.clone(), set.clone());
                    }
                    Message::Set(set)
                }
                Some(Object::SetElems(list)) => {
                    let set = body.ruleset.sets.iter_mut().find(|(set, _)| {
                        set.flags & sys::NFT_SET_ANONYMOUS != 0 && set.id.is_some() && set.id == list.set_id
                    });
                    let Some((_, elems)) = set else {
                        return Err(wrong(format!("the body holds elements of set {}", list.set)));
                    };
                    elems.extend(list.elems);
                    other
                }
                _ => return Err(wrong("the body holds more than sets, maps and chains".to_owned())),
            };
            body.messages.push(message);
        }
        Ok(body)
    }

    /// The messages that make the table, in order: the table itself is the first.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The layout of the named set or map; none where the body has none or one of other types.
    pub(crate) fn schema(&self, set: &str) -> Option<SetSchema> {
        self.sets.get(set).and_then(SetSchema::of)
    }

    /// Whether the body has a chain of this name.
    pub(crate) fn has_chain(&self, name: &str) -> bool {
        self.chains.iter().any(|chain| chain == name)
    }

    /// The chains.
    pub(crate) fn chains(&self) -> &[String] {
        &self.chains
    }

    /// Whether the body has chains for an administrator's rules.
    pub(crate) fn has_guests(&self) -> bool {
        self.chains.iter().any(|chain| chain.starts_with("admin_"))
    }

    /// The canonical form.
    pub(crate) fn canon(&self) -> Option<&Canon> {
        self.canon.get_or_init(|| Canon::of(&self.ruleset)).as_ref()
    }

    /// The canonical text of a listed table, as a body.
    pub(crate) fn text_of(ruleset: &Ruleset) -> String {
        canon::body(ruleset)
    }

    /// Adds one of [`Self::messages`] to `batch`, as one operation, and gives its index.
    pub(crate) fn encode(&self, message: &Message, batch: &mut Batch) -> usize {
        match message {
            Message::Set(set) => batch.add_set(set),
            Message::Rule(rule) => batch.add_rule(rule),
            Message::Other { subtype, flags, attributes } => {
                batch.raw(*subtype, *flags, family(self.family), |writer| writer.put_raw(attributes))
            }
        }
    }
}
