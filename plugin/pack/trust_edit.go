package pack

import (
	"os"
	"path/filepath"
	"slices"
)

// DefaultTrustFile returns where the trust file is unless someone says otherwise: quiver/trust in the user's configuration directory.
func DefaultTrustFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "quiver", "trust"), nil
}

// TrustKey says what k's holder may sign, instead of what was said of that key before. [Trust.Save] refuses what makes no sense.
func (t *Trust) TrustKey(k TrustedKey) {
	t.Keys = append(slices.DeleteFunc(t.Keys, func(old TrustedKey) bool { return old.Key == k.Key }), k)
}

// Pin lets one package run, instead of what was said of it before.
func (t *Trust) Pin(p Pin) {
	t.Pins = append(slices.DeleteFunc(t.Pins, func(old Pin) bool { return old.Digest == p.Digest }), p)
}

// Forget removes the keys and pins that a person means by a word: the name of an author, the id of a key, a key, or a digest. It returns how many
// those were. Validators stay, since formulas name them.
func (t *Trust) Forget(word string) int {
	before := len(t.Keys) + len(t.Pins)
	t.Keys = slices.DeleteFunc(t.Keys, func(k TrustedKey) bool {
		return word == k.Name || word == k.Key.ID().String() || word == k.Key.String()
	})
	t.Pins = slices.DeleteFunc(t.Pins, func(p Pin) bool { return word == p.Digest.String() })
	return before - len(t.Keys) - len(t.Pins)
}
