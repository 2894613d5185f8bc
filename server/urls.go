package server

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// addressOf takes the address out of a URL that has nothing but a scheme, which must be one of those
// given, a host and a port.
func addressOf(u string, schemes ...string) (string, error) {
	parsed, err := url.Parse(u)
	if err != nil {
		return "", fmt.Errorf("%q is no URL: %w", u, err)
	}
	host, port, err := net.SplitHostPort(parsed.Host)
	switch {
	case parsed.Scheme == "https" && !slices.Contains(schemes, "https"):
		return "", fmt.Errorf("%s: TLS is not supported here yet; use http", u)
	case !slices.Contains(schemes, parsed.Scheme):
		return "", fmt.Errorf("%q must begin with %s://, as in %s", u, schemes[0], defaultClientURL)
	case err != nil || host == "" || port == "":
		return "", fmt.Errorf("%q must have a host and a port, as in %s", u, defaultClientURL)
	case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.User != nil:
		return "", fmt.Errorf("%q must have nothing but a host and a port", u)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", fmt.Errorf("%q has no port that there can be", u)
	}
	return parsed.Host, nil
}

// splitPort splits an address that addressOf has returned.
func splitPort(address string) (host, port string) {
	host, port, _ = net.SplitHostPort(address)
	return host, port
}

// isLoopback reports whether only this machine reaches a host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isUnspecified reports whether a host means every address of a machine: one can listen there, but
// nobody can connect.
func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}

// namedServer is one server of --initial-cluster.
type namedServer struct {
	name string
	urls []string
}

// parseCluster reads "name=url,name=url,...", in the order in which names first come.
func parseCluster(text string) ([]namedServer, error) {
	var servers []namedServer
	for entry := range strings.SplitSeq(text, ",") {
		name, u, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || name == "" || u == "" {
			return nil, fmt.Errorf("%q is not as name=%s", entry, defaultPeerURL)
		}
		i := slices.IndexFunc(servers, func(s namedServer) bool { return s.name == name })
		if i < 0 {
			servers = append(servers, namedServer{name: name})
			i = len(servers) - 1
		}
		servers[i].urls = append(servers[i].urls, u)
	}
	return servers, nil
}

// sameURLs compares lists of URLs as sets.
func sameURLs(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	for _, list := range [][]string{a, b} {
		for i := range list {
			list[i] = strings.TrimRight(list[i], "/")
		}
		slices.Sort(list)
	}
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
