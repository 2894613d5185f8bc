package crashdisk_test

import (
	"fmt"

	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
)

// A file is replaced by writing another one and renaming it. Without a sync in between, there are
// crashes after which the file is neither the old one nor the new one.
func Example() {
	disk := crashdisk.New(crashdisk.Options{})
	replace := func(text string, sync bool) {
		file, _ := disk.Create("tmp")
		_, _ = file.WriteAt([]byte(text), 0)
		if sync {
			_ = file.Sync()
		}
		_ = disk.Rename("tmp", "vote")
		_ = disk.SyncDir(".")
	}
	replace("old", true)
	replace("new", false)
	for what, image := range disk.Images() {
		size, _ := image.Durable().Size("vote")
		text := make([]byte, size)
		_, _ = image.Durable().ReadAt("vote", text, 0)
		fmt.Printf("%s: %q\n", what, text)
	}
	disk.Crash(choice.FromSeed(1), crashdisk.Weak)
	// Output:
	// all lost: ""
	// all kept: "new"
	// all kept, sector 0 of write of vote 0+3 torn: "n\x00\x00"
}
