use crate::{Place, Value, Values};
use std::fmt;

/// One step of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object is made.
    Create(Place, Value),
    /// The object stays and gets other attributes.
    Update {
        /// Where it lives.
        place: Place,
        /// What it was.
        from: Value,
        /// What it becomes.
        to: Value,
    },
    /// The object is removed.
    Delete(Place, Value),
}

impl Change {
    /// Where it happens.
    pub fn place(&self) -> &Place {
        match self {
            Self::Create(place, _) | Self::Update { place, .. } | Self::Delete(place, _) => place,
        }
    }

    /// The object, as it becomes or as it was when it is removed.
    pub fn value(&self) -> &Value {
        match self {
            Self::Create(_, value) | Self::Update { to: value, .. } | Self::Delete(_, value) => value,
        }
    }

    /// Whether all that is left of a link by this change is to be deleted (see [`Link::group`](crate::Link)).
    /// It asks nothing of a link that has gone already.
    pub fn retires_link(&self) -> bool {
        matches!(self, Self::Update { from: Value::Link(from), to: Value::Link(to), .. }
            if from.group != to.group && to.group != 0)
    }

    /// The change that undoes this one.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Create(place, value) => Self::Delete(place, value),
            Self::Update { place, from, to } => Self::Update { place, from: to, to: from },
            Self::Delete(place, value) => Self::Create(place, value),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(place, value) => write!(f, "+ [{place}] {value}"),
            Self::Update { place, to, .. } => write!(f, "~ [{place}] {to}"),
            Self::Delete(place, value) => write!(f, "- [{place}] {value}"),
        }
    }
}

/// The difference between two sets of values, as changes. Their order in the plan
/// means nothing: whoever applies it orders them by what depends on what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    changes: Vec<Change>,
}

impl Plan {
    /// What turns `before` into `after`.
    pub fn between(before: &Values, after: &Values) -> Self {
        let mut changes = Vec::new();
        for (place, key, entry) in after.iter() {
            match before.get(place, key) {
                None => changes.push(Change::Create(place.clone(), entry.value.clone())),
                Some(old) if old.value == entry.value => {}
                Some(old) => changes.push(Change::Update {
                    place: place.clone(),
                    from: old.value.clone(),
                    to: entry.value.clone(),
                }),
            }
        }
        for (place, key, entry) in before.iter() {
            if after.get(place, key).is_none() {
                changes.push(Change::Delete(place.clone(), entry.value.clone()));
            }
        }
        Self { changes }
    }

    /// The changes.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The plan that undoes this one.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { changes: self.changes.into_iter().map(Change::inverse).collect() }
    }
}

impl FromIterator<Change> for Plan {
    fn from_iter<T: IntoIterator<Item = Change>>(changes: T) -> Self {
        Self { changes: changes.into_iter().collect() }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Owner, Sysctl};

    fn values(pairs: &[(&str, &str)]) -> Values {
        let mut values = Values::new();
        for (path, value) in pairs {
            values.insert(Place::Host, &Owner::new("test"), Value::Sysctl(Sysctl::new(*path, *value)));
        }
        values
    }

    #[test]
    fn only_the_difference_is_planned() {
        let before = values(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = values(&[("b", "1"), ("c", "2"), ("d", "1")]);
        let plan = Plan::between(&before, &after);
        assert_eq!(plan.to_string(), "~ [host] sysctl c=2\n+ [host] sysctl d=1\n- [host] sysctl a=1\n");
        assert_eq!(plan.inverse().changes().len(), 3);
        assert!(Plan::between(&after, &after).is_empty());
    }
}
