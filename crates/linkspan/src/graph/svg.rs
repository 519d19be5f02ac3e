//! The picture as SVG: the outside on top, then the host with a card for each sandbox and a
//! rail for each network below them. From each card a line drops to each rail it is on, so that no
//! two lines cross but at right angles.

use super::{Network, Picture, Sandbox};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// Colours of networks, in turn: dark enough for text on white, apart for eyes that see few.
const COLOURS: [&str; 8] = ["#1d6fd1", "#0f8a5f", "#c2620a", "#7b3fd6", "#c02671", "#0b7f95", "#8a6d00", "#b3261e"];

const MARGIN: f64 = 28.0;
const CARD_GAP: f64 = 26.0;
const LINE: f64 = 18.0;
const PILL: f64 = 24.0;
const RAIL: f64 = 62.0;
/// Width of a character of 12 px monospace and of 14 px bold text, roughly.
const MONO: f64 = 7.25;
const BOLD: f64 = 8.4;

/// What the card of a sandbox without networks says.
const ALONE: &str = "on no network";

/// A card that has its place.
struct Card<'a> {
    sandbox: &'a Sandbox,
    x: f64,
    width: f64,
    height: f64,
}

/// The picture as an SVG document.
pub(crate) fn svg(picture: &Picture) -> String {
    let layout = Layout::new(picture);
    let mut body = String::new();
    layout.ground(&mut body);
    layout.rails(&mut body);
    layout.drops(&mut body);
    layout.ports(&mut body);
    layout.cards(&mut body);
    let (width, height) = (layout.width, layout.height);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="Networks and sandboxes of this host">
<style>
text {{ font-family: Inter, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2933; }}
.mono {{ font-family: "JetBrains Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.name {{ font-size: 14px; font-weight: 700; }}
.soft {{ fill: #66727f; }}
.card {{ fill: #ffffff; stroke: #c5ced8; stroke-width: 1.2; }}
.ended {{ stroke-dasharray: 5 4; }}
.pill {{ fill: #1f2933; }}
.pill-text {{ fill: #ffffff; font-size: 11.5px; }}
.local {{ fill: #66727f; }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#1f2933"/></marker></defs>
{body}</svg>
"##
    )
}

struct Layout<'a> {
    picture: &'a Picture,
    cards: Vec<Card<'a>>,
    /// Right end of the networks' labels.
    label: f64,
    /// Top of the host, of the cards, and of the first rail.
    host: f64,
    top: f64,
    rails: f64,
    width: f64,
    height: f64,
}

impl<'a> Layout<'a> {
    fn new(picture: &'a Picture) -> Self {
        let label = picture.networks.iter().map(label_width).fold(150.0, f64::max);
        let mut x = MARGIN * 2.0 + label + 30.0;
        let mut cards = Vec::new();
        for sandbox in &picture.sandboxes {
            let (width, height) = card_size(sandbox);
            cards.push(Card { sandbox, x, width, height });
            x += width + CARD_GAP;
        }
        let pills = picture.sandboxes.iter().map(|sandbox| sandbox.ports.len()).max().unwrap_or(0);
        let host = MARGIN + 32.0 + 30.0;
        #[allow(clippy::cast_precision_loss, reason = "a handful")]
        let (pills, networks) = (pills as f64, picture.networks.len() as f64);
        let top = host + if pills > 0.0 { 44.0 + pills * (PILL + 6.0) } else { 46.0 };
        let tallest = cards.iter().map(|card| card.height).fold(0.0, f64::max);
        let rails = top + tallest + 44.0;
        let height = rails + networks * RAIL + MARGIN;
        let width = (x - CARD_GAP + MARGIN * 2.0).max(MARGIN * 4.0 + label + 240.0);
        Self { picture, cards, label, host, top, rails, width, height }
    }

    fn rail(&self, network: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a handful")]
        let position = network as f64;
        self.rails + position * RAIL + RAIL / 2.0 - 8.0
    }

    /// Background, the outside, and the frame of the host.
    fn ground(&self, svg: &mut String) {
        let (width, height) = (self.width, self.height);
        let _ = writeln!(svg, r##"<rect width="{width:.0}" height="{height:.0}" fill="#ffffff"/>"##);
        let band = width - 2.0 * MARGIN;
        let _ = writeln!(
            svg,
            r##"<rect x="{MARGIN}" y="{MARGIN}" width="{band:.0}" height="32" rx="16" fill="#e4eefb"/><text x="{:.0}" y="{:.0}" text-anchor="middle" style="fill:#2c5282">outside: neighbours of this host, and the internet</text>"##,
            width / 2.0,
            MARGIN + 20.5,
        );
        let _ = writeln!(
            svg,
            r##"<rect x="{MARGIN}" y="{:.1}" width="{band:.0}" height="{:.1}" rx="14" fill="#f7f9fb" stroke="#9aa7b4" stroke-width="1.4"/><text x="{:.0}" y="{:.1}" class="name soft">this host</text>"##,
            self.host,
            height - self.host - MARGIN / 2.0,
            MARGIN + 18.0,
            self.host + 26.0,
        );
    }

    fn rails(&self, svg: &mut String) {
        for (position, network) in self.picture.networks.iter().enumerate() {
            let (y, colour) = (self.rail(position), colour(position));
            let x = MARGIN + 18.0;
            let end = self.width - MARGIN * 2.0;
            let dash = if network.internal { r#" stroke-dasharray="10 6""# } else { "" };
            let _ = writeln!(
                svg,
                r##"<line x1="{:.1}" y1="{y:.1}" x2="{end:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="6" stroke-linecap="round" opacity="0.85"{dash}/>"##,
                x + self.label,
            );
            let _ = writeln!(
                svg,
                r##"<rect x="{x:.1}" y="{:.1}" width="{:.1}" height="46" rx="8" fill="#ffffff" stroke="{colour}" stroke-width="1.6"/><text x="{:.1}" y="{:.1}" class="name" style="fill:{colour}">{}</text><text x="{:.1}" y="{:.1}" class="mono soft" style="font-size:11px">{}</text>"##,
                y - 23.0,
                self.label,
                x + 12.0,
                y - 4.0,
                escape(&network.name),
                x + 12.0,
                y + 13.0,
                escape(&network.caption()),
            );
        }
    }

    /// Where the lines of a card start.
    fn drops(&self, svg: &mut String) {
        for card in &self.cards {
            #[allow(clippy::cast_precision_loss, reason = "a handful")]
            let step = card.width / (card.sandbox.links.len() as f64 + 1.0);
            // The first link drops last, so that lines to farther rails leave to the left of nearer ones.
            let mut x = card.x + step;
            for link in card.sandbox.links.iter().rev() {
                let (y, colour) = (self.rail(link.network), colour(link.network));
                let start = self.top + card.height;
                let _ = writeln!(
                    svg,
                    r##"<line x1="{x:.1}" y1="{start:.1}" x2="{x:.1}" y2="{y:.1}" stroke="#f7f9fb" stroke-width="7"/><line x1="{x:.1}" y1="{start:.1}" x2="{x:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="2.4"/><circle cx="{x:.1}" cy="{y:.1}" r="6.5" fill="#ffffff" stroke="{colour}" stroke-width="3"/>"##,
                );
                x += step;
            }
        }
    }

    fn ports(&self, svg: &mut String) {
        for card in self.cards.iter().filter(|card| !card.sandbox.ports.is_empty()) {
            let middle = card.x + card.width / 2.0;
            let first = self.host + 24.0;
            let open = card.sandbox.ports.iter().any(|port| !port.local);
            let start = if open { MARGIN + 33.0 } else { first };
            let _ = writeln!(
                svg,
                r##"<line x1="{middle:.1}" y1="{start:.1}" x2="{middle:.1}" y2="{:.1}" stroke="#1f2933" stroke-width="1.6" marker-end="url(#tip)"/>"##,
                self.top - 1.0,
            );
            let mut y = first;
            for port in &card.sandbox.ports {
                let label = format!("{} → {}", port.host, port.inside);
                let (width, class) = (pill_width(&label), if port.local { "pill local" } else { "pill" });
                let _ = writeln!(
                    svg,
                    r##"<rect x="{:.1}" y="{y:.1}" width="{width:.1}" height="{PILL}" rx="12" class="{class}"/><text x="{middle:.1}" y="{:.1}" text-anchor="middle" class="mono pill-text">{}</text>"##,
                    middle - width / 2.0,
                    y + 16.0,
                    escape(&label),
                );
                y += PILL + 6.0;
            }
        }
    }

    fn cards(&self, svg: &mut String) {
        for card in &self.cards {
            let (x, mut y) = (card.x + 14.0, self.top + 24.0);
            let (class, state) = if card.sandbox.running { ("card", "") } else { ("card ended", "\u{a0}(ended)") };
            let _ = writeln!(
                svg,
                r##"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="10" class="{class}"/><text x="{x:.1}" y="{y:.1}" class="name">{}<tspan class="soft" style="font-weight:400">{state}</tspan></text>"##,
                card.x,
                self.top,
                card.width,
                card.height,
                escape(&card.sandbox.name),
            );
            if !card.sandbox.command.is_empty() {
                y += LINE;
                let command = escape(&command(card.sandbox));
                let _ = writeln!(
                    svg,
                    r##"<text x="{x:.1}" y="{y:.1}" class="soft mono" style="font-size:11px">{command}</text>"##
                );
            }
            y += 6.0;
            if card.sandbox.links.is_empty() {
                y += LINE;
                let _ = writeln!(svg, r##"<text x="{x:.1}" y="{y:.1}" class="soft">{ALONE}</text>"##);
            }
            for link in &card.sandbox.links {
                for (index, line) in link_lines(link).iter().enumerate() {
                    y += LINE;
                    if index == 0 {
                        let colour = colour(link.network);
                        let _ = writeln!(
                            svg,
                            r##"<circle cx="{:.1}" cy="{:.1}" r="4.5" fill="{colour}"/>"##,
                            x + 4.0,
                            y - 4.0
                        );
                    }
                    let _ =
                        writeln!(svg, r##"<text x="{:.1}" y="{y:.1}" class="mono">{}</text>"##, x + 16.0, escape(line));
                }
            }
        }
    }
}

fn colour(network: usize) -> &'static str {
    COLOURS[network % COLOURS.len()]
}

fn columns(text: &str) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a line of text")]
    let columns = text.width() as f64;
    columns
}

fn label_width(network: &Network) -> f64 {
    (columns(&network.name) * BOLD).max(columns(&network.caption()) * 6.8) + 26.0
}

fn pill_width(label: &str) -> f64 {
    columns(label) * 7.0 + 22.0
}

/// The command, cut to what a card holds.
fn command(sandbox: &Sandbox) -> String {
    let mut text: String = sandbox.command.chars().take(34).collect();
    if text.len() < sandbox.command.len() {
        text.push('…');
    }
    text
}

fn link_lines(link: &super::Link) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, address) in link.addresses.iter().enumerate() {
        let interface = if index == 0 { link.interface.as_str() } else { "" };
        let pad = link.interface.width();
        lines.push(format!("{interface}{} {address}", "\u{a0}".repeat(pad - interface.width())));
    }
    if lines.is_empty() {
        lines.push(if link.interface.is_empty() {
            "no interface of its own".to_owned()
        } else {
            link.interface.clone()
        });
    }
    lines
}

fn card_size(sandbox: &Sandbox) -> (f64, f64) {
    let state = if sandbox.running { 0.0 } else { 8.0 };
    let lines: Vec<String> = sandbox.links.iter().flat_map(link_lines).collect();
    let width = lines
        .iter()
        .map(|line| columns(line) * MONO + 16.0)
        .chain([(columns(&sandbox.name) + state) * BOLD, columns(&command(sandbox)) * 6.8])
        .chain(sandbox.ports.iter().map(|port| pill_width(&format!("{} → {}", port.host, port.inside)) - 28.0))
        .fold(110.0, f64::max);
    let rows = lines.len().max(1) + usize::from(!sandbox.command.is_empty());
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let rows = rows as f64;
    (width + 28.0, 24.0 + 6.0 + rows * LINE + 14.0)
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What XML 1.0 cannot hold, and line feeds, which would be blanks anyway.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{super::tests::picture, *};

    #[test]
    fn everything_is_in_the_picture() {
        let svg = svg(&picture());
        for text in [">web<", ">front<", "172.17.1.2<", "fd3c:91a2:77b0::2<", "8080 → 80/tcp", "(ended)"] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert!(svg.contains("sh -c &quot;a &lt; b &amp; c&quot;"), "text is escaped");
        assert_eq!(svg.matches("<circle").count(), 8, "two for each endpoint");
    }

    #[test]
    fn cards_stand_apart_and_inside() {
        let picture = picture();
        let layout = Layout::new(&picture);
        for pair in layout.cards.windows(2) {
            assert!(pair[0].x + pair[0].width < pair[1].x);
        }
        let last = layout.cards.last().unwrap();
        assert!(last.x + last.width < layout.width - MARGIN);
        assert!(layout.rail(1) < layout.height - MARGIN);
    }

    #[test]
    fn an_empty_host_is_a_picture_too() {
        assert!(svg(&Picture::default()).ends_with("</svg>\n"));
    }
}
