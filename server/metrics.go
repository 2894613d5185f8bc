package server

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/etcdapi"
)

// serveMetrics returns the page of metrics. They are gathered when somebody asks, from what is known
// anyway: no request pays for them.
func (s *Server) serveMetrics() http.HandlerFunc {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{server: s},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP
}

// collector tells Prometheus about a server, under etcd's names where the meaning is etcd's.
//
// Of those that etcd's dashboards use, these are missing, because nothing here measures what they say:
// etcd_disk_wal_fsync_duration_seconds, etcd_disk_backend_commit_duration_seconds and
// etcd_network_peer_round_trip_time_seconds (as a histogram; quorate_peer_round_trip_seconds is the
// smoothed time).
type collector struct{ server *Server }

// describe makes the description of a metric.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe says nothing, which makes the collector an unchecked one: what it collects is written in one
// place only, Collect.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(value float64, name, help string, labels ...string) {
		collect(to, prometheus.GaugeValue, value, name, help, labels)
	}
	counter := func(value float64, name, help string, labels ...string) {
		collect(to, prometheus.CounterValue, value, name, help, labels)
	}
	c.collectRaft(gauge, counter)
	c.collectPace(gauge, counter)
	c.collectDisk(gauge, counter)
	c.collectStore(gauge, counter)
	c.collectPeers(gauge, counter)
	c.collectCalls(counter)
	c.collectHealth(gauge)
}

// emit emits one value; labels are names and values in turn.
type emit = func(value float64, name, help string, labels ...string)

func collect(to chan<- prometheus.Metric, kind prometheus.ValueType, value float64, name, help string, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	to <- prometheus.MustNewConstMetric(describe(name, help, names...), kind, value, values...)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *collector) collectRaft(gauge, counter emit) {
	s := c.server
	now, calls := s.forClients.Status(), s.api.Stats()
	r := &now.Raft
	gauge(oneIf(r.Leader != 0), "etcd_server_has_leader", "Whether a leader is known: 1, or 0.")
	gauge(oneIf(r.Leader == r.ID), "etcd_server_is_leader", "Whether this server leads: 1, or 0.")
	gauge(float64(r.CommitIndex), "etcd_server_proposals_committed_total", "The commit index.")
	gauge(float64(r.LastApplied), "etcd_server_proposals_applied_total", "The index applied last.")
	gauge(float64(now.PendingCommands), "etcd_server_proposals_pending", "Writes that wait on this server.")
	counter(float64(s.forClients.seen.Load()), "etcd_server_leader_changes_seen_total", "Leaders seen since the start, one for each term.")
	counter(float64(calls.FailedWrites), "etcd_server_proposals_failed_total", "Writes that were refused, or not done in time.")
	counter(float64(calls.FailedReads), "etcd_server_read_indexes_failed_total", "Linearizable reads that were refused, or not done in time.")
	counter(float64(s.machine.slowApplies.Load()), "etcd_server_slow_apply_total", "Batches that took more than 100 ms to apply.")
	gauge(1, "etcd_server_id", "This server's id, as a label.", "server_id", fmt.Sprintf("%x", s.host.ID()))
	gauge(1, "etcd_server_version", "The version of etcd that is spoken, as a label.", "server_version", etcdapi.EtcdVersion)
	gauge(1, "etcd_server_go_version", "The version of Go, as a label.", "server_go_version", runtime.Version())
	gauge(1, "quorate_version", "This program's version, as a label.", "version", Version)
	counter(float64(s.host.LogSyncs()), "quorate_log_syncs_total", "How often writes to the log were made durable: one sync serves all that waited meanwhile.")
	gauge(float64(now.PendingReads), "quorate_reads_pending", "Linearizable reads that wait on this server.")
	const confirmed = "Linearizable reads that this server, as the leader, has confirmed, those of one moment as one: by a round of messages, or by its lease."
	counter(float64(now.Reads.ByRound), "quorate_reads_confirmed_total", confirmed, "by", "round")
	counter(float64(now.Reads.ByLease), "quorate_reads_confirmed_total", confirmed, "by", "lease")
	gauge(float64(r.Base.Index+1), "quorate_log_first_index", "The first entry that the log still has.")
	counter(float64(now.Snapshots.Installed), "quorate_snapshots_installed_total", "States of other servers that this one has taken over, as the log could not bring it up to date.")
	counter(float64(now.Snapshots.ReceivedBytes), "quorate_snapshot_received_bytes_total", "What has come of them.")
	counter(float64(now.Snapshots.SentBytes), "quorate_snapshot_sent_bytes_total", "What was sent of this server's state to others.")
	gauge(oneIf(now.Snapshots.Needed), "quorate_snapshot_needed", "Whether this server lacks what only another's state can give it: 1, or 0.")
	gauge(oneIf(now.Snapshots.Missing), "quorate_state_missing", "Whether this server has lost its state, and answers nothing until it has another's: 1, or 0.")
	counter(float64(s.scrubbedBytes.Load()), "quorate_scrub_bytes_total", "What was read of the state to find what has rotted.")
	counter(float64(now.Sums.Compared), "quorate_sums_compared_total", "Sums over the states of others that were compared with those of this server.")
	counter(float64(now.Sums.Different), "quorate_sums_different_total", "Those of them that differed.")
	gauge(float64(r.CurrentTerm), "quorate_term", "The current term.")
}

func (c *collector) collectStore(gauge, counter emit) {
	s := c.server
	total, inUse := s.disk.bytes()
	gauge(float64(total), "etcd_mvcc_db_total_size_in_bytes", "What the state takes up on the disk.")
	gauge(float64(inUse), "etcd_mvcc_db_total_size_in_use_in_bytes", "The same: an LSM tree does not know what of it is garbage.")
	gauge(float64(s.options.QuotaBackendBytes), "etcd_server_quota_backend_bytes", "Up to which size the state may grow; 0: there is no quota.")
	gauge(float64(s.store.Revision()), "etcd_debugging_mvcc_current_revision", "The revision of the last change.")
	gauge(float64(s.store.CompactRevision()), "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction; -1 before the first.")
	gauge(float64(s.store.LeaseCount()), "quorate_leases", "Leases that live.")
	counter(float64(s.leasesEnded.Load()), "etcd_debugging_server_lease_expired_total", "Leases that this server, as the leader, has ended because they were due.")
	gauge(float64(s.store.SessionCount()), "quorate_sessions", "Sessions of clients that live.")
	gauge(float64(s.store.SessionBytes()), "quorate_session_answers_bytes", "What is kept of answers that clients have not acknowledged.")
	counter(float64(s.sessionsEnded.Load()), "quorate_sessions_expired_total", "Sessions that this server, as the leader, has ended because they were due.")
	watch := s.api.Stats().Watch
	gauge(float64(watch.Streams), "etcd_debugging_mvcc_watch_stream_total", "Streams of those who watch.")
	gauge(float64(watch.Watchers), "etcd_debugging_mvcc_watcher_total", "Watchers.")
	gauge(float64(watch.Lagging), "etcd_debugging_mvcc_slow_watcher_total", "Watchers that are not up to date.")
	gauge(float64(watch.Pending), "etcd_debugging_mvcc_pending_events_total", "Events that wait to be sent.")
	gauge(float64(s.machine.DurableIndex()), "quorate_durable_index", "The index up to which the state survives a crash without the log.")
}

func (c *collector) collectPeers(gauge, counter emit) {
	local := fmt.Sprintf("%x", c.server.host.ID())
	for _, p := range c.server.host.Peers() {
		peer := fmt.Sprintf("%x", p.ID)
		counter(float64(p.BytesSent), "etcd_network_peer_sent_bytes_total", "Bytes sent to a server.", "To", peer)
		counter(float64(p.BytesReceived), "etcd_network_peer_received_bytes_total", "Bytes received from a server.", "From", peer)
		counter(float64(p.Dropped), "etcd_network_peer_sent_failures_total", "Messages to a server that were dropped.", "To", peer)
		gauge(oneIf(!p.ConnectedSince.IsZero()), "etcd_network_active_peers", "Whether the link to a server is up: 1, or 0.",
			"Local", local, "Remote", peer)
		gauge(p.RoundTrip.Seconds(), "quorate_peer_round_trip_seconds", "A smoothed time to a server and back; 0 before the first.", "To", peer)
	}
}

// collectHealth tells what GET /quorate/status does, in numbers. Findings are counted by their codes:
// those that there are not have no series.
func (c *collector) collectHealth(gauge emit) {
	r := c.server.Report()
	gauge(oneIf(r.Progress), "quorate_progress_possible", "Whether requests can be carried out, as far as this server knows: 1, or 0.")
	for _, q := range r.Quorum {
		of := q.Of
		if of == "" {
			of = "only"
		}
		gauge(float64(q.Reached), "quorate_voters_reached", "Voters that are linked in both directions, this one included; by half of the configuration.", "configuration", of)
		gauge(float64(q.Needed), "quorate_voters_needed", "How many of them make a majority.", "configuration", of)
		gauge(float64(q.Voters), "quorate_voters", "How many there are.", "configuration", of)
	}
	for _, p := range r.Peers {
		gauge(oneIf(p.Reached), "quorate_peer_reached", "Whether a server is linked in both directions, and has answered lately if this one leads: 1, or 0.",
			"To", p.Server, "name", strings.ToValidUTF8(p.Name, "?"))
	}
	found := map[doctor.Code]int{}
	for _, f := range r.Findings {
		found[f.Code]++
	}
	for code, count := range found { //tidy:ordered Prometheus sorts
		gauge(float64(count), "quorate_findings", "What is wrong, as quorate doctor says it, by code.", "code", string(code))
	}
}

func (c *collector) collectCalls(counter emit) {
	calls := c.server.api.Stats()
	counter(float64(calls.ReceivedBytes), "etcd_network_client_grpc_received_bytes_total", "Bytes of requests.")
	counter(float64(calls.SentBytes), "etcd_network_client_grpc_sent_bytes_total", "Bytes of responses.")
	for _, m := range calls.Methods {
		labels := []string{"grpc_type", m.Type, "grpc_service", m.Service, "grpc_method", m.Method}
		counter(float64(m.Started), "grpc_server_started_total", "Calls that were begun.", labels...)
		for code, n := range m.Handled {
			if n > 0 || codes.Code(code) == codes.OK {
				counter(float64(n), "grpc_server_handled_total", "Calls that have ended.",
					append(labels[:len(labels):len(labels)], "grpc_code", codes.Code(code).String())...)
			}
		}
	}
}
