package kv_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// slowEngine lets others run between the moment at which a state is installed and the end of the install, and behind
// each view that is opened.
type slowEngine struct{ kv.Engine }

type slowStage struct{ kv.Stage }

func (e slowEngine) OpenStage(create bool) (kv.Stage, error) {
	s, err := e.Engine.OpenStage(create)
	if s == nil || err != nil {
		return nil, err
	}
	return slowStage{s}, nil
}

func (e slowEngine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	it, err := e.Engine.NewIterator(lo, hi)
	for range 20 {
		runtime.Gosched()
	}
	return it, err
}

func (s slowStage) Install(apart []kv.Pair) error {
	err := s.Stage.Install(apart)
	for range 200 {
		runtime.Gosched()
	}
	return err
}

// TestReadersNeverSeeOneStateAtTheRevisionOfAnother reads a key that is always there while states are installed, in
// which what readers of the state before would look for is compacted and gone.
func TestReadersNeverSeeOneStateAtTheRevisionOfAnother(t *testing.T) {
	from, err := kv.Open(treekv.New(), kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	to, err := kv.Open(slowEngine{treekv.New()}, kv.Options{Cluster: 7})
	if err != nil {
		t.Fatal(err)
	}
	index := uint64(0)
	apply := func(s *kv.Store, kind kv.Kind, m proto.Message) {
		if _, err := s.Apply([]kv.Command{{Index: index, Kind: kind, Request: marshal(t, m)}}); err != nil {
			t.Fatal(err)
		}
	}
	index++
	for _, s := range []*kv.Store{from, to} {
		apply(s, kv.KindPut, &pb.PutRequest{Key: []byte("a")})
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	request := marshal(t, &pb.RangeRequest{Key: []byte("a")})
	read := func(one func() error) {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := one(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	read(func() error {
		a, err := to.Range(request)
		response := &pb.RangeResponse{}
		if err == nil {
			err = proto.Unmarshal(a.Body, response)
		}
		if err == nil && response.Count != 1 {
			err = fmt.Errorf("the key is not there: %v", a)
		}
		return err
	})
	read(func() error {
		all := func([]byte) (bool, bool) { return true, true }
		from := to.Revision()
		list, through, code, err := to.Changes(kv.ChangesQuery{From: from, To: 1 << 40, MaxChanges: 100, MaxBytes: 1 << 20, Wants: all})
		if err == nil && code == kv.CodeOK && int64(len(list.List)) != through-from+1 {
			err = fmt.Errorf("%d changes from revision %d through %d", len(list.List), from, through)
		}
		return err
	})
	for range 100 {
		for range 3 {
			index++
			apply(from, kv.KindPut, &pb.PutRequest{Key: []byte("a")})
		}
		index++
		apply(from, kv.KindCompact, &pb.CompactionRequest{Revision: from.Revision()})
		for done := false; !done; {
			if done, err = from.CompactStep(100); err != nil {
				t.Fatal(err)
			}
		}
		feed(t, from, to, 1000)
		if err := to.InstallSnapshot(nil); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
	if t.Failed() {
		return
	}
	for _, s := range []*kv.Store{from, to} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
