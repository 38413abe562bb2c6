package pack_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/plugin/pack"
)

// samples are what plugins can look like to a compressor, from the best case to the worst.
func samples() map[string][]byte {
	random := make([]byte, 10_000)
	luck := rand.NewChaCha8([32]byte{1})
	luck.Read(random)
	return map[string][]byte{
		"nothing": {}, "a byte": {7}, "zeros": make([]byte, pack.MaxSize), "random": random,
		"text": []byte(strings.Repeat("local.get 0 i32.add ", 900)),
	}
}

func TestWhatWasPackedIsUnpacked(t *testing.T) {
	for name, raw := range samples() {
		packed := pack.Pack(raw)
		got, err := pack.Unpack(packed, len(raw), pack.MaxSize)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %d bytes, packed %d, come back as %d: %v", name, len(raw), len(packed), len(got), err)
		}
		if len(raw) > pack.MaxRatio*len(packed) {
			t.Errorf("%s: %d bytes are packed into %d, more than %d-fold", name, len(raw), len(packed), pack.MaxRatio)
		}
	}
}

func TestALyingStreamIsRefused(t *testing.T) {
	raw := samples()["text"]
	packed := pack.Pack(raw)
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression)
	w.Write(make([]byte, 20<<20))
	w.Close()
	unfinished := packed[:len(packed)-1]
	for _, tc := range []struct {
		name   string
		packed []byte
		size   int
		want   string
	}{
		{"a bomb that says so", bomb.Bytes(), 20 << 20, "packed plugin: announced as 20971520 bytes, at most 262144 are taken"},
		{"a bomb within the limit", bomb.Bytes()[:1000], pack.MaxSize, "packed plugin: 1000 bytes are announced as 262144, more than 16-fold"},
		{"a bomb that lies", bomb.Bytes(), pack.MaxSize, "packed plugin: holds more than the 262144 bytes that were announced"},
		{"the longest stream", append(bytes.Clone(packed), make([]byte, pack.MaxPacked-len(packed))...), len(raw), fmt.Sprintf("packed plugin: %d bytes follow its end", pack.MaxPacked-len(packed))},
		{"longer than the longest", make([]byte, pack.MaxPacked+1), len(raw), "packed plugin: has 65537 bytes, at most 65536 travel in a connection"},
		{"negative size", packed, -1, "packed plugin: announced as -1 bytes, at most 262144 are taken"},
		{"one byte too few announced", packed, len(raw) - 1, "packed plugin: holds more than the 17999 bytes that were announced"},
		{"one byte too many announced", append(bytes.Clone(packed), make([]byte, 1200)...), len(raw) + 1, "packed plugin: broken after 18000 of 18001 bytes: unexpected EOF"},
		{"trailing bytes", append(bytes.Clone(packed), make([]byte, 1200)...), len(raw), "packed plugin: 1200 bytes follow its end"},
		{"nothing", nil, 1, "packed plugin: 0 bytes are announced as 1, more than 16-fold"},
		{"no stream", nil, 0, "packed plugin: broken after 0 bytes: unexpected EOF"},
		{"no DEFLATE", bytes.Repeat([]byte{0xff}, 100), 100, "packed plugin: broken after 0 of 100 bytes: flate: corrupt input before offset 1"},
		{"the end missing", append(unfinished[:0:0], unfinished...), len(raw), ""},
	} {
		_, err := pack.Unpack(tc.packed, tc.size, pack.MaxSize)
		if err == nil || tc.want != "" && err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for _, raw := range samples() {
		f.Add(append(binary.LittleEndian.AppendUint32(nil, uint32(len(raw))), pack.Pack(raw)...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 4 {
			return
		}
		size, packed := int(int32(binary.LittleEndian.Uint32(in))), in[4:]
		raw, err := pack.Unpack(packed, size, pack.MaxSize)
		if err != nil {
			return
		}
		if len(raw) != size || size > pack.MaxRatio*len(packed) {
			t.Fatalf("%d bytes, announced as %d, gave %d", len(packed), size, len(raw))
		}
		if packed = pack.Pack(raw); len(packed) > pack.MaxPacked {
			return // the other packer was better
		}
		again, err := pack.Unpack(packed, size, pack.MaxSize)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("packed again it gives %d bytes: %v", len(again), err)
		}
	})
}
