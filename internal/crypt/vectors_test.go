package crypt

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/wire"
)

// vectors are the values of one appendix, by name.
type vectors map[string][]byte

// readVectors reads "name = hexadecimal" with spaces and line breaks anywhere
// in the number, and # comments.
func readVectors(t testing.TB, file string) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	digits, name := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if before, after, ok := strings.Cut(line, "="); ok {
			name, line = strings.Join(strings.Fields(before), " "), after
		}
		digits[name] += strings.Join(strings.Fields(line), "")
	}
	v := vectors{}
	for name, d := range digits {
		if v[name], err = hex.DecodeString(d); err != nil {
			t.Fatalf("%s: %s: %v", file, name, err)
		}
	}
	return v
}

func (v vectors) get(t *testing.T, name string) []byte {
	t.Helper()
	if len(v[name]) == 0 {
		t.Fatalf("no vector %q", name)
	}
	return v[name]
}

func (v vectors) want(t *testing.T, name string, got []byte) {
	t.Helper()
	if want := v.get(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s = %x, want %x", name, got, want)
	}
}

// testAppendices runs body over both versions' appendices.
func testAppendices(t *testing.T, body func(t *testing.T, version wire.Version, v vectors)) {
	t.Run("RFC 9001", func(t *testing.T) { body(t, wire.Version1, readVectors(t, "rfc9001-appendix-a.txt")) })
	t.Run("RFC 9369", func(t *testing.T) { body(t, wire.Version2, readVectors(t, "rfc9369-appendix-a.txt")) })
}

// wantKeys compares all that k was derived to with the vectors of side.
func wantKeys(t *testing.T, k *Keys, v vectors, side string) {
	t.Helper()
	l := versionLabels(k.version)
	v.want(t, side+" secret", k.secret)
	v.want(t, side+" key", expandLabel(k.suite.hash, k.secret, l.key, k.suite.keyLen))
	v.want(t, side+" iv", k.iv[:])
	v.want(t, side+" hp", expandLabel(k.suite.hash, k.secret, l.hp, k.suite.keyLen))
	var mask [16]byte
	k.hp.mask(&mask, v.get(t, side+" sample"))
	v.want(t, side+" mask", mask[:5])
}

// wantPacket seals the header and frames of side into its packet, and opens it again.
func wantPacket(t *testing.T, k *Keys, v vectors, side string, pnLen int, pn uint64, size int) {
	t.Helper()
	header, frames := v.get(t, side+" header"), v.get(t, side+" frames")
	frames = append(frames, make([]byte, size-len(frames))...)
	pnOffset := len(header) - pnLen
	pkt := append(make([]byte, 0, len(header)+len(frames)+TagSize), header...)
	pkt = k.Seal(append(pkt, frames...), pnOffset, pnLen, pn)
	v.want(t, side+" packet", pkt)

	truncated, gotLen, ok := k.Unprotect(pkt, pnOffset)
	if !ok || gotLen != pnLen || truncated != pn&(1<<(8*pnLen)-1) {
		t.Fatalf("Unprotect = %#x of %d bytes, %v, want %#x of %d", truncated, gotLen, ok, pn, pnLen)
	}
	plain, err := k.Open(pkt, len(header), pn)
	if err != nil || !bytes.Equal(plain, frames) || !bytes.Equal(pkt[:len(header)], header) {
		t.Errorf("Open = %x, %v, want the frames", plain, err)
	}
}

func TestInitialKeysAndPackets(t *testing.T) {
	testAppendices(t, func(t *testing.T, version wire.Version, v vectors) {
		client, server := NewInitial(version, v.get(t, "dcid"))
		wantKeys(t, client, v, "client")
		wantKeys(t, server, v, "server")
		wantPacket(t, client, v, "client", 4, 2, 1162)
		wantPacket(t, server, v, "server", 2, 1, len(v.get(t, "server frames")))
	})
}

func TestRetryIntegrity(t *testing.T) {
	testAppendices(t, func(t *testing.T, version wire.Version, v vectors) {
		packet, odcid := v.get(t, "retry"), v.get(t, "dcid")
		tag := RetryTag(version, packet[:len(packet)-TagSize], odcid)
		if !bytes.Equal(tag[:], packet[len(packet)-TagSize:]) {
			t.Errorf("RetryTag = %x, want %x", tag, packet[len(packet)-TagSize:])
		}
		if !ValidRetry(version, packet, odcid) {
			t.Error("ValidRetry refuses the sample packet")
		}
		if ValidRetry(version, packet, odcid[1:]) || ValidRetry(version^wire.Version1^wire.Version2, packet, odcid) {
			t.Error("ValidRetry accepts another connection ID or version")
		}
		for i := range 8 * len(packet) {
			changed := bytes.Clone(packet)
			changed[i/8] ^= 1 << (i % 8)
			if ValidRetry(version, changed, odcid) {
				t.Errorf("ValidRetry accepts the packet with bit %d flipped", i)
			}
		}
		for n := range packet {
			if ValidRetry(version, packet[:n], odcid) {
				t.Errorf("ValidRetry accepts the first %d bytes", n)
			}
		}
	})
}

func TestChaChaShortHeaderPacket(t *testing.T) {
	testAppendices(t, func(t *testing.T, version wire.Version, v vectors) {
		k, err := New(version, tls.TLS_CHACHA20_POLY1305_SHA256, v.get(t, "chacha secret"))
		if err != nil {
			t.Fatal(err)
		}
		wantKeys(t, k, v, "chacha")
		wantPacket(t, k, v, "chacha", 3, 654360564, 1)
		v.want(t, "chacha ku", k.Next().secret)
	})
}
