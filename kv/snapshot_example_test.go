package kv_test

import (
	"fmt"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// A store that lacks what the log has no more asks another, until it has a complete stage, and installs that.
func ExampleStore_InstallSnapshot() {
	from, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for index := uint64(1); index <= 5; index++ {
		if _, err := from.Apply([]kv.Command{{Index: index}}); err != nil {
			fmt.Println(err)
		}
	}
	to, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	request, err := to.SnapshotRequest()
	for complete := false; !complete && err == nil; {
		var chunk []byte
		if chunk, _, err = from.ServeSnapshot(request, 1<<20); err == nil {
			request, complete, err = to.StageSnapshot(chunk)
		}
	}
	if err == nil {
		err = to.InstallSnapshot([]byte("where the log begins"))
	}
	fmt.Println("at", to.AppliedIndex(), string(to.InstalledPosition()), err)
	// Output:
	// at 5 where the log begins <nil>
}
