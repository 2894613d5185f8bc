package etcdapi

import (
	"context"
	"net/http"
)

// Flushed is the answer to POST /quorate/flush.
type Flushed struct {
	// Index is that of the entry up to which this server's state is durable without its log.
	Index uint64 `json:"index,string"`
}

// flushPage makes this server's state durable at once, which it does by itself whenever enough has changed.
func (s *Server) flushPage(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	index, err := s.options.Flush(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	writeJSON(w, http.StatusOK, Flushed{index})
}
