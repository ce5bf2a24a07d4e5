//! The settings that this version acts on, in the order of the documents.

use acefleet_registry::settings::Name;

use super::setting::{Kind, Section, Setting};

/// Words of `ENGINE_VARIANT`.
pub const VARIANTS: &[&str] = &["krinkuto11-amd64", "jopsis-amd64", "jopsis-arm32", "jopsis-arm64"];
/// Words of `VPN_MODE`.
pub const VPN_MODES: &[&str] = &["single", "redundant"];
/// Words of `ACEFLEET_READS`.
pub const READS: &[&str] = &["open", "key"];
/// Words of `ACEFLEET_AUTH_ROLE`.
pub const USER_ROLES: &[&str] = &["viewer", "operator", "admin"];
/// Words of `ACEFLEET_TLS_PLAIN`.
pub const TLS_PLAIN: &[&str] = &["refuse", "serve"];
/// Words of `ACEFLEET_LOG_FORMAT`.
pub const LOG_FORMATS: &[&str] = &["text", "json"];

const DAY: f64 = 86_400.0;
/// A period of background work: as short as tests need, never a busy loop.
const PERIOD: Kind = Kind::Seconds { min: 0.1, max: DAY };
const FAILURES: Kind = Kind::Count { min: 1, max: 1_000 };
const MILLIS: Kind = Kind::Count { min: 10, max: 60_000 };
/// No host has more ports than this, so no more engines either.
const ENGINES: u64 = 65_535;

/// All of them, laid out by hand: one call per setting, its text on its own line.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "ACEFLEET_NODE_NAME", Section::Node, Kind::Name, "", "node-a",
        "Name of this node, unique in the cluster. The first start fixes it in the data directory: without the setting it stays the same, whatever the name of the host; another one is refused.",
    ).default_words("the name in the data directory, at the first start the host name"),
    Setting::new(
        "ACEFLEET_DATA_DIR", Section::Node, Kind::Directory, "", "/srv/acefleet",
        "Directory of this node alone: log, snapshots, identity. Created when missing.",
    ).default_words("`/var/lib/acefleet` for root, else `$XDG_DATA_HOME/acefleet` or `~/.local/share/acefleet`"),
    Setting::new(
        "APP_PORT", Section::Node, Kind::Port, "8000", "8000",
        "Port of the HTTP API on this node.",
    ),
    Setting::new(
        "ACEFLEET_HTTP_BIND", Section::Node, Kind::Address, "0.0.0.0", "127.0.0.1",
        "Address that the HTTP API listens on; the port is `APP_PORT`. `::` takes IPv6 and IPv4.",
    ),
    Setting::new(
        "ACEFLEET_ADVERTISE", Section::Node, Kind::Host, "", "10.0.0.11",
        "Name or address under which other nodes and proxies reach this host. Engines are listed with it. A name is resolved for every connection, so the host may change its address.",
    ).default_words("the host of this node in `ACEFLEET_PEERS`, else the host's main address, else `127.0.0.1`"),
    Setting::new(
        "ACEFLEET_RELAY", Section::Node, Kind::Flag, "true", "false",
        "Relay the ports of engines on other hosts, so that `localhost` and an engine's port reach it beside every node.",
    ),
    Setting::new(
        "ACEFLEET_RELAY_BIND", Section::Node, Kind::Addresses, "127.0.0.1,::1", "127.0.0.1,10.0.0.11",
        "Addresses on which the relay offers those ports. Everybody who reaches them can use the engines.",
    ),
    Setting::new(
        "ACEFLEET_RELAY_DRAIN_S", Section::Node, Kind::Seconds { min: 0.0, max: 3_600.0 }, "20", "30",
        "Longest time for which relayed connections may go on when this node stops; without any, a stop takes no longer. The supervisor has to wait longer than this. 0 = they are cut at once.",
    ),
    Setting::new(
        "ACEFLEET_CAPACITY", Section::Node, Kind::Count { min: 0, max: ENGINES }, "", "10",
        "Engines that this host may run, those that are being stopped included; new engines go to the host that is least loaded against it. 0 = none here. Containers of `POST /provision` do not count.",
    ).default_words("`MAX_REPLICAS`, or fewer ports of its VPN"),

    Setting::new(
        "ACEFLEET_CLUSTER_BIND", Section::Cluster, Kind::Listener, "0.0.0.0:8001", "10.0.0.11:8001",
        "Address and port of the listener for the other nodes. It answers those with the secret of the cluster alone.",
    ),
    Setting::new(
        "ACEFLEET_PEERS", Section::Cluster, Kind::Peers, "",
        "node-a=10.0.0.11:8001,node-b=10.0.0.12:8001,node-c=10.0.0.13:8001",
        "The first members of a new cluster, the same list on each of them. A node that already belongs to a cluster ignores it.",
    ).default_words("none: a single node"),
    Setting::new(
        "ACEFLEET_JOIN", Section::Cluster, Kind::Members, "", "10.0.0.11:8001,10.0.0.12:8001",
        "Members of a running cluster, any of which takes this node in; `acefleet join` does the same without a setting. Not beside `ACEFLEET_PEERS`. A node that already belongs to a cluster ignores it.",
    ).default_words("none: the node does not join"),
    Setting::new(
        "ACEFLEET_CLUSTER_SECRET", Section::Cluster, Kind::Key, "", "",
        "What the nodes of a cluster prove to each other that they have, the same on all of them: without it nobody is answered on the cluster port. At least 32 bytes: `openssl rand -hex 32` makes a good one. A single node without it makes its own, which `acefleet secret` shows.",
    ).default_words("a single node makes its own").secret(),
    Setting::new(
        "ACEFLEET_JOIN_TOKEN", Section::Cluster, Kind::Key, "", "",
        "What `acefleet token create` on a member prints: with it a node that joins by `ACEFLEET_JOIN` or `acefleet join` gets the secret from the members, and keeps it. A node that has a secret ignores it, and the file may be deleted then.",
    ).default_words("none").secret().passing(),
    Setting::new(
        "ACEFLEET_CLUSTER_SECRET_BEFORE", Section::Cluster, Kind::Key, "", "",
        "The secret that nodes had before. Only while the nodes of a running cluster get a new `ACEFLEET_CLUSTER_SECRET` one by one: those that still have the one before are answered, and called, too.",
    ).default_words("none").secret(),
    Setting::new(
        "ACEFLEET_CLUSTER_PLAIN", Section::Cluster, Kind::Flag, "false", "true",
        "Nodes without the secret are answered, and called, too, without encryption. Only while the nodes of a cluster of an earlier version get their secret one by one.",
    ),
    Setting::new(
        "ACEFLEET_HEARTBEAT_MS", Section::Cluster, MILLIS, "100", "100",
        "Milliseconds between two heartbeats of the leader. The same on all nodes, below `ACEFLEET_ELECTION_MIN_MS`.",
    ),
    Setting::new(
        "ACEFLEET_ELECTION_MIN_MS", Section::Cluster, MILLIS, "200", "500",
        "Shortest time without a heartbeat, in milliseconds, after which a node stands for election.",
    ),
    Setting::new(
        "ACEFLEET_ELECTION_MAX_MS", Section::Cluster, MILLIS, "400", "1000",
        "Longest such time and length of the leader's lease. At least ten times a slow disk sync plus a round trip.",
    ),
    Setting::shared(
        Name::DownAfter, Section::Cluster, "60", "120",
        "A node that has answered no member for this long is down: its engines are not listed and are replaced elsewhere, their streams end. Its containers are left alone, and those that answer when it is back are listed again. Below 6 a silence of a few seconds ends streams.",
    ),
    Setting::new(
        "ACEFLEET_OUTBOX_MAX", Section::Cluster, Kind::Count { min: 1, max: 10_000_000 }, "100000", "10000",
        "Events and batches of events that this node queues on its disk while the cluster has no leader, at the most; further ones are refused with 503. An event takes about a kilobyte, a batch up to a megabyte.",
    ),

    Setting::new(
        "API_KEY", Section::Api, Kind::Key, "", "",
        "Key that callers send as `Authorization: Bearer …` or `X-API-Key`. The same on all nodes. Without one, a new cluster makes its own, which `acefleet key` shows; `openssl rand -hex 24` makes one, too.",
    ).default_words("the key of the cluster").secret(),
    Setting::new(
        "ACEFLEET_OPEN", Section::Api, Kind::Flag, "false", "true",
        "Nobody needs a key. A new cluster with it is open on all nodes. The same on all nodes, without `API_KEY`.",
    ),
    Setting::new(
        "ACEFLEET_READS", Section::Api, Kind::OneOf(READS), "open", "key",
        "Who may read: everybody (`open`), or callers with a key alone (`key`). Probes, `/orchestrator/status`, which Acexy polls without a key, and the files of the panel stay open. The same on all nodes.",
    ),
    Setting::new(
        "ACEFLEET_ALLOWED_HOSTS", Section::Api, Kind::Hosts, "", "acefleet.example.org,panel.example.org",
        "Further names by which an open node may be called, and hosts whose pages may call it. Addresses, names without dots and advertised names are always good.",
    ).default_words("none"),

    Setting::new(
        "ACEFLEET_TRUSTED_PROXIES", Section::Api, Kind::Networks, "", "172.18.0.0/16",
        "Reverse proxies and load balancers through which many clients come: their connections to the API may be idle in any number. \
         Of other addresses, those that have had no request for longest are closed when there are more than 1,024. They are believed about the \
         addresses of callers, which events name (X-Forwarded-For).",
    ).default_words("none"),

    Setting::new(
        "ACEFLEET_AUTH_HEADER", Section::Api, Kind::Header, "", "Remote-User",
        "Header in which `ACEFLEET_TRUSTED_PROXIES`, and nobody else, name the user whom they have signed in. Such users need no key.",
    ).default_words("none: proxies sign nobody in"),
    Setting::new(
        "ACEFLEET_AUTH_ROLE", Section::Api, Kind::OneOf(USER_ROLES), "viewer", "operator",
        "What users may do whom a proxy has signed in.",
    ),

    Setting::new(
        "ACEFLEET_RATE_FACTOR", Section::Api, Kind::Count { min: 0, max: 1_000 }, "1", "10",
        "Limits of callers to this node, times this: of wrong keys, of changes and of starts. 0 = none. They are far above what programs need.",
    ),

    Setting::new(
        "ACEFLEET_FORESEE", Section::Api, Kind::Flag, "true", "false",
        "While a client of this node chooses an engine as Acexy does, others are led to other engines, for 20 s at most. With `false` many players that start in the same second land on one engine.",
    ),

    Setting::new(
        "ACEFLEET_TLS_CERT", Section::Api, Kind::File, "", "/etc/acefleet/tls/fullchain.pem",
        "PEM file with the certificate of this node and those of its intermediate authorities, in this order. With it and `ACEFLEET_TLS_KEY` the \
         API speaks HTTPS. Both files are read again when they change.",
    ).default_words("none: plain HTTP"),
    Setting::new(
        "ACEFLEET_TLS_KEY", Section::Api, Kind::File, "", "/etc/acefleet/tls/privkey.pem",
        "PEM file with the private key of that certificate, without a passphrase, readable for the user of the node.",
    ).default_words("none"),
    Setting::new(
        "ACEFLEET_TLS_PLAIN", Section::Api, Kind::OneOf(TLS_PLAIN), "refuse", "serve",
        "What other hosts get that call without TLS a node that has it: the advice to use `https://` (`refuse`), or an answer as ever (`serve`), \
         while clients move one by one. Calls from the node's own host are always answered.",
    ),

    Setting::new(
        "DOCKER_HOST", Section::Engines, Kind::Docker, "", "unix:///run/user/1000/docker.sock",
        "Docker daemon of this host. `https://`, or `tcp://` with `DOCKER_TLS_VERIFY`, is encrypted and verified.",
    ).default_words("`unix:///var/run/docker.sock`"),
    Setting::new(
        "DOCKER_TLS_VERIFY", Section::Engines, Kind::Flag, "false", "true",
        "Talk TLS to a `tcp://` daemon, and verify it. Other words than those of the Docker client are refused: here `0` and `false` mean no.",
    ),
    Setting::new(
        "DOCKER_CERT_PATH", Section::Engines, Kind::Directory, "", "/etc/acefleet/docker-certs",
        "Directory with `ca.pem`, by which the daemon is verified, and, if it verifies its clients, `cert.pem` and `key.pem`.",
    ).default_words("`.docker` in the home directory, where TLS is used"),
    Setting::new(
        "DOCKER_NETWORK", Section::Engines, Kind::Network, "", "orchestrator",
        "Docker network that engines join. It must exist.",
    ).default_words("Docker's default network"),
    Setting::new(
        "ENGINE_VARIANT", Section::Engines, Kind::OneOf(VARIANTS), "krinkuto11-amd64", "jopsis-arm64",
        "Engine image, and how it gets its ports.",
    ),
    Setting::new(
        "TARGET_IMAGE", Section::Engines, Kind::Image, "", "ghcr.io/krinkuto11/acestream-http-proxy:latest",
        "Exactly this image for every engine, with the environment of `acestream-http-proxy`; `ENGINE_VARIANT` has no effect then.",
    ).default_words("the image of `ENGINE_VARIANT`"),
    Setting::new(
        "ENGINE_ARM32_VERSION", Section::Engines, Kind::Tag, "arm32-v3.2.13", "arm32-v3.2.14",
        "Tag of the image of variant `jopsis-arm32`.",
    ),
    Setting::new(
        "ENGINE_ARM64_VERSION", Section::Engines, Kind::Tag, "arm64-v3.2.13", "arm64-v3.2.14",
        "Tag of the image of variant `jopsis-arm64`.",
    ),
    Setting::new(
        "ACEFLEET_ALLOWED_IMAGES", Section::Engines, Kind::Images,
        "ghcr.io/krinkuto11/acestream-http-proxy:*,jopsis/acestream:*",
        "jopsis/acestream:x64,registry.example.org/team/*:*",
        "Images that callers may have started on this host, beside the configured one. Each host goes by its own list. A name without a tag \
         means `latest` alone; a digest is allowed by the same digest, or by the tag `*`. Names without a registry are those of Docker Hub.",
    ),
    Setting::new(
        "ACEFLEET_ALLOWED_LABELS", Section::Engines, Kind::Labels, "stream_id", "stream_id,team,app.*",
        "Labels that callers may give containers on this host, by their keys. Other programs act on labels: allow those of a proxy or a \
         scheduler, such as `traefik.*`, only where callers may steer it. Variables that begin with `VIRTUAL_`, `LETSENCRYPT_` or \
         `SERVICE_` count as labels here. `*` allows all but those of the cluster.",
    ),
    Setting::new(
        "ACEFLEET_ENGINE_HARDENED", Section::Engines, Kind::Flag, "true", "false",
        "Engines can gain no privileges (`no-new-privileges`) and keep only `ACEFLEET_ENGINE_CAPABILITIES`. Turn it off for an image that does not \
         start so.",
    ),
    Setting::new(
        "ACEFLEET_ENGINE_CAPABILITIES", Section::Engines, Kind::Capabilities, "", "CHOWN,DAC_OVERRIDE,SETGID,SETUID",
        "Capabilities that engines of this host keep.",
    ).default_words("`DAC_OVERRIDE` for the images of the variants, for others also `CHOWN`, `FOWNER`, `KILL`, `SETGID` and `SETUID`"),
    Setting::new(
        "ACEFLEET_ENGINE_PIDS", Section::Engines, Kind::Count { min: 0, max: 4_194_304 }, "2048", "4096",
        "Processes and threads that one engine may have; 0 = unlimited.",
    ),
    Setting::new(
        "ENGINE_MEMORY_LIMIT", Section::Engines, Kind::Memory, "2g", "768m",
        "Memory that one engine may use. The orchestrator had no limit here, and one engine could take all of its host.",
    ),
    Setting::shared(
        Name::ContainerLabel, Section::Engines, "ondemand.app=myservice", "orchestrator.managed=acestream",
        "Label that marks managed containers. Containers without it are never touched.",
    ),
    Setting::shared(
        Name::HostPorts, Section::Engines, "19000-19999", "19000-19999",
        "Ports of engines on their hosts. Each is used once in the whole cluster, so all hosts need the same range free. Engines of a host that is away keep theirs: have more than `MAX_REPLICAS`.",
    ),
    Setting::shared(
        Name::HttpsPorts, Section::Engines, "45000-49999", "45000-49999",
        "HTTPS ports of engines inside their containers.",
    ),
    Setting::shared(
        Name::MapHttps, Section::Engines, "false", "true",
        "Publish the HTTPS port of each engine too, on a second port of `PORT_RANGE_HOST`.",
    ),
    Setting::shared(
        Name::StartupTimeout, Section::Engines, "25", "25",
        "How long a new engine may take until its container runs.",
    ),
    Setting::new(
        "MAX_CONCURRENT_PROVISIONS", Section::Engines, Kind::Count { min: 1, max: 1_000 }, "5", "5",
        "Containers that this host creates at the same time; further ones wait.",
    ),
    Setting::new(
        "MIN_PROVISION_INTERVAL_S", Section::Engines, Kind::Seconds { min: 0.0, max: 60.0 }, "0", "0.5",
        "Time between two creations on this host. The documents of the orchestrator named 0.5, which its code never applied; \
         the default here is 0, because proxies give up after 3 s and a burst of calls has to be answered before.",
    ),

    Setting::new(
        "GLUETUN_CONTAINER_NAME", Section::Vpn, Kind::Container, "", "gluetun",
        "Name of the Gluetun container on this host in whose network all engines of this host run.",
    ).default_words("none: engines use the host's own network"),
    Setting::new(
        "VPN_MODE", Section::Vpn, Kind::OneOf(VPN_MODES), "single", "redundant",
        "One VPN container on this host, or two that share its engines.",
    ),
    Setting::new(
        "GLUETUN_CONTAINER_NAME_2", Section::Vpn, Kind::Container, "", "gluetun-2",
        "Name of the second container in redundant mode.",
    ),
    Setting::new(
        "GLUETUN_PORT_RANGE_1", Section::Vpn, Kind::Ports, "", "19000-19019",
        "Ports that the first container publishes for engines, the same inside and outside. Each port is used once in the \
         whole cluster: give each host a range of its own.",
    ).default_words("as many as `MAX_ACTIVE_REPLICAS` from 19000 on"),
    Setting::new(
        "GLUETUN_PORT_RANGE_2", Section::Vpn, Kind::Ports, "", "19020-19039",
        "The same for the second container.",
    ),
    Setting::new(
        "MAX_ACTIVE_REPLICAS", Section::Vpn, Kind::Count { min: 1, max: 10_000 }, "20", "20",
        "Engines behind the VPN of this host, without `GLUETUN_PORT_RANGE_1`.",
    ),
    Setting::new(
        "GLUETUN_API_PORT", Section::Vpn, Kind::Port, "8000", "8001",
        "Port of Gluetun's control server.",
    ),
    Setting::new(
        "GLUETUN_API_KEY", Section::Vpn, Kind::Key, "", "",
        "Key for Gluetun's control server, sent as `X-API-Key`.",
    ).default_words("none").secret(),
    Setting::new(
        "GLUETUN_API_USERNAME", Section::Vpn, Kind::Key, "", "",
        "User for Gluetun's control server, when its role wants basic authentication.",
    ).default_words("none"),
    Setting::new(
        "GLUETUN_API_PASSWORD", Section::Vpn, Kind::Key, "", "",
        "Password of that user.",
    ).default_words("none").secret(),
    Setting::new(
        "GLUETUN_HEALTH_CHECK_INTERVAL_S", Section::Vpn, PERIOD, "1", "5",
        "How often the VPN container is inspected. The orchestrator had 5 here, in which time players are sent to engines without a \
         network.",
    ),
    Setting::new(
        "GLUETUN_PORT_CACHE_TTL_S", Section::Vpn, PERIOD, "3", "60",
        "How often its control server is asked for the forwarded port. The orchestrator had 60 here, in which time a changed \
         port leaves an engine without incoming peers. The public address is asked for once a minute at most.",
    ),
    Setting::new(
        "VPN_RESTART_ENGINES_ON_RECONNECT", Section::Vpn, Kind::Flag, "true", "false",
        "Whether engines are replaced when their VPN is connected again after an outage of 12 s or more: one at a time, idle ones \
         first, others when their streams have ended.",
    ),
    Setting::new(
        "VPN_UNHEALTHY_RESTART_TIMEOUT_S", Section::Vpn, Kind::Seconds { min: 0.0, max: DAY }, "60", "60",
        "How long a running VPN container may be unhealthy before it is restarted. Each further restart waits twice as long, until the \
         tunnel has held for ten minutes. 0 = never.",
    ),

    Setting::shared(
        Name::MinReplicas, Section::Scaling, "0", "3",
        "Engines that exist at all times in the whole cluster.",
    ),
    Setting::shared(
        Name::MinFreeReplicas, Section::Scaling, "0", "1",
        "Engines without a stream that are ready in the whole cluster. 1 makes the next viewer's start fast; newer orchestrators have 1 here.",
    ),
    Setting::shared(
        Name::SpareForHost, Section::Scaling, "false", "true",
        "Keep as many engines free on other hosts as any one host has streams, so that its viewers find others when it is lost. Counts where it \
         is more than `MIN_FREE_REPLICAS`; `MAX_REPLICAS` still holds.",
    ),
    Setting::shared(
        Name::MaxReplicas, Section::Scaling, "20", "20",
        "Ceiling of engines in the whole cluster, whoever asks. Containers of `POST /provision` do not count, nor engines of hosts that are down or drain, nor those that are lost with an unavailable host. Above it idle engines leave.",
    ),
    Setting::shared(
        Name::AutoDelete, Section::Scaling, "false", "true",
        "Remove engines that have been idle for `ENGINE_GRACE_PERIOD_S`, down to the floors above.",
    ),
    Setting::shared(
        Name::Grace, Section::Scaling, "30", "30",
        "How long an engine must be idle before `AUTO_DELETE` takes it off the list, 0 for at once; it stops 35 s later.",
    ),
    Setting::shared(
        Name::IdleTtl, Section::Scaling, "600", "600",
        "How long an engine must be idle for a call of `/gc` to remove it.",
    ),

    Setting::new(
        "HEALTH_CHECK_INTERVAL_S", Section::Health, PERIOD, "2", "5",
        "How often a healthy engine is probed. One that starts or whose last probe failed is probed more often. The orchestrator \
         had 20 here, in which time players are sent to an engine that hangs.",
    ),
    Setting::new(
        "HEALTH_FAILURE_THRESHOLD", Section::Health, FAILURES, "2", "3",
        "Failed probes in a row that make an engine unhealthy: it is unlisted and replaced. The orchestrator had 3 here, with probes 20 s apart.",
    ),
    Setting::new(
        "HEALTH_UNHEALTHY_GRACE_PERIOD_S", Section::Health, Kind::Seconds { min: 1.0, max: 3_600.0 }, "30", "90",
        "How long an engine that has never answered may take to start. After that its start has failed, and another is tried. One \
         that has answered is unhealthy within seconds. The orchestrator had 60 here, for both.",
    ),
    Setting::new(
        "COLLECT_INTERVAL_S", Section::Health, PERIOD, "5", "2",
        "How often the figures of each stream are read from its engine.",
    ),
    Setting::new(
        "STATS_HISTORY_MAX", Section::Health, Kind::Count { min: 1, max: 100_000 }, "720", "720",
        "Samples of each stream, in memory. Together they take 32 MiB at the most; beyond it the longest series lose their oldest samples.",
    ),
    Setting::new(
        "MONITOR_INTERVAL_S", Section::Health, PERIOD, "10", "10",
        "How often all containers are listed, beside Docker's events.",
    ),
    Setting::shared(
        Name::GeneralThreshold, Section::Health, "5", "5",
        "Failed creations in a row that stop further ones.",
    ),
    Setting::shared(
        Name::GeneralRecovery, Section::Health, "300", "300",
        "How long after the last failure until one creation is tried again.",
    ),
    Setting::shared(
        Name::ReplacementThreshold, Section::Health, "3", "3",
        "The same for replacements of engines that failed, or lost their VPN: failures in a row.",
    ),
    Setting::shared(
        Name::ReplacementRecovery, Section::Health, "180", "180",
        "The same for replacements of engines that failed, or lost their VPN: time until the next try.",
    ),

    Setting::new(
        "ACEFLEET_BACKUP_TO", Section::Backups, Kind::BackupPlace, "", "/var/backups/acefleet",
        "Where this node keeps backups that it makes by itself. A folder has to be there. A bucket is called with what the environment of the process says in \
         `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and so on. Nodes may share a place. They are what `acefleet backup` saves, in a folder readable \
         for the user of the node alone.",
    ).default_words("none: it makes none"),
    Setting::new(
        "ACEFLEET_BACKUP_EVERY", Section::Backups, Kind::Span { min: 1, max: 7 * 86_400 }, "5m", "1h",
        "How often it looks whether the state has changed since the last one. Only then it makes another.",
    ),
    Setting::new(
        "ACEFLEET_BACKUP_KEEP", Section::Backups, Kind::Count { min: 1, max: 100_000 }, "48", "100",
        "Backups of this node in this cluster that are kept; older ones are deleted, and nothing else is.",
    ),
    Setting::new(
        "ACEFLEET_BACKUP_KEEP_FOR", Section::Backups, Kind::Span { min: 60, max: 3_650 * 86_400 }, "14d", "30d",
        "How long they are kept. The newest one always stays.",
    ),

    Setting::new(
        "ACEFLEET_LOG", Section::Logs, Kind::Filter, "info", "info,acefleet=debug",
        "What is logged, to standard error. Of the Raft library, errors alone, unless it is named: `openraft=info`.",
    ),
    Setting::new(
        "ACEFLEET_LOG_FORMAT", Section::Logs, Kind::OneOf(LOG_FORMATS), "text", "json",
        "Lines for people, or one JSON object a line.",
    ),
    Setting::new(
        "DEBUG_MODE", Section::Logs, Kind::Flag, "false", "true",
        "Only reported by the API, for clients that ask; `ACEFLEET_LOG` sets what is logged.",
    ),
];
