package transport

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

func TestPublicKeyIsReadAsPrinted(t *testing.T) {
	key := testIdentity(7).Public()
	for _, text := range []string{
		key.String(),
		strings.TrimRight(key.String(), "="),
		hex.EncodeToString(key[:]),
		strings.ToUpper(hex.EncodeToString(key[:])),
	} {
		if got, err := ParsePublicKey(text); err != nil || got != key {
			t.Errorf("ParsePublicKey(%q) = %s, %v", text, got, err)
		}
	}
	text, err := json.Marshal(map[string]PublicKey{"known": key, "none": {}})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]PublicKey
	if err := json.Unmarshal(text, &back); err != nil || back["known"] != key || !back["none"].IsZero() {
		t.Errorf("%s came back as %v, %v", text, back, err)
	}
}

func TestWhatIsNoPublicKeyIsRefused(t *testing.T) {
	key := testIdentity(7).Public().String()
	for _, text := range []string{
		"", "none", "abc", key[1:], key + "=", strings.Repeat("z", 64), "!" + key[1:],
		strings.Repeat("0", 64),       // Anyone can sign for the zero key.
		strings.Repeat("A", 43) + "=", // The same in base64.
		key[:42] + "B=",               // Trailing bits that a key cannot have: another text for it.
		key[:42] + "B",
	} {
		got, err := ParsePublicKey(text)
		if err == nil {
			t.Errorf("ParsePublicKey(%q) = %s, want an error", text, got)
		} else if len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("the error for %q repeats it: %v", text, err)
		}
	}
}
