package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/transport"
)

const aKey = "Z4P9DJTcfpv079FlyDGCUC31bh9gJ2GgBJ7w9NGHg0Q="

func TestWrongFlagsAreRefusedWithStatus2AndAHint(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"serve --nam x", "there is no flag --nam; did you mean --name?"},
		{"serve --listen-clients-url x", "did you mean --listen-client-urls?"},
		{"serve --nothing-like-it x", "there is no flag --nothing-like-it\n"},
		{"serve -name x", "flags have two dashes: --name"},
		{"serve -data-dir=x", "flags have two dashes: --data-dir"},
		{"serve --cert-file x", "--cert-file is a flag of etcd that is not supported yet"},
		{"serve --snapshot-count=5", "--snapshot-count is a flag of etcd that is not supported yet"},
		{"serve --config-file x", "--config-file is a flag of etcd that is not supported yet"},
		{"serve --name", "flag needs an argument: --name"},
		{"serve --election-timeout x", "invalid argument"},
		{"serve word", "serve takes no words"},
		{"serve --heartbeat-interval 0", "--heartbeat-interval 0: want milliseconds"},
		{"serve --election-timeout=-1", "--election-timeout -1: want milliseconds"},
		{"serve --election-timeout=9223372036854775807", "want milliseconds"},
		{"serve --heartbeat-interval 100 --election-timeout 200", "--election-timeout"},
		{"serve --initial-cluster s1=http://127.0.0.1:1 --name s2", "--initial-cluster"},
		{"serve --initial-cluster-state maybe", "--initial-cluster-state"},
		{"serve --listen-client-urls nonsense", "--listen-client-urls"},
		{"serve --listen-client-urls https://127.0.0.1:1", "TLS is not supported"},
		{"serve --max-txn-ops=-1", "--max-txn-ops"},
		{"serve --max-request-bytes=-1", "--max-request-bytes"},
		{"serve --log-level loud", "--log-level loud: want debug, info, warn or error"},
		{"serve --log-format xml", "--log-format xml: want text or json"},
		{"serve --peer-key s2", "--peer-key s2: want NAME=KEY"},
		{"serve --peer-key =" + aKey, "want NAME=KEY"},
		{"serve --peer-key s2=abc", "--peer-key of s2: not a public key"},
		{"serve --peer-key s2=" + aKey + " --peer-key s2=" + strings.Replace(aKey, "Z", "Y", 1), "two different keys"},
		{"serve --peer-key s2=" + aKey, "s2"}, // There is no s2.
		{"up word", "up takes no words"},
		{"up word -- --log-level debug", "up takes no words"},
		{"up --base-port -1", "want a port with five more above it"},
		{"up --base-port 65531", "want a port with five more above it"},
		{"key word", "key takes no words"},
		{"key --data-dir=", "--data-dir is empty"},
		{"put", "put needs a key"},
		{"get", "get needs a key"},
		{"get a --prefx", "did you mean --prefix?"},
		{"get a --cacert x", "--cacert is a flag of etcdctl that is not supported yet"},
		{"get a -w fields", "not supported yet"},
		{"get a -w json --output table", "mean the same and differ"},
		{"get a --endpoints https://127.0.0.1:1", "https is not supported yet"},
		{"get a --endpoints unix:///tmp/x", "want host:port"},
		{"get a --endpoints 127.0.0.1", "want host:port"},
		{"get a --endpoints :2379", "want host:port"},
		{"get a --endpoints=", "--endpoints is empty"},
		{"get a --command-timeout 0s", "must be above 0"},
		{"get a --dial-timeout=-1s", "must be above 0"},
		{"del a b", "add --range"},
		{"txn word", "txn takes no words"},
		{"compact", "compact takes a revision"},
		{"compact x", "want a revision"},
		{"compact -- -1", "want a revision"},
		{"status word", "status takes no words"},
		{"doctor word", "doctor takes no words"},
		{"member", "There is member list"},
		{"member swap x", "member swap is not supported yet"},
		{"member replace", "member replace takes the id of a server"},
		{"member add", "member add takes the new server's name"},
		{"member add s2 http://a:1", "did you mean --peer-urls=http://a:1?"},
		{"member add s2 s3", "member add takes the new server's name"},
		{"member add s2,s3 --peer-urls http://a:1", "has no comma"},
		{"member add s2", "member add takes --peer-urls, as in"},
		{"member add s2 --peer-urls a:1", "want http://host:port"},
		{"member add s2 --peer-urls http://a:1,http://:2", "--peer-urls http://:2: want http://host:port"},
		{"member add s2 --peer-urls http://a:1/x", "want http://host:port"},
		{"member update s2", "member update takes --peer-urls, as in"},
		{"member update --peer-urls http://a:1", "member update takes the id of a server"},
		{"member remove", "member remove takes the id of a server, in hexadecimal, or its name"},
		{"member remove a b", "member remove takes the id of a server"},
		{"member promote", "member promote takes the id of a server"},
		{"move-leader", "move-leader takes the id of a server"},
		{"move-leader a b", "move-leader takes the id of a server"},
		{"member list --consistency x", "want l (linearizable)"},
		{"version word", "version takes no words"},
		{"version -w xml", "there is no output format"},
		{"gett", "Did you mean this?"},
	} {
		r := runOf(strings.Fields(test.line)...)
		r.expect(t, test.line, exitUsage, test.want)
		if !strings.Contains(r.err, " --help.\n") || r.out != "" {
			t.Errorf("%s: no hint at the help, or something on standard output: %q, %q", test.line, r.err, r.out)
		}
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	r := runOf("serve", "--log-level", "loud", "--log-format", "xml", "--peer-key", "x", "--heartbeat-interval", "0")
	for _, want := range []string{"--log-level", "--log-format", "--peer-key", "--heartbeat-interval"} {
		r.expect(t, "serve", exitUsage, want)
	}
}

func TestVariablesThatCannotBeObeyedAreRefused(t *testing.T) {
	for _, test := range []struct{ variable, command, want string }{
		{"ETCD_CERT_FILE=x", "serve", "variable ETCD_CERT_FILE: --cert-file is a flag of etcd that is not supported yet"},
		{"QUORATE_CERT_FILE=x", "serve", "variable QUORATE_CERT_FILE: --cert-file"},
		{"ETCD_MAX_TXN_OPS=many", "serve", "variable ETCD_MAX_TXN_OPS: "},
		{"ETCDCTL_CACERT=x", "get a", "variable ETCDCTL_CACERT: --cacert is a flag of etcdctl"},
		{"ETCDCTL_DIAL_TIMEOUT=soon", "get a", "variable ETCDCTL_DIAL_TIMEOUT: "},
	} {
		r := runWith("", []string{test.variable}, strings.Fields(test.command)...)
		r.expect(t, test.variable, exitUsage, test.want)
	}
}

// parsed returns the flags of serve as it would run with them.
func parsed(t *testing.T, environ []string, arguments ...string) (*serveFlags, []string) {
	t.Helper()
	f, cmd := new(serveFlags), new(cobra.Command)
	f.add(cmd)
	if err := cmd.ParseFlags(arguments); err != nil {
		t.Fatal(err)
	}
	unknown, err := serveVariables(cmd).apply(cmd, environ)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.complete(&world{err: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	return f, unknown
}

func TestFlagsBeatVariablesAndOurVariablesBeatEtcds(t *testing.T) {
	environ := []string{"ETCD_NAME=of-etcd", "QUORATE_NAME=ours", "ETCD_DATA_DIR=etcds", "ETCD_MAX_TXN_OPS=7", "QUORATE_LOG_LEVEL="}
	f, _ := parsed(t, environ, "--name=typed")
	if got := f.options.Name; got != "typed" {
		t.Errorf("the name is %q, want what was typed", got)
	}
	f, _ = parsed(t, environ)
	if o := f.options; o.Name != "ours" || o.DataDir != "etcds" || o.MaxTxnOps != 7 || f.logLevel != "info" {
		t.Errorf("name %q, data directory %q, operations %d, level %q", o.Name, o.DataDir, o.MaxTxnOps, f.logLevel)
	}
}

func TestUnknownVariablesAreNamedAndThoseOfOthersAreNot(t *testing.T) {
	_, unknown := parsed(t, []string{"ETCD_NAMES=x", "QUORATE_ENDPOINTS=x", "ETCD_UNSUPPORTED_ARCH=x", "ETCDCTL_API=3", "QUORATE_STOP_WITH_STDIN=true", "PATH=x"})
	if want := []string{"QUORATE_STOP_WITH_STDIN", "ETCD_NAMES"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown are %q, want %q", unknown, want)
	}
}

func TestFlagsOfServeBecomeOptions(t *testing.T) {
	f, _ := parsed(t, nil, "--name", "s1", "--data-dir=d", "--listen-client-urls", "http://127.0.0.1:1,http://127.0.0.1:2",
		"--listen-peer-urls", "http://127.0.0.1:3", "--initial-advertise-peer-urls", "http://127.0.0.1:3",
		"--initial-cluster", "s1=http://127.0.0.1:3,s2=http://127.0.0.1:4", "--initial-cluster-token", "t", "--initial-cluster-state=existing",
		"--heartbeat-interval", "50", "--election-timeout=500", "--max-request-bytes", "1000", "--max-txn-ops", "5", "--keep-log-bytes", "7", "--max-log-bytes", "8",
		"--scrub-bytes-per-second", "-1", "--snapshot-bytes-per-second", "70000", "--ballast-bytes", "9", "--enable-pprof", "--lease-reads",
		"--listen-metrics-urls", "http://127.0.0.1:5", "--advertise-client-urls", "http://127.0.0.1:1", "--peer-key", "s2="+aKey)
	o := f.options
	key, err := transport.ParsePublicKey(aKey)
	if err != nil {
		t.Fatal(err)
	}
	if o.Name != "s1" || o.DataDir != "d" || !slices.Equal(o.ListenClientURLs, []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}) ||
		!slices.Equal(o.AdvertiseClientURLs, []string{"http://127.0.0.1:1"}) || !slices.Equal(o.ListenPeerURLs, []string{"http://127.0.0.1:3"}) ||
		!slices.Equal(o.InitialAdvertisePeerURLs, []string{"http://127.0.0.1:3"}) || o.InitialCluster != "s1=http://127.0.0.1:3,s2=http://127.0.0.1:4" ||
		o.InitialClusterToken != "t" || o.InitialClusterState != "existing" || o.HeartbeatInterval != 50*time.Millisecond ||
		o.ElectionTimeout != 500*time.Millisecond || o.MaxRequestBytes != 1000 || o.MaxTxnOps != 5 || o.KeepLogBytes != 7 || o.MaxLogBytes != 8 ||
		o.ScrubBytesPerSecond != -1 || o.SnapshotBytesPerSecond != 70000 || o.BallastBytes != 9 || !o.EnablePprof || !o.LeaseReads ||
		!slices.Equal(o.ListenMetricsURLs, []string{"http://127.0.0.1:5"}) || o.PeerKeys["s2"] != key || len(o.PeerKeys) != 1 {
		t.Errorf("options are %+v", o)
	}
}

func TestServeAloneHasOptionsThatWork(t *testing.T) {
	f, _ := parsed(t, nil)
	if o := f.options; o.Name != "default" || o.HeartbeatInterval != 0 || o.ElectionTimeout != 0 {
		t.Errorf("options are %+v", o)
	}
}

func TestNoFlagIsBothOursAndMissing(t *testing.T) {
	for name, foreign := range map[string]*foreignFlags{"serve": etcdFlags(), "get": etcdctlFlags()} {
		root := rootCommand(&world{})
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range foreign.names {
			if cmd.Flags().Lookup(flag) != nil {
				t.Errorf("%s has --%s, which is listed as missing", name, flag)
			}
		}
		if !slices.ContainsFunc(flagNames(cmd), func(f string) bool { return f == "name" || f == "endpoints" }) {
			t.Errorf("%s has the flags %q", name, flagNames(cmd))
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, cmd := range commands(&world{}) {
		r := runOf(cmd.Name(), "--help")
		if r.status != exitDone || !strings.Contains(r.out, "Usage:") || !strings.Contains(r.out, "Examples:") {
			t.Errorf("%s --help: status %d\n%s", cmd.Name(), r.status, r.out)
		}
	}
}

func TestCompletionIsThere(t *testing.T) {
	runOf("completion", "bash").expect(t, "completion", exitDone, "quorate")
}

func TestEtcdIsServeAndTellsTheVersionOfItsAPI(t *testing.T) {
	if got := asEtcd([]string{"--name", "s1"}); !slices.Equal(got, []string{"serve", "--name", "s1"}) {
		t.Errorf("etcd --name s1 is quorate %q", got)
	}
	for _, flag := range []string{"--version", "-version"} {
		runOf(asEtcd([]string{flag})...).expect(t, "etcd "+flag, exitDone, "etcd Version: 3.7.3\nquorate version: ")
	}
}

func TestTheLogHasTheLevelAndFormatAskedFor(t *testing.T) {
	for _, test := range []struct{ level, format, want string }{
		{"info", "text", "level=INFO msg=told"}, {"info", "console", "level=INFO msg=told"}, {"debug", "json", `"level":"INFO","msg":"told"`},
		{"warn", "text", ""}, {"error", "json", ""},
	} {
		var log bytes.Buffer
		logger, err := newLogger(&log, test.level, test.format)
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("told")
		if !strings.Contains(log.String(), test.want) || test.want == "" && log.Len() > 0 {
			t.Errorf("level %s, format %s: got %q, want %q", test.level, test.format, log.String(), test.want)
		}
	}
}

func TestVersionSaysWhichAPIIsSpoken(t *testing.T) {
	runOf("version").expect(t, "version", exitDone, "etcd API version: 3.7.3\n")
	runOf("--version").expect(t, "--version", exitDone, "etcd API version: 3.7.3\n")
	runOf("version", "--output", "json").expect(t, "version as JSON", exitDone, `"etcdAPI":"3.7.3"`)
}

func TestTheNearestNameIsFound(t *testing.T) {
	names := []string{"name", "data-dir", "listen-client-urls"}
	for typed, want := range map[string]string{
		"nam": "name", "names": "name", "nmae": "name", "data-dri": "data-dir", "datadir": "data-dir",
		"client-urls": "", "xyz": "", "listen-client-url": "listen-client-urls", "listne-cleint-urls": "listen-client-urls",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("%s: nearest is %q, want %q", typed, got, want)
		}
	}
}

func TestTheKeyOfADirectoryStaysTheSame(t *testing.T) {
	dir := t.TempDir() + "/new"
	first := runOf("key", "--data-dir", dir)
	if _, err := transport.ParsePublicKey(strings.TrimSpace(first.out)); err != nil || first.status != exitDone {
		t.Fatalf("key: %+v, %v", first, err)
	}
	again := runOf("key", "--data-dir", dir, "--name", "s1")
	if again.out != "s1="+first.out {
		t.Errorf("key --name: %+v, want s1=%s", again, first.out)
	}
	runOf("key", "--data-dir", "/dev/null/x").expect(t, "key of no directory", exitFailed, "/dev/null")
}
