package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/hist"
	"github.com/quorate/quorate/bench/internal/outage"
)

const (
	// writePrefix and ten digits make the key of a write.
	writePrefix = "w"
	// retryPause is how long a client waits before it asks again for what has failed.
	retryPause = 10 * time.Millisecond
	// readBack is how many keys are read at a time afterwards, of readBackBytes of values at most, and
	// readBackTimeout bounds each such read.
	readBack        = 1000
	readBackBytes   = 1 << 20
	readBackTimeout = 30 * time.Second
)

// writes are puts, each of a key of its own, while servers fail. It remembers which were acknowledged.
type writes struct {
	bed     *bed
	all     *outage.Acks  // of all clients
	timeout time.Duration // of each try
	once    bool          // the clients promise that a put takes effect once, however often they send it

	mu      sync.Mutex
	acked   []int64 // by number: the revision; 0 means that it was not acknowledged, and may be there or not
	errors  kinds
	latency hist.Histogram
}

func (b *bed) newWrites(base time.Time) *writes {
	return &writes{bed: b, all: outage.New(base), timeout: b.options.timeout}
}

func writeKey(number int64) string { return fmt.Sprintf(writePrefix+"%010d", number) }

// writeValue is the value of a write, the same each time.
func (b *bed) writeValue(number int64) string {
	at := int(number * 31 % poolBytes)
	return b.pool[at : at+b.options.valueBytes]
}

// begin gives a write its number.
func (w *writes) begin() (number int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, 0)
	return int64(len(w.acked) - 1)
}

// put tries a write once, for as long as its time lasts.
func (w *writes) put(ctx context.Context, client *clientv3.Client, number int64) (*clientv3.PutResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	began := time.Now()
	got, err := client.Put(bounded, writeKey(number), w.bed.writeValue(number))
	took := time.Since(began)
	if err == nil {
		w.all.Add(w.all.Now(), got.Header.MemberId, got.Header.RaftTerm)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.acked[number] = got.Header.Revision
		w.latency.Add(took)
	case ctx.Err() == nil: // else it was us
		w.errors.add(err)
	}
	return got, err
}

// oneAfterAnother writes until ctx ends, the next as soon as the last is acknowledged; what fails is tried
// again by the caller. The acknowledgements are noted in own besides.
func (w *writes) oneAfterAnother(ctx context.Context, client *clientv3.Client, own *outage.Acks) {
	for ctx.Err() == nil {
		number := w.begin()
		for ctx.Err() == nil {
			got, err := w.put(ctx, client, number)
			if err == nil {
				own.Add(own.Now(), got.Header.MemberId, got.Header.RaftTerm)
				break
			}
			pauseFor(ctx, retryPause)
		}
	}
}

// missing reads all keys back, at every server, and says what of the acknowledged writes is not there.
func (w *writes) missing(ctx context.Context) error {
	for _, server := range w.bed.cluster.Servers {
		client, err := cluster.Dial(server.URL)
		if err != nil {
			return err
		}
		lost, err := w.missingAt(ctx, client)
		if err := errors.Join(err, client.Close()); err != nil {
			return fmt.Errorf("read the writes back at %s: %w", server.Name, err)
		}
		if len(lost) > 0 {
			return fmt.Errorf("ACKNOWLEDGED WRITES ARE LOST: %d of %d at %s, one of them: %s",
				len(lost), w.acknowledged(), server.Name, lost[0])
		}
	}
	return nil
}

func (w *writes) missingAt(ctx context.Context, client *clientv3.Client) (lost []string, err error) {
	step := int64(max(1, min(readBack, readBackBytes/w.bed.options.valueBytes)))
	for from := int64(0); from < int64(len(w.acked)); from += step {
		to := min(from+step, int64(len(w.acked)))
		bounded, cancel := context.WithTimeout(ctx, readBackTimeout)
		got, err := client.Get(bounded, writeKey(from), clientv3.WithRange(writeKey(to)))
		cancel()
		if err != nil {
			return nil, err
		}
		there := map[string]*mvccpb.KeyValue{}
		for _, kv := range got.Kvs {
			there[string(kv.Key)] = kv
		}
		for number := from; number < to; number++ {
			if wrong := w.wrong(number, there[writeKey(number)]); wrong != "" {
				lost = append(lost, wrong)
			}
		}
	}
	return lost, nil
}

// wrong says what is wrong with what was found of a write; nil stands for nothing.
func (w *writes) wrong(number int64, found *mvccpb.KeyValue) string {
	revision := w.acked[number]
	switch {
	case found == nil && revision == 0:
		return ""
	case found == nil:
		return fmt.Sprintf("%s, acknowledged with revision %d, is not there", writeKey(number), revision)
	case string(found.Value) != w.bed.writeValue(number):
		return fmt.Sprintf("%s has a value that nobody has put", writeKey(number))
	// Nobody but the client has sent it again if nothing has failed.
	case w.once && found.Version > 1 && w.errors.sum() == 0:
		return fmt.Sprintf("%s has taken effect %d times", writeKey(number), found.Version)
	// It was tried again after a failure if its version is above 1, and the earlier try may have come later.
	case found.ModRevision < revision || found.Version == 1 && revision > 0 && found.ModRevision != revision:
		return fmt.Sprintf("%s, acknowledged with revision %d, is of revision %d and version %d",
			writeKey(number), revision, found.ModRevision, found.Version)
	}
	return ""
}

func (w *writes) acknowledged() int {
	n := 0
	for _, revision := range w.acked {
		if revision > 0 {
			n++
		}
	}
	return n
}

// maxKinds is how many kinds of errors are told apart, and maxKindBytes how much is kept of a text.
const (
	maxKinds     = 16
	maxKindBytes = 100
)

// kinds counts errors by their texts.
type kinds struct {
	names  []string // in the order in which they came
	counts []int64
	first  error
}

func (k *kinds) add(err error) {
	if k.first == nil {
		k.first = err
	}
	name := kindOf(err)
	for i := range k.names {
		if k.names[i] == name {
			k.counts[i]++
			return
		}
	}
	if len(k.names) >= maxKinds {
		k.counts[maxKinds-1]++
		return
	}
	if len(k.names) == maxKinds-1 {
		name = "others"
	}
	k.names, k.counts = append(k.names, name), append(k.counts, 1)
}

func (k *kinds) sum() (n int64) {
	for _, count := range k.counts {
		n += count
	}
	return n
}

// kindOf is the text of an error without its figures, which say which port or which stream it was.
func kindOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "time is up"
	}
	text := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '#'
		}
		return r
	}, err.Error())
	for strings.Contains(text, "##") {
		text = strings.ReplaceAll(text, "##", "#")
	}
	if len(text) > maxKindBytes {
		text = text[:maxKindBytes] + "..."
	}
	return text
}

func pauseFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
