use super::fault::Faults;
use linkspan_engine::{EndpointRecord, NetworkRecord, SandboxRecord, Snapshot};
use linkspan_model::Result;
use rusqlite::Connection;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Reads everything.
pub(super) fn snapshot(connection: &Connection, faults: &Faults) -> Result<Snapshot> {
    Ok(Snapshot {
        networks: table(connection, faults, "network", |record: &NetworkRecord| record.id)?,
        sandboxes: table(connection, faults, "sandbox", |record: &SandboxRecord| record.id)?,
        endpoints: table(connection, faults, "endpoint", |record: &EndpointRecord| record.id)?,
        settings: settings(connection).map_err(|e| faults.sqlite(e))?,
    })
}

/// Reads the records of `table` by what `key` takes from them.
fn table<K: Ord, R: DeserializeOwned>(
    connection: &Connection,
    faults: &Faults,
    table: &str,
    key: impl Fn(&R) -> K,
) -> Result<BTreeMap<K, R>> {
    let fault = |e| faults.sqlite(e);
    let unreadable =
        |id: &str, why: &dyn std::fmt::Display| faults.damaged(format!("record of {table} {id} cannot be read: {why}"));
    let mut statement = connection.prepare(&format!("SELECT lower(hex(id)), record FROM {table}")).map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    let mut records = BTreeMap::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let id = row.get::<_, String>(0).map_err(fault)?;
        let text = row.get_ref(1).map_err(fault)?.as_str().map_err(|e| unreadable(&id, &e))?;
        let record: R = serde_json::from_str(text).map_err(|e| unreadable(&id, &e))?;
        records.insert(key(&record), record);
    }
    Ok(records)
}

fn settings(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare("SELECT name, value FROM setting")?;
    statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
