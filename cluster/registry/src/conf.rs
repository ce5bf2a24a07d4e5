//! Ports that a caller fixes in the engine's `CONF` variable (lines `--http-port=`, `--https-port=`).

/// The first valid port that a line `<flag>=<port>` of `conf` names; lines with a bad port are skipped.
fn port_of(conf: &str, flag: &str) -> Option<u16> {
    conf.lines()
        .filter_map(|line| line.trim().strip_prefix(flag)?.strip_prefix('='))
        .filter_map(|text| text.trim().parse::<u16>().ok())
        .find(|port| *port != 0)
}

/// HTTP port in `conf`, 1..=65535.
#[must_use]
pub fn http_port(conf: &str) -> Option<u16> {
    port_of(conf, "--http-port")
}

/// HTTPS port in `conf`, 1..=65535.
#[must_use]
pub fn https_port(conf: &str) -> Option<u16> {
    port_of(conf, "--https-port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_valid_line_of_a_flag_wins() {
        for (conf, http) in [
            ("", None),
            ("--bind-all", None),
            ("--http-port=", None),
            ("--http-port=abc", None),
            ("--http-port=999999", None),
            ("--http-port=-1", None),
            ("--http-port=0", None),
            ("--http-port=6879\n--bind-all", Some(6879)),
            ("  --http-port=6879  \r\n", Some(6879)),
            ("--https-port=6880", None),
            ("--http-port=6879\n--http-port=6881", Some(6879)),
            ("--http-port=x\n--http-port=6881", Some(6881)),
        ] {
            assert_eq!(http_port(conf), http, "{conf:?}");
        }
        assert_eq!(https_port("--http-port=1\n--https-port=6880"), Some(6880));
    }
}
