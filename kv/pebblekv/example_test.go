package pebblekv_test

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// A store comes back where it was flushed; what was applied later is applied again from the log.
func Example() {
	disk := vfs.NewMem() // nil for the machine's own
	for range 2 {
		engine, err := pebblekv.Open("state", pebblekv.Options{FS: disk})
		if err != nil {
			fmt.Println(err)
			return
		}
		store, err := kv.Open(engine, kv.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("opened at", store.AppliedIndex())
		for index := store.AppliedIndex() + 1; index <= 5; index++ {
			if _, err := store.Apply([]kv.Command{{Index: index}}); err != nil {
				fmt.Println(err)
			}
			if index == 3 {
				if err := store.Flush(); err != nil {
					fmt.Println(err)
				}
			}
		}
		durable, err := store.DurableIndex()
		fmt.Println("applied", store.AppliedIndex(), "durable", durable, err)
		if err := store.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// opened at 0
	// applied 5 durable 3 <nil>
	// opened at 3
	// applied 5 durable 3 <nil>
}
