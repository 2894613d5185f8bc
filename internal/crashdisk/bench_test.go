package crashdisk_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
)

// benchmarkAppend writes pieces of a size into a file of 64 MiB, and syncs each.
func benchmarkAppend(b *testing.B, size int64) {
	const fileBytes = 64 << 20
	b.ReportAllocs()
	d := crashdisk.New(crashdisk.Options{})
	f, err := d.Create("log")
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Truncate(fileBytes); err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte{7}, int(size))
	for offset := int64(0); b.Loop(); offset = (offset + size) % (fileBytes - size) {
		if _, err := f.WriteAt(data, offset); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend4096AndSync(b *testing.B) { benchmarkAppend(b, 4096) }

func BenchmarkAppend100AndSync(b *testing.B) { benchmarkAppend(b, 100) }

func BenchmarkPrefill64MiBWithZeros(b *testing.B) {
	b.ReportAllocs()
	zeros := make([]byte, 1<<20)
	for b.Loop() {
		f, err := crashdisk.New(crashdisk.Options{}).Create("log")
		if err != nil {
			b.Fatal(err)
		}
		for i := range int64(64) {
			if _, err := f.WriteAt(zeros, i<<20); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCrashNowOf20Files(b *testing.B) {
	b.ReportAllocs()
	d := crashdisk.New(crashdisk.Options{})
	for i := range 20 {
		f, err := d.Create(fmt.Sprint(i))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("text"), 1<<20); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		d.CrashNow()
	}
}
