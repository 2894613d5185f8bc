package etcdapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/quorate/quorate/kv"
)

// NewToken is the answer to POST /quorate/token: what a new server needs to join.
type NewToken struct {
	// Token lets in one server.
	Token string `json:"token"`
	// TTLSeconds is for how long.
	TTLSeconds int64 `json:"ttlSeconds"`
	// Join are the addresses at which the cluster's servers listen for each other, as URLs.
	Join []string `json:"join"`
}

// DefaultTokenTTL is for how long a token is good if nobody says otherwise.
const DefaultTokenTTL = time.Hour

// tokenPage makes a token. It is good for the time that ttl says, as in ttl=10m.
func (s *Server) tokenPage(w http.ResponseWriter, r *http.Request) {
	ttl := DefaultTokenTTL
	if text := r.URL.Query().Get("ttl"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Second || d > kv.MaxTokenTTL*time.Second {
			http.Error(w, fmt.Sprintf("ttl=%q: want a time from 1s to %v, as 10m", text, kv.MaxTokenTTL*time.Second), http.StatusBadRequest)
			return
		}
		ttl = d
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	token, err := s.options.NewToken(ctx, ttl)
	if err != nil {
		http.Error(w, err.Error()+s.whyNoProgress(), http.StatusServiceUnavailable)
		return
	}
	made := NewToken{Token: token, TTLSeconds: int64(ttl / time.Second)}
	if c := s.group.Status().Configuration; c != nil {
		for i := range c.Members {
			made.Join = append(made.Join, c.Members[i].PeerURLs...)
		}
	}
	slices.Sort(made.Join)
	writeJSON(w, http.StatusOK, made)
}
