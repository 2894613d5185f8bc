package cluster

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Servers is how many servers a cluster has, unless a scenario asks for one alone.
const Servers = 3

// etcdQuota is the one setting in which our etcd differs from its defaults. The default of 2 GiB can
// be exceeded by the history that a long run leaves behind.
const etcdQuota = "--quota-backend-bytes=8589934592"

// Subject is a server program under comparison. It understands etcd's flags and etcd's API.
type Subject struct {
	Name    string   // as printed in reports; unique among the subjects of a report
	Binary  string   // path of the program
	Command []string // words before the flags
	Flags   []string // said to each of its servers besides what makes them a cluster
}

// Etcd returns the subject whose program is etcd: its defaults, except for a quota of 8 GiB.
func Etcd(binary string) Subject {
	return Subject{Name: "etcd", Binary: binary, Flags: []string{etcdQuota}}
}

// Quorate returns the subject whose program is quorate.
func Quorate(binary string, flags []string) Subject {
	return Subject{Name: "quorate", Binary: binary, Command: []string{"serve"}, Flags: flags}
}

// address is where one server listens.
type address struct {
	client string // URL for clients
	peer   string // URL for the other servers
}

// name returns what the server with that number is called.
func name(server int) string { return fmt.Sprintf("n%d", server) }

// arguments returns the command line of one server of a new cluster, without the program.
func (s Subject) arguments(server int, dir, token string, addresses []address) []string {
	var initial []string
	for i, a := range addresses {
		initial = append(initial, name(i)+"="+a.peer)
	}
	return s.command(name(server), dir, addresses[server], []string{
		"--initial-cluster", strings.Join(initial, ","),
		"--initial-cluster-token", token,
		"--initial-cluster-state", "new",
	})
}

// command returns the command line of one server, without the program; others says who the others are.
func (s Subject) command(name, dir string, a address, others []string) []string {
	return slices.Concat(s.Command, []string{
		"--name", name,
		"--data-dir", filepath.Join(dir, name),
		"--listen-client-urls", a.client,
		"--advertise-client-urls", a.client,
		"--listen-peer-urls", a.peer,
		"--initial-advertise-peer-urls", a.peer,
	}, others, s.Flags)
}
