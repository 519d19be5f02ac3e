use super::Place;
use crate::{
    exit::Outcome,
    graph::{self, Picture},
    output,
};
use clap::ValueEnum;

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan graph
  linkspan graph --format svg > picture.svg
  linkspan graph --format mermaid        for a Markdown file")]
pub(super) struct Args {
    /// What to draw with
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Draw the built-in networks too where nobody is on them
    #[arg(short, long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines of text
    Text,
    /// The diagram language of Markdown viewers
    Mermaid,
    /// A picture
    Svg,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let client = place.client()?;
    let picture = Picture::new(&client.networks()?, &client.sandboxes()?, args.all);
    output::print(&match args.format {
        Format::Text => graph::text(&picture),
        Format::Mermaid => graph::mermaid(&picture),
        Format::Svg => graph::svg(&picture),
    });
    Ok(())
}
