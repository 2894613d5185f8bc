package server

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/transport"
)

func TestDefaultsAreEtcds(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Fatalf("the zero value: %v", err)
	}
	o := Options{Name: "a", ListenPeerURLs: []string{"http://127.0.0.1:7"}}.withDefaults()
	if o.DataDir != "a.quorate" || o.InitialAdvertisePeerURLs[0] != "http://127.0.0.1:7" ||
		o.ListenClientURLs[0] != "http://localhost:2379" || o.AdvertiseClientURLs[0] != "http://localhost:2379" ||
		!o.isTuned() ||
		o.MaxRequestBytes != 1572864 || o.MaxTxnOps != 128 || o.InitialClusterState != "new" {
		t.Errorf("%+v", o)
	}
	if got := o.requestTimeout(); got != 7*time.Second {
		t.Errorf("requests wait for %v, want 7s", got)
	}
	for _, test := range []struct{ heartbeat, election, wantHeartbeat, wantElection time.Duration }{
		{50 * time.Millisecond, 0, 50 * time.Millisecond, time.Second},
		{0, 2 * time.Second, 100 * time.Millisecond, 2 * time.Second},
	} {
		o := Options{HeartbeatInterval: test.heartbeat, ElectionTimeout: test.election}.withDefaults()
		if o.isTuned() || o.HeartbeatInterval != test.wantHeartbeat || o.ElectionTimeout != test.wantElection {
			t.Errorf("%+v becomes %v and %v", test, o.HeartbeatInterval, o.ElectionTimeout)
		}
	}
}

func TestWhatIsWrongWithOptionsIsSaid(t *testing.T) {
	const cluster = "n0=http://127.0.0.1:2380,n1=http://127.0.0.1:3380"
	good := Options{Name: "n0", ListenPeerURLs: []string{"http://127.0.0.1:2380"}, InitialCluster: cluster}
	for _, c := range []struct {
		change func(*Options)
		want   string // "" if nothing is wrong
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.Name = "n2" }, `--name "n2" is not in --initial-cluster`},
		{func(o *Options) { o.Name = "a=b" }, `--name "a=b": it must be shorter`},
		{func(o *Options) { o.InitialAdvertisePeerURLs = []string{"http://127.0.0.1:4380"} },
			`--initial-advertise-peer-urls http://127.0.0.1:4380: --initial-cluster has http://127.0.0.1:2380 for "n0"; they must be the same`},
		{func(o *Options) { o.InitialAdvertisePeerURLs = []string{"http://127.0.0.1:2380/"} }, ""},
		{func(o *Options) { o.InitialCluster = cluster + ",n0=http://10.0.0.1:2380" }, "they must be the same"},
		{func(o *Options) {
			o.InitialCluster = cluster + ",n0=http://10.0.0.1:2380"
			o.InitialAdvertisePeerURLs = []string{"http://10.0.0.1:2380", "http://127.0.0.1:2380"}
		}, ""},
		{func(o *Options) { o.InitialCluster = "n0" }, `--initial-cluster: "n0" is not as name=http`},
		{func(o *Options) { o.InitialCluster = cluster + ",n2=http://127.0.0.1:3380" },
			`--initial-cluster: 127.0.0.1:3380 is given for "n1" and for "n2"`},
		{func(o *Options) { o.InitialCluster = cluster + ",n2=127.0.0.1:5" }, `--initial-cluster: server "n2": `},
		{func(o *Options) { o.Join = []string{"127.0.0.1:2381"} }, "--join and --initial-cluster: give one of them"},
		{func(o *Options) { o.Join, o.InitialCluster = []string{"127.0.0.1"}, "" }, `--join: "http://127.0.0.1" must have a host and a port`},
		{func(o *Options) { o.Join, o.InitialCluster = []string{"10.0.0.1:2380"}, "" }, "--join 10.0.0.1:2380: that server cannot reach this one"},
		{func(o *Options) { o.InitialClusterState = "old" }, `--initial-cluster-state "old": it must be "new" or "existing"`},
		{func(o *Options) { o.PeerKeys = map[string]transport.PublicKey{"n1": {1}} }, ""},
		{func(o *Options) { o.PeerKeys = map[string]transport.PublicKey{"n7": {1}} }, `peer key of "n7": --initial-cluster has no server of that name`},
		{func(o *Options) {
			o.InitialCluster, o.PeerKeys = "", map[string]transport.PublicKey{"n7": {1}}
		}, `peer key of "n7": --initial-cluster has no server of that name`},

		{func(o *Options) { o.ListenClientURLs = []string{"https://127.0.0.1:2379"} }, "--listen-client-urls: https://127.0.0.1:2379: TLS is not supported here yet"},
		{func(o *Options) { o.ListenClientURLs = []string{"127.0.0.1:2379"} }, "--listen-client-urls: "},
		{func(o *Options) { o.ListenClientURLs = []string{"unix:///tmp/s"} }, "must begin with http://"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1"} }, "must have a host and a port"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://:2379"} }, "must have a host and a port"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1:99999"} }, "no port that there can be"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1:1/path"} }, "nothing but a host and a port"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1:0", "http://127.0.0.1:0"} }, ""},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1:7", "http://127.0.0.1:7"} },
			"--listen-client-urls: http://127.0.0.1:7 is given by --listen-client-urls already"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://127.0.0.1:2380"} },
			"--listen-peer-urls: http://127.0.0.1:2380 is given by --listen-client-urls already"},
		{func(o *Options) { o.ListenMetricsURLs = []string{"http://localhost:2379"} },
			"--listen-metrics-urls: http://localhost:2379 is given by --listen-client-urls already"},
		{func(o *Options) { o.ListenClientURLs = []string{"http://0.0.0.0:2379"} }, "--advertise-client-urls: nobody can connect to http://0.0.0.0:2379"},
		{func(o *Options) {
			o.ListenClientURLs, o.AdvertiseClientURLs = []string{"http://[::]:2379"}, []string{"https://example.org:2379"}
		}, ""},
		{func(o *Options) { o.AdvertiseClientURLs = []string{"http://127.0.0.1:0"} }, "--advertise-client-urls: port 0"},
		{func(o *Options) { o.ListenPeerURLs = append(o.ListenPeerURLs, "http://127.0.0.1:2381") }, "--listen-peer-urls: 2 are given, and one is supported"},
		{func(o *Options) {
			o.ListenPeerURLs, o.InitialCluster = []string{"http://127.0.0.1:0"}, ""
		}, "--initial-advertise-peer-urls: port 0"},

		{func(o *Options) { o.HeartbeatInterval = time.Millisecond }, "--heartbeat-interval 1ms: the least is 10ms"},
		{func(o *Options) { o.ElectionTimeout = 400 * time.Millisecond }, "--election-timeout 400ms: it must be at least 5 times --heartbeat-interval"},
		{func(o *Options) { o.ElectionTimeout = time.Minute }, "--election-timeout 1m0s: the most is 50s"},
		{func(o *Options) { o.MaxRequestBytes = -1 }, "--max-request-bytes -1: it must be from 1 to 16777216"},
		{func(o *Options) { o.MaxTxnOps = 1 << 20 }, "--max-txn-ops 1048576: it must be from 1 to 65536"},
		{func(o *Options) { o.SnapshotBytesPerSecond = 65535 }, "--snapshot-bytes-per-second 65535: it must be 0, or at least 65536"},
		{func(o *Options) { o.SnapshotBytesPerSecond = 65536 }, ""},
		{func(o *Options) { o.CacheBytes = 1000 }, "--cache-bytes 1000: it must be at least 1048576"},
		{func(o *Options) { o.AutoCompactionRetention = "1y" }, `--auto-compaction-retention: "1y" is no time`},
	} {
		o := good
		c.change(&o)
		err := o.Validate()
		if c.want == "" {
			if err != nil {
				t.Errorf("%+v: got %v, and nothing is wrong", o, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	err := Options{
		Name: "n0", InitialCluster: "n1=http://127.0.0.1:1", ListenClientURLs: []string{"moon"}, HeartbeatInterval: 1, MaxTxnOps: -1,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	// Twice the URL: it is where to listen and, for want of another, what to advertise.
	if got := strings.Split(err.Error(), "\n"); len(got) != 5 {
		t.Errorf("got %d complaints, want 5: %q", len(got), got)
	}
	if _, startErr := Start(Options{Name: "n0", InitialCluster: "n1=http://127.0.0.1:1"}); startErr == nil {
		t.Error("started")
	}
}
