package treekv_test

import (
	"fmt"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// Three batches are applied, one of them flushed; the crash leaves two.
func Example() {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for index := uint64(1); index <= 3; index++ {
		if _, err := store.Apply([]kv.Command{{Index: index}}); err != nil {
			fmt.Println(err)
		}
		if index == 1 {
			if err := store.Flush(); err != nil {
				fmt.Println(err)
			}
		}
	}
	store, err = kv.Open(engine.Crash(func(batches int) int { return batches - 1 }), kv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("back at", store.AppliedIndex())
	// Output:
	// back at 2
}
