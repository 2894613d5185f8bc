package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// page gets a page of our own from a server, if it takes connections.
func (f *clientFlags) page(ctx context.Context, endpoint, method, path string, limit int64) ([]byte, error) {
	address, err := addressOf(endpoint)
	if err != nil {
		return nil, err
	}
	dialling, cancel := context.WithTimeout(ctx, f.dialTimeout)
	defer cancel()
	if err := dial(dialling, endpoint); err != nil {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	// Straight there, whatever the environment says of proxies; and nothing stays open behind.
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(path, "?")
	switch {
	case answer.StatusCode == http.StatusBadRequest, answer.StatusCode == http.StatusServiceUnavailable:
		return nil, errors.New(show.Printable(strings.TrimSpace(string(b[:min(len(b), 1000)]))))
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("has no page %s (%s): is it a server of Quorate, of this version or later?", name, answer.Status)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("its answer has more than %d bytes", limit)
	}
	return b, nil
}
