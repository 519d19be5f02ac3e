use crate::output::{Filters, Template};
use linkspan_model::ErrorClass;
use serde_json::json;

/// The keys that [`template`] filters by.
const KEYS: [&str; 3] = ["name", "label", "dangling"];

/// Whatever is given as `--format`, or after a zero byte as `--filter`. It is refused as invalid in a line of bounded
/// length, or works.
///
/// # Panics
/// Where that does not hold.
pub fn template(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut parts = text.split('\0');
    let format = parts.next().unwrap_or_default();
    let data = json!({
        "Name": "web", "Id": 7, "Internal": false, "Tags": ["a", "b"],
        "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}, {"Subnet": "fd01::/64"}]},
    });
    if let Err(error) = Template::parse(format).and_then(|template| template.render(&data)) {
        assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
    }
    let filters: Vec<String> = parts.map(str::to_owned).collect();
    match Filters::parse(&filters, &KEYS) {
        Ok(filters) => {
            for key in KEYS {
                let _ = filters.boolean(key);
                let first = filters.values(key).first().cloned();
                assert!(filters.any(key, |value| first.as_deref() == Some(value)));
            }
        }
        Err(error) => assert_eq!(error.class(), ErrorClass::Invalid, "{error}"),
    }
}
