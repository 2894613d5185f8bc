package choice_test

import (
	"fmt"

	"github.com/quorate/quorate/internal/choice"
)

// A world asks a source for whatever is left open. Here all worlds of two coins are visited, and what
// was chosen in one of them is kept and played again.
func Example() {
	world := func(s choice.Source) string {
		sides := []string{"heads", "tails"}
		return sides[s.Choose("first", 2)] + " " + sides[s.Choose("second", 2)]
	}
	var kept []choice.Choice
	worlds := choice.Enumerate(func(s choice.Source) {
		recorder := choice.Record(s)
		if outcome := world(recorder); outcome == "tails heads" {
			kept = recorder.Choices()
		}
	})
	fmt.Println(worlds, "worlds")
	fmt.Println(kept)
	fmt.Println(world(choice.Replay(kept, nil)))
	// Output:
	// 4 worlds
	// [first 1/2 second 0/2]
	// tails heads
}
