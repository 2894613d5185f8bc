package quorate

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// What reading server.json may allocate, garbage included: a multiple of its size, and a little. Its
// list of keys is the worst: {} is a key of 40 bytes, in a list that grows.
const (
	serverFileFactor = 100
	serverFileFloor  = 16 << 10
)

// unsealBounded reads a server file, and fails the test if that allocates more than it may. The runtime
// counts for all goroutines, so an excess is measured again: our own comes every time.
func unsealBounded(t testing.TB, b []byte) (read serverFile, err error) {
	t.Helper()
	limit := uint64(serverFileFactor*len(b) + serverFileFloor)
	var spent uint64
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		read = serverFile{}
		err = read.unseal(b)
		runtime.ReadMemStats(&after)
		if spent = after.TotalAlloc - before.TotalAlloc; spent <= limit {
			return read, err
		}
	}
	t.Errorf("%d bytes allocated for a file of %d, more than %d", spent, len(b), limit)
	return read, err
}

// sealedAs returns a file with a sound checksum over any server's JSON.
func sealedAs(server string) []byte {
	return fmt.Appendf(nil, `{"checksum":"%08x","server":%s}`, wire.Checksum([]byte(server)), server)
}

func TestHostileServerFileCostsInProportion(t *testing.T) {
	const n = 100_000
	for name, b := range map[string][]byte{
		"many groups":      sealedAs(`{"format":1,"cluster":"1","server":"1","groups":[` + strings.Repeat("0,", n) + `0]}`),
		"many keys":        sealedAs(`{"format":1,"cluster":"1","server":"1","keys":[` + strings.Repeat("{},", n) + `{}]}`),
		"nested deeply":    sealedAs(strings.Repeat("[", n) + strings.Repeat("]", n)),
		"unknown fields":   sealedAs(`{"x":[` + strings.Repeat("{},", n) + `{}]}`),
		"one field often":  sealedAs(`{` + strings.Repeat(`"name":"x",`, n) + `"format":1}`),
		"lists over again": sealedAs(`{` + strings.Repeat(`"groups":[1,2,3,4,5,6,7,8],`, n/10) + `"format":1}`),
		"no JSON":          bytes.Repeat([]byte{0xff}, n),
	} {
		t.Run(name, func(t *testing.T) { _, _ = unsealBounded(t, b) })
	}
}

// FuzzServerFile reads anything as server.json, as it is and with a sound checksum. What is believed
// says which server this is, and comes back when it is written again.
func FuzzServerFile(f *testing.F) {
	golden, err := os.ReadFile("testdata/server.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"format":2,"cluster":"1","server":"1","groups":[1],"later":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, sealedAs(string(b))} {
			read, err := unsealBounded(t, file)
			if err != nil {
				continue
			}
			if read.Format < 1 || read.Cluster == 0 || read.Server == 0 {
				t.Fatalf("believed %+v", read)
			}
			checkServerFileComesBack(t, read)
		}
	})
}

func checkServerFileComesBack(t *testing.T, s serverFile) {
	t.Helper()
	b, err := s.seal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := unsealBounded(t, b)
	if len(s.Groups) == 0 {
		s.Groups = nil // an empty list is left out
	}
	if len(s.Keys) == 0 {
		s.Keys = nil
	}
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Fatalf("%+v came back as %+v, %v", s, again, err)
	}
}
