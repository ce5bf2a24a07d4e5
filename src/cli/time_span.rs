//! Lengths of time as people write them in arguments.

use jiff::{Span, SpanRelativeTo, Unit};

/// Whole seconds of a length like `90m`, `12h` or `30d`; days have 24 hours. `such_as`: what the message names.
///
/// # Errors
/// For people, without the text.
pub fn seconds(text: &str, such_as: &str) -> Result<u64, String> {
    let unknown = || format!("write a time like {such_as}");
    let span: Span = text.trim().parse().map_err(|_| unknown())?;
    let total = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| unknown())?;
    match total {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within these bounds"
        )]
        total if (0.0..=4e15).contains(&total) => Ok(total as u64),
        _ => Err(unknown()),
    }
}
