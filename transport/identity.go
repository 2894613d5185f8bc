package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/quorate/quorate/internal/vfs"
)

// The identity file. It is written once and never changed.
//
//	offset size
//	 0      8   magic "QRTIDENT"
//	 8      4   version of this layout, 1
//	12     32   Ed25519 seed: the secret (RFC 8032 §5.1.5)
//	44     32   public key, which the seed must give
//	76      4   CRC32C of bytes 0 to 75
//	80          end
const (
	identityMagic   = "QRTIDENT"
	identityVersion = 1
	identityBytes   = 80
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity is a server's key pair. It does not print its secret.
type Identity struct {
	private ed25519.PrivateKey
}

// LoadOrCreateIdentity returns the identity stored in the file at path, whose directory must exist.
// If there is no such file it makes an identity with 32 bytes of random (nil: crypto/rand), and
// created is true. The file and its name are durable when it returns. The error names the file; it
// is ErrDamaged or ErrTooNew if the file cannot be used, which then stays as it is.
func LoadOrCreateIdentity(files vfs.FS, path string, random io.Reader) (id *Identity, created bool, err error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		id, err := createIdentity(files, path, random)
		return id, err == nil, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("open identity %s: %w", path, err)
	}
	defer f.Close()
	if id, err = readIdentity(f); err != nil {
		return nil, false, fmt.Errorf("read identity %s: %w", path, err)
	}
	// The start that made this file may have died before it synced the name.
	if err := syncDirectoryOf(files, path); err != nil {
		return nil, false, err
	}
	return id, false, nil
}

// NewIdentity makes an identity that is stored nowhere, with 32 bytes of random (nil: crypto/rand).
func NewIdentity(random io.Reader) (*Identity, error) {
	if random == nil {
		random = rand.Reader
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("read random bytes for a key: %w", err)
	}
	return &Identity{private: ed25519.NewKeyFromSeed(seed)}, nil
}

// Public returns the public half.
func (id *Identity) Public() PublicKey {
	return PublicKey(id.private.Public().(ed25519.PublicKey))
}

// String returns the public key's fingerprint, whatever verb of fmt asks for it.
func (id *Identity) String() string { return "identity " + id.Public().Fingerprint() }

// GoString is String: %#v must not print the secret either.
func (id *Identity) GoString() string { return id.String() }

func createIdentity(files vfs.FS, path string, random io.Reader) (*Identity, error) {
	id, err := NewIdentity(random)
	if err != nil {
		return nil, err
	}
	if err := writeNewFile(files, path, encodeIdentity(id)); err != nil {
		return nil, fmt.Errorf("create identity: %w", err)
	}
	return id, nil
}

func encodeIdentity(id *Identity) []byte {
	public := id.Public()
	b := make([]byte, 0, identityBytes)
	b = append(b, identityMagic...)
	b = binary.LittleEndian.AppendUint32(b, identityVersion)
	b = append(b, id.private.Seed()...)
	b = append(b, public[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readIdentity looks at the version before the size and checksum: a later layout may differ in both.
func readIdentity(f vfs.File) (*Identity, error) {
	head := make([]byte, len(identityMagic)+4)
	if n, err := f.ReadAt(head, 0); n < len(head) {
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, fmt.Errorf("cut short: %w", ErrDamaged)
	}
	if string(head[:len(identityMagic)]) != identityMagic {
		return nil, fmt.Errorf("does not begin with %s: %w", identityMagic, ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(head[len(identityMagic):]); v > identityVersion {
		return nil, fmt.Errorf("layout %d, this program knows %d: %w", v, identityVersion, ErrTooNew)
	}
	b, err := readExactly(f, identityBytes)
	if err != nil {
		return nil, err
	}
	return decodeIdentity(b)
}

func decodeIdentity(b []byte) (*Identity, error) {
	body, sum := b[:identityBytes-4], binary.LittleEndian.Uint32(b[identityBytes-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("checksum does not match: %w", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != identityVersion {
		return nil, fmt.Errorf("layout %d was never written: %w", v, ErrDamaged)
	}
	id := &Identity{private: ed25519.NewKeyFromSeed(b[12:44])}
	if public := id.Public(); !bytes.Equal(public[:], b[44:76]) {
		return nil, fmt.Errorf("the secret does not give the public key: %w", ErrDamaged)
	}
	return id, nil
}
