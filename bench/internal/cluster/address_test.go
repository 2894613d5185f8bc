package cluster

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestServersGetNoPortThatTheKernelGivesToClients(t *testing.T) {
	first := firstEphemeral("/proc/sys/net/ipv4/ip_local_port_range")
	addresses, err := freeAddresses(50)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		for _, text := range []string{a.client, a.peer} {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if port, err := strconv.Atoi(u.Port()); err != nil || port < lowestPort || port >= first {
				t.Errorf("got %s, want a port from %d to %d: %v", text, lowestPort, first-1, err)
			}
		}
	}
}

func TestRangeOfPortsIsReadOrTakenForTheUsualOne(t *testing.T) {
	for text, want := range map[string]int{
		"32768\t60999\n": 32_768, "15000 60999\n": 15_000, "1024\t60999\n": 32_768, "gibberish": 32_768, "": 32_768, "99999 1": 32_768,
	} {
		file := filepath.Join(t.TempDir(), "range")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := firstEphemeral(file); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := firstEphemeral(fmt.Sprint(t.TempDir(), "/gone")); got != 32_768 {
		t.Errorf("no file: got %d", got)
	}
}
