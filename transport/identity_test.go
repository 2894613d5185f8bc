package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

func TestIdentityFileHasItsLayout(t *testing.T) {
	disk := newFakeFS()
	id, created, err := LoadOrCreateIdentity(disk, "data/identity", bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil || !created {
		t.Fatalf("create: created %v, err %v", created, err)
	}
	golden(t, "identity", disk.bytes(t, "data/identity"))
	again, created, err := LoadOrCreateIdentity(disk, "data/identity", nil)
	if err != nil || created {
		t.Fatalf("load: created %v, err %v", created, err)
	}
	if again.Public() != id.Public() {
		t.Errorf("loaded key %s, want %s", again.Public(), id.Public())
	}
}

// Whatever instant the power fails at, the next start has an identity, and the one that was handed
// out, if any, is that one.
func TestIdentityHandedOutSurvivesPowerFailure(t *testing.T) {
	for dieAt := 1; dieAt <= 12; dieAt++ {
		for _, keepNames := range []bool{false, true} {
			for _, part := range []int{0, 1, 2} { // Of a torn write: nothing, half, all.
				disk := newFakeFS()
				disk.dieAt = dieAt
				before, _, err := LoadOrCreateIdentity(disk, "data/identity", nil)
				disk.crash(keepNames, func(n int) int { return n * part / 2 })
				after, created, errAfter := LoadOrCreateIdentity(disk, "data/identity", nil)
				if errAfter != nil {
					t.Fatalf("die at %d, keep names %v, part %d: next start: %v", dieAt, keepNames, part, errAfter)
				}
				if err == nil && (created || after.Public() != before.Public()) {
					t.Errorf("die at %d, keep names %v, part %d: the identity handed out is lost", dieAt, keepNames, part)
				}
			}
		}
	}
}

// A start that dies after the rename leaves a name that is not durable; the next start must sync it
// before it uses the key.
func TestLoadedIdentityIsDurable(t *testing.T) {
	disk := newFakeFS()
	for disk.dieAt = 1; disk.seen["data/identity"] == nil; disk.dieAt++ {
		disk.ops = 0
		if _, _, err := LoadOrCreateIdentity(disk, "data/identity", nil); err == nil {
			t.Fatal("no start died between the rename and the sync of the directory")
		}
	}
	disk.ops, disk.dieAt = 0, 0 // The process died, not the machine.
	before, created, err := LoadOrCreateIdentity(disk, "data/identity", nil)
	if err != nil || created {
		t.Fatalf("created %v, err %v", created, err)
	}
	disk.crash(false, func(int) int { return 0 })
	after, _, err := LoadOrCreateIdentity(disk, "data/identity", nil)
	if err != nil || after.Public() != before.Public() {
		t.Errorf("the identity in use was lost: err %v", err)
	}
}

func TestDamagedIdentityIsRefusedByName(t *testing.T) {
	whole := encodeIdentity(testIdentity(7))
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		wantIdentityError(t, b, fmt.Sprintf("bit %d flipped", bit), ErrDamaged, ErrTooNew)
	}
	for size := range len(whole) {
		wantIdentityError(t, whole[:size], fmt.Sprintf("cut to %d bytes", size), ErrDamaged)
	}
	wantIdentityError(t, append(bytes.Clone(whole), 0), "one byte longer", ErrDamaged)

	otherKey := bytes.Clone(whole)
	copy(otherKey[44:], bytes.Repeat([]byte{1}, 32))
	binary.LittleEndian.PutUint32(otherKey[76:], crc32.Checksum(otherKey[:76], castagnoli))
	wantIdentityError(t, otherKey, "public key of another", ErrDamaged)
}

func TestIdentityOfLaterVersionIsRefusedAsSuch(t *testing.T) {
	b := append([]byte("QRTIDENT\x02\x00\x00\x00"), "whatever comes then"...)
	wantIdentityError(t, b, "layout 2", ErrTooNew)
}

func wantIdentityError(t *testing.T, file []byte, what string, want ...error) {
	t.Helper()
	disk := newFakeFS()
	disk.put("data/identity", file)
	_, _, err := LoadOrCreateIdentity(disk, "data/identity", nil)
	ok := false
	for _, w := range want {
		ok = ok || errors.Is(err, w)
	}
	if !ok || !strings.Contains(err.Error(), "data/identity") {
		t.Errorf("%s: got error %v, want one of %v that names the file", what, err, want)
	}
	if !bytes.Equal(disk.bytes(t, "data/identity"), file) {
		t.Errorf("%s: the file was changed", what)
	}
}

func TestIdentityDoesNotPrintItsSecret(t *testing.T) {
	id := testIdentity(7)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, id); got != "identity "+id.Public().Fingerprint() {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func FuzzKeyFiles(f *testing.F) {
	f.Add(encodeIdentity(testIdentity(7)))
	f.Add([]byte("QRTIDENT\x01\x00\x00\x00"))
	f.Add(append(encodeBoot(5), make([]byte, 4072)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := newFakeFS()
		disk.put("data/f", b)
		if id, _, err := LoadOrCreateIdentity(disk, "data/f", nil); err == nil && !bytes.Equal(encodeIdentity(id), b) {
			t.Error("an identity was read from bytes that are not its own")
		}
		if boot, err := NextBoot(disk, "data/f"); err == nil {
			if again, err := NextBoot(disk, "data/f"); err != nil || again != boot+1 {
				t.Errorf("boot %d was followed by %d, %v", boot, again, err)
			}
		}
	})
}
