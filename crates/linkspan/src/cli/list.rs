//! Lists: what `ls` and `ps` have in common.

use crate::output::{self, Field, Filters, Format, Listing, Row};
use linkspan_api::LabelFilter;
use linkspan_model::Result;

/// How things are listed.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Show only what passes: KEY=VALUE; may be repeated
    #[arg(short, long, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show IDs and commands whole
    #[arg(long)]
    pub(super) no_trunc: bool,
    /// Show IDs only
    #[arg(short, long)]
    quiet: bool,
}

impl ListArgs {
    /// Prints `rows`, each with the whole ID of what it shows: their IDs, or the columns that are asked for.
    pub(super) fn print(&self, fields: &[Field], columns: &[&str], rows: Vec<(String, Row)>) -> Result<()> {
        let format = Format::parse(self.format.as_deref())?;
        if self.quiet && self.format.is_none() {
            let ids = rows.iter().map(|(id, _)| output::id(id, self.no_trunc) + "\n");
            output::print(&ids.collect::<String>());
            return Ok(());
        }
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        output::print(&Listing { fields, columns, rows }.render(&format)?);
        Ok(())
    }
}

/// The labels that something must have to pass.
pub(super) fn labels(filters: &Filters) -> Result<Vec<LabelFilter>> {
    filters.values("label").iter().map(|label| label.parse()).collect()
}
