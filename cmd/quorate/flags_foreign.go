package main

// etcdFlags are the flags of etcd 3.7 that serve does not have. What they ask for would not be done,
// so they are refused instead of ignored.
func etcdFlags() *foreignFlags {
	return &foreignFlags{"etcd", []string{
		"config-file",

		// member
		"backend-batch-interval", "backend-batch-limit", "backend-bbolt-freelist-type", "grpc-keepalive-interval",
		"grpc-keepalive-min-time", "grpc-keepalive-timeout", "initial-election-tick-advance", "listen-client-http-urls",
		"max-concurrent-streams", "max-snapshots", "max-wals", "memory-mlock", "raft-read-timeout",
		"raft-write-timeout", "snapshot-catchup-entries", "snapshot-count", "socket-reuse-address", "socket-reuse-port", "wal-dir",

		// clustering
		"discovery", "discovery-cacert", "discovery-cert", "discovery-dial-timeout", "discovery-endpoints", "discovery-fallback",
		"discovery-insecure-skip-tls-verify", "discovery-insecure-transport", "discovery-keepalive-time",
		"discovery-keepalive-timeout", "discovery-key", "discovery-password", "discovery-proxy", "discovery-request-timeout",
		"discovery-srv", "discovery-srv-name", "discovery-token", "discovery-user", "max-learners", "pre-vote",
		"strict-reconfig-check", "v2-deprecation",

		// security and users
		"auth-token", "auth-token-ttl", "auto-tls", "bcrypt-cost", "cert-file", "cipher-suites", "client-cert-allowed-hostname",
		"client-cert-auth", "client-cert-file", "client-crl-file", "client-key-file", "cors", "host-whitelist", "key-file",
		"peer-auto-tls", "peer-cert-allowed-cn", "peer-cert-allowed-hostname", "peer-cert-file", "peer-client-cert-auth",
		"peer-client-cert-file", "peer-client-key-file", "peer-crl-file", "peer-key-file", "peer-skip-client-san-verification",
		"peer-trusted-ca-file", "self-signed-cert-validity", "tls-max-version", "tls-min-version", "trusted-ca-file",

		// watching over it
		"bootstrap-defrag-threshold-megabytes", "compact-hash-check-time",
		"compaction-batch-limit", "compaction-sleep-interval", "corrupt-check-time", "distributed-tracing-address",
		"distributed-tracing-instance-id", "distributed-tracing-sampling-rate", "distributed-tracing-service-name",
		"downgrade-check-time", "enable-distributed-tracing", "enable-grpc-gateway", "enable-log-rotation", "feature-gates",
		"force-new-cluster", "log-outputs", "log-rotation-config-json", "logger", "metrics", "unsafe-no-fsync",
		"warning-apply-duration", "warning-unary-request-duration",
	}}
}

// etcdctlFlags are the global flags of etcdctl 3.7 that the client commands do not have.
func etcdctlFlags() *foreignFlags {
	return &foreignFlags{"etcdctl", []string{
		"auth-jwt-token", "cacert", "cert", "debug", "discovery-srv", "discovery-srv-name", "insecure-discovery",
		"insecure-skip-tls-verify", "insecure-transport", "keepalive-time", "keepalive-timeout", "key",
		"max-request-bytes", "max-recv-bytes", "password", "stream", "user",
	}}
}
