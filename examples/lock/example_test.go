package main

// Two clients contend, and what the one who was overtaken sends is refused.
func Example() {
	main()
	// Output:
	// Ann has the lock, and writes: true
	// Bob has to wait: true
	// Bob has the lock, by a larger token: true
	// Bob writes: true
	// Ann's write is refused: true
	// So is her renewal: true
	// The disk is Bob's
}
