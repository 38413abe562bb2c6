package crypt

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strings"
	"testing"
)

var kdfs = map[kdf]func() hash.Hash{kdfSHA256: sha256.New, kdfSHA384: sha512.New384}

func TestKDFAgreesWithTheLibrary(t *testing.T) {
	for h, library := range kdfs {
		for n := range 3 * maxBlock {
			key := bytes.Repeat([]byte{byte(n), 7}, n)[:n]
			for m := range maxInfo + 2 {
				message := bytes.Repeat([]byte{byte(m)}, m)
				mac := hmac.New(library, key)
				mac.Write(message)
				var got [maxSum]byte
				if h.mac(&got, key, message); !bytes.Equal(got[:h.size()], mac.Sum(nil)) {
					t.Fatalf("kdf %d: MAC of %d bytes with a key of %d is not the library's", h, m, n)
				}
			}
		}
		secret := bytes.Repeat([]byte{5}, h.size())
		for size := range h.size() + 1 {
			for _, label := range []string{"", "quic key", "quicv2 ku", strings.Repeat("x", 26)} {
				info := binary.BigEndian.AppendUint16(nil, uint16(size))
				info = append(append(info, byte(6+len(label))), "tls13 "+label+"\x00"...)
				want, err := hkdf.Expand(library, secret, string(info), size)
				if err != nil {
					t.Fatal(err)
				}
				if got := expandLabel(h, secret, label, size); !bytes.Equal(got, want) {
					t.Fatalf("kdf %d: %d bytes of label %q are not the library's", h, size, label)
				}
			}
		}
	}
}

func BenchmarkNewKeys(b *testing.B) {
	secret := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		newKeys(1, aes128, secret, nil)
	}
}
