package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	accounts    = 5
	firstAmount = 100
)

func account(i int) string { return fmt.Sprint("bank/account/", i) }

// TestProcessTransfersKeepTheSum: clients move amounts between accounts with software transactional memory,
// at each isolation at which what was read is compared when it is committed. Every revision has the same
// sum, and so has every sum that an auditor commits; a transfer that was acknowledged took effect once, and
// one of which the outcome is unknown at most once.
func TestProcessTransfersKeepTheSum(t *testing.T) {
	r := startRecipe(t)
	client := r.client(t)
	var opening []clientv3.Op
	for i := range accounts {
		opening = append(opening, clientv3.OpPut(account(i), strconv.Itoa(firstAmount)))
	}
	if _, err := client.Txn(t.Context()).Then(opening...).Commit(); err != nil {
		t.Fatal(err)
	}
	b := &bank{asked: map[string]bool{}}
	for name, isolation := range map[string]concurrency.Isolation{
		"snapshot":     concurrency.SerializableSnapshot,
		"serializable": concurrency.Serializable,
		"repeatable":   concurrency.RepeatableReads,
	} {
		options := []concurrency.STMOption{concurrency.WithIsolation(isolation), concurrency.WithAbortContext(t.Context())}
		mover, auditor := r.client(t), r.client(t)
		number := 0
		r.work(func() bool {
			number++
			return b.move(mover, fmt.Sprintf("bank/moved/%s/%d", name, number), options)
		})
		r.work(func() bool {
			sum, err := audit(auditor, options)
			if err == nil && sum != accounts*firstAmount {
				t.Errorf("an auditor at isolation %s finds %d", name, sum)
			}
			return false // This alone is no step ahead.
		})
	}
	r.killLeaders(t, 20)
	if err := b.verdict(history(t, client, "bank/")); err != nil {
		t.Error(err)
	}
	t.Logf("%d transfers through %d kills", len(b.asked), r.kills)
}

// bank remembers what became of transfers.
type bank struct {
	mu    sync.Mutex      // guards asked
	asked map[string]bool // by key: whether it was acknowledged
}

// move moves an amount between two accounts, and puts a key that says so.
func (b *bank) move(client *clientv3.Client, key string, options []concurrency.STMOption) bool {
	from := rand.IntN(accounts)
	to := (from + 1 + rand.IntN(accounts-1)) % accounts
	amount := 1 + rand.IntN(10)
	_, err := concurrency.NewSTM(client, func(s concurrency.STM) error {
		for account, change := range map[string]int{account(from): -amount, account(to): amount} {
			now, err := strconv.Atoi(s.Get(account))
			if err != nil {
				return err
			}
			s.Put(account, strconv.Itoa(now+change))
		}
		s.Put(key, fmt.Sprint(from, " ", to, " ", amount))
		return nil
	}, options...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[key] = err == nil
	return err == nil
}

// audit reads all accounts, in a transaction that changes nothing.
func audit(client *clientv3.Client, options []concurrency.STMOption) (sum int, err error) {
	_, err = concurrency.NewSTM(client, func(s concurrency.STM) error {
		sum = 0
		for i := range accounts {
			now, err := strconv.Atoi(s.Get(account(i)))
			if err != nil {
				return err
			}
			sum += now
		}
		return nil
	}, options...)
	return sum, err
}

// verdict checks transfer after transfer, each of which is one revision.
func (b *bank) verdict(events []*clientv3.Event) error {
	state := map[string]int{} // as the events tell
	want := map[string]int{}  // as the transfers tell
	for i := range accounts {
		want[account(i)] = firstAmount
	}
	made := map[string]bool{}
	for i, e := range events {
		key := string(e.Kv.Key)
		if strings.HasPrefix(key, "bank/account/") {
			amount, err := strconv.Atoi(string(e.Kv.Value))
			if err != nil {
				return err
			}
			state[key] = amount
		} else {
			var from, to, amount int
			if _, err := fmt.Sscan(string(e.Kv.Value), &from, &to, &amount); err != nil {
				return fmt.Errorf("%s: %w", e.Kv, err)
			}
			want[account(from)] -= amount
			want[account(to)] += amount
			if made[key] {
				return fmt.Errorf("revision %d: %s was made twice", e.Kv.ModRevision, key)
			}
			made[key] = true
		}
		if i+1 < len(events) && events[i+1].Kv.ModRevision == e.Kv.ModRevision {
			continue // There is more of this revision.
		}
		for account, amount := range want {
			if state[account] != amount {
				return fmt.Errorf("revision %d: there is %d in %s, and should be %d", e.Kv.ModRevision, state[account], account, amount)
			}
		}
	}
	for key, acknowledged := range b.asked {
		if acknowledged && !made[key] {
			return fmt.Errorf("%s was acknowledged, and was never made", key)
		}
	}
	return nil
}
