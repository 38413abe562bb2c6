package pack_test

import (
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
)

// bench is a signed package of 8 KiB with the largest manifest of these tests.
func bench(b *testing.B) []byte {
	m := manifest(b, fecManifest)
	file, err := pack.Seal(module(memory, append([]byte{11, 0x80, 0x40}, make([]byte, 8<<10)...)), m, nil)
	if err != nil {
		b.Fatal(err)
	}
	return sign(b, file, key("alice"), "")
}

func BenchmarkRead(b *testing.B) {
	file := bench(b)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		read(b, file)
	}
}

// BenchmarkJudge is what trust costs: one ed25519 signature.
func BenchmarkJudge(b *testing.B) {
	p := read(b, bench(b))
	t := &pack.Trust{Keys: []pack.TrustedKey{{Name: "alice", Key: public(key("alice")), IDs: []string{"org.example.*"}, Ceiling: pack.Ceiling{Permissions: all, Payload: true}}}}
	for b.Loop() {
		if _, err := pack.Judge(p, t, false, now); err != nil {
			b.Fatal(err)
		}
	}
}
