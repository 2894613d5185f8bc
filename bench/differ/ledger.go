package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// line is what a ledger keeps of a run that has found no difference that is not known.
type line struct {
	Commit string    `json:"commit"`
	Began  time.Time `json:"began"`
	Seed   uint64    `json:"seed"`
	Etcd   string    `json:"etcd"` // version, compiler and fingerprint of the program

	// Requests are those that both have answered and that were compared; of them so many were refused by
	// both alike. Events are those of watches.
	Requests int            `json:"requests"`
	Refused  int            `json:"refused"`
	Events   int            `json:"events"`
	Revision int64          `json:"revision"` // at the end
	Methods  map[string]int `json:"methods"`
	Known    map[string]int `json:"knownDifferences"`
	Wall     float64        `json:"wallSeconds"`
}

func (r *runner) line(etcd string, began time.Time) *line {
	return &line{
		Commit: r.options.commit, Began: began.UTC().Truncate(time.Second), Seed: r.options.seed, Etcd: etcd,
		Requests: r.asked, Refused: r.failed, Events: r.events, Revision: r.drawer.revision,
		Methods: r.counts, Known: r.seen, Wall: time.Since(began).Round(time.Second).Seconds(),
	}
}

// appendTo adds the line to a file.
func (l *line) appendTo(name string) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("add to the ledger: %w", err)
	}
	return nil
}
