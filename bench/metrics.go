package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/quorate/quorate/bench/internal/cluster"
)

// metrics are the values of a page of /metrics by name; those that differ by their labels are added up.
type metrics map[string]float64

// scrape reads a server's page of metrics.
func scrape(ctx context.Context, server *cluster.Server) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, body, err := askForPage(ctx, http.MethodGet, server.URL+"/metrics")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its metrics: %d: %s", server.Name, status, body)
	}
	return parseMetrics(bytes.NewReader(body))
}

// parseMetrics reads lines as Prometheus has them: name{labels} value.
func parseMetrics(r io.Reader) (metrics, error) {
	all := metrics{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest := line, ""
		if i := strings.IndexAny(line, "{ "); i >= 0 {
			name, rest = line[:i], line[i:]
		}
		if end := strings.LastIndexByte(rest, '}'); end >= 0 { // a label's value may hold spaces and braces
			rest = rest[end+1:]
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return nil, fmt.Errorf("metric %q has no value", line)
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", line, err)
		}
		all[name] += value
	}
	return all, lines.Err()
}

// first returns the value of the first of the names that is there.
func (m metrics) first(names ...string) (value float64, found bool) {
	for _, name := range names {
		if value, found = m[name]; found {
			return value, true
		}
	}
	return 0, false
}
