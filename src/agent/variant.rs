//! Engine images, and how each gets its ports.

use crate::config::{Config, Variant};

/// Arguments that every engine of the `jopsis-amd64` image gets beside its ports.
const JOPSIS_AMD64_ARGS: [&str; 15] = [
    "--client-console",
    "--bind-all",
    "--service-remote-access",
    "--access-token acestream",
    "--service-access-token root",
    "--live-cache-type memory",
    "--live-cache-size 209715200",
    "--vod-cache-type memory",
    "--live-buffer 25",
    "--vod-buffer 10",
    "--max-connections 500",
    "--max-peers 50",
    "--max-upload-slots 50",
    "--stats-report-peers",
    "--stats-report-interval 2",
];

/// Command of the ARM images beside the ports.
const JOPSIS_ARM_COMMAND: [&str; 10] = [
    "python",
    "main.py",
    "--bind-all",
    "--client-console",
    "--live-cache-type",
    "memory",
    "--live-mem-cache-size",
    "104857600",
    "--disable-sentry",
    "--log-stdout",
];

/// The variant's name as `ENGINE_VARIANT` spells it.
#[must_use]
pub fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::Krinkuto11Amd64 => "krinkuto11-amd64",
        Variant::JopsisAmd64 => "jopsis-amd64",
        Variant::JopsisArm32 => "jopsis-arm32",
        Variant::JopsisArm64 => "jopsis-arm64",
    }
}

/// The variant in force. A `TARGET_IMAGE` gets its ports as the `acestream-http-proxy` image does.
#[must_use]
pub fn in_force(config: &Config) -> Variant {
    match config.target_image {
        Some(_) => Variant::Krinkuto11Amd64,
        None => config.variant,
    }
}

/// The configured image.
#[must_use]
pub fn image(config: &Config) -> String {
    if let Some(image) = &config.target_image {
        return image.clone();
    }
    match config.variant {
        Variant::Krinkuto11Amd64 => "ghcr.io/krinkuto11/acestream-http-proxy:latest".to_owned(),
        Variant::JopsisAmd64 => "jopsis/acestream:x64".to_owned(),
        Variant::JopsisArm32 => format!("jopsis/acestream:{}", config.arm32_version),
        Variant::JopsisArm64 => format!("jopsis/acestream:{}", config.arm64_version),
    }
}

/// Value of `ACESTREAM_ARGS` for the `jopsis-amd64` image.
#[must_use]
pub fn acestream_args(http: u16, https: u16, p2p: Option<u16>) -> String {
    let args = format!("{} --http-port {http} --https-port {https}", JOPSIS_AMD64_ARGS.join(" "));
    p2p.map_or_else(|| args.clone(), |port| format!("{args} --port {port}"))
}

/// Command line for the ARM images.
#[must_use]
pub fn arm_command(http: u16, https: u16, p2p: Option<u16>) -> Vec<String> {
    let ports = ["--http-port".to_owned(), http.to_string(), "--https-port".to_owned(), https.to_string()];
    let p2p = p2p.into_iter().flat_map(|port| ["--port".to_owned(), port.to_string()]);
    JOPSIS_ARM_COMMAND.iter().map(|word| (*word).to_owned()).chain(ports).chain(p2p).collect()
}
