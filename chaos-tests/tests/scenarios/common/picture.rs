//! Counts over time as a picture: steps, one colour each, and bounds as dashed lines.

use std::fmt::Write as _;

const WIDTH: f64 = 1070.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 46.0;

/// One count over time.
pub struct Line<'a> {
    /// In the legend.
    pub name: &'a str,
    /// Of the line, as SVG has it.
    pub colour: &'a str,
    /// Thickness of the line.
    pub width: f64,
    /// Seconds from the start, and the count from then on.
    pub points: Vec<(f64, usize)>,
}

/// A count that is a limit.
pub struct Bound<'a> {
    pub name: &'a str,
    pub at: usize,
}

/// The picture as SVG.
pub fn draw(title: &str, seconds: f64, lines: &[Line<'_>], bounds: &[Bound<'_>]) -> String {
    let counts = lines.iter().flat_map(|line| line.points.iter().map(|(_, count)| *count));
    let top = counts.chain(bounds.iter().map(|bound| bound.at)).max().unwrap_or(1) + 1;
    let x = |second: f64| LEFT + (WIDTH - LEFT - RIGHT) * second / seconds.max(1.0);
    let y = |count: usize| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count as f64 / top as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"16\">{title}</text>\n"
    );
    let mut put = |text: String| {
        // Writing into a String cannot fail.
        let _ = writeln!(svg, "{text}");
    };
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for count in (0..=top).step_by(if top > 14 { 5 } else { 1 }) {
        let at = y(count);
        put(format!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#e4e4e4\"/>"));
        put(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{count}</text>", LEFT - 8.0, at + 4.0));
    }
    let step = if seconds > 180.0 { 60 } else { 10 };
    for second in (0..=seconds as usize).step_by(step) {
        let at = x(second as f64);
        let label = if step == 60 { format!("{} min", second / 60) } else { format!("{second} s") };
        put(format!("<path d=\"M{at:.1} {bottom}v5\" stroke=\"#444\"/>"));
        put(format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", bottom + 20.0));
    }
    for bound in bounds {
        let at = y(bound.at);
        put(format!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#888\" stroke-dasharray=\"6 4\"/>"));
        put(format!("<text x=\"{}\" y=\"{:.1}\" fill=\"#666\">{}</text>", right + 6.0, at + 4.0, bound.name));
    }
    let mut legend = LEFT;
    for line in lines {
        let mut path = String::new();
        let mut last = None;
        for (second, count) in &line.points {
            let at = (x(*second), y(*count));
            let _ = match last {
                None => write!(path, "M{:.1} {:.1}", at.0, at.1),
                Some(before) if before == *count => Ok(()),
                Some(_) => write!(path, "H{:.1}V{:.1}", at.0, at.1),
            };
            last = Some(*count);
        }
        if let Some((second, _)) = line.points.last() {
            let _ = write!(path, "H{:.1}", x(*second));
        }
        let (colour, width) = (line.colour, line.width);
        put(format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>"
        ));
        put(format!("<path d=\"M{legend} 44h24\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"));
        put(format!("<text x=\"{}\" y=\"48\">{}</text>", legend + 30.0, line.name));
        legend += 62.0 + 7.2 * line.name.len() as f64;
    }
    svg.push_str("</svg>\n");
    svg
}
