package crypt

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/seed51309289/quiver/internal/wire"
)

var suites = []struct {
	name string
	id   uint16
}{
	{"aes128", tls.TLS_AES_128_GCM_SHA256},
	{"aes256", tls.TLS_AES_256_GCM_SHA384},
	{"chacha", tls.TLS_CHACHA20_POLY1305_SHA256},
}

// testSuites runs body over every cipher suite.
func testSuites(t *testing.T, body func(t *testing.T, id uint16)) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) { body(t, s.id) })
	}
}

// newTestKeys makes keys whose secret has the size that TLS would give it.
func newTestKeys(t testing.TB, v wire.Version, id uint16) *Keys {
	t.Helper()
	s, err := suiteByID(id)
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(v, id, bytes.Repeat([]byte{0x5e}, s.hash.size()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// packet makes a header, short or long, and a payload of size bytes with room for the tag.
func packet(long bool, pn uint64, pnLen, size int) (pkt []byte, pnOffset int) {
	pkt = make([]byte, 0, 64+size+TagSize)
	if long {
		pkt, _ = wire.AppendLong(pkt, wire.PacketHandshake, wire.Version1, []byte{1, 2, 3, 4}, []byte{5, 6}, nil, pn, pnLen)
	} else {
		pkt = wire.AppendShort(pkt, []byte{1, 2, 3, 4, 5, 6, 7, 8}, pn, pnLen, true, false)
	}
	pnOffset = len(pkt) - pnLen
	for i := range size {
		pkt = append(pkt, byte(i))
	}
	return pkt, pnOffset
}

func TestPacketsOfEverySizeComeBack(t *testing.T) {
	testSuites(t, func(t *testing.T, id uint16) {
		k := newTestKeys(t, wire.Version1, id)
		for size := 1; size <= 1500; size++ {
			pnLen, long := 1+size%4, size%3 == 0
			if size < 4-pnLen {
				pnLen = 4
			}
			pn := uint64(size) * 0x9e3779b97f4a7c15 >> 2
			plain, pnOffset := packet(long, pn, pnLen, size)
			want := bytes.Clone(plain)
			sealed := k.Seal(plain, pnOffset, pnLen, pn)
			if len(sealed) != len(want)+TagSize || &sealed[0] != &plain[0] {
				t.Fatalf("size %d: sealed to %d bytes, want %d in the same place", size, len(sealed), len(want)+TagSize)
			}
			if bytes.Contains(sealed, want[pnOffset+pnLen:]) && size > 3 {
				t.Fatalf("size %d: the plaintext is in the packet", size)
			}
			truncated, gotLen, ok := k.Unprotect(sealed, pnOffset)
			if !ok || gotLen != pnLen || truncated != pn&(1<<(8*pnLen)-1) {
				t.Fatalf("size %d: Unprotect = %#x of %d bytes, %v, want %#x of %d", size, truncated, gotLen, ok, pn, pnLen)
			}
			got, err := k.Open(sealed, pnOffset+pnLen, pn)
			if err != nil || !bytes.Equal(got, want[pnOffset+pnLen:]) || !bytes.Equal(sealed[:pnOffset+pnLen], want[:pnOffset+pnLen]) {
				t.Fatalf("size %d: Open: %v, header %x, want what was sealed", size, err, sealed[:pnOffset+pnLen])
			}
		}
	})
}

func TestPacketWithAnyBitFlippedDoesNotAuthenticate(t *testing.T) {
	testSuites(t, func(t *testing.T, id uint16) {
		k := newTestKeys(t, wire.Version2, id)
		for _, long := range []bool{false, true} {
			const pn, pnLen = 77, 2
			plain, pnOffset := packet(long, pn, pnLen, 20)
			sealed := k.Seal(plain, pnOffset, pnLen, pn)
			for bit := range 8 * len(sealed) {
				changed := bytes.Clone(sealed)
				changed[bit/8] ^= 1 << (bit % 8)
				truncated, n, ok := k.Unprotect(changed, pnOffset)
				if !ok {
					t.Fatalf("bit %d: a packet of %d bytes is too short", bit, len(changed))
				}
				if _, err := k.Open(changed, pnOffset+n, wire.DecodePacketNumber(pn-1, truncated, n)); err != ErrDecrypt {
					t.Errorf("long %v, bit %d flipped: %v, want %v", long, bit, err, ErrDecrypt)
				}
			}
		}
	})
}

func TestPacketOpensUnderItsOwnNumberOnly(t *testing.T) {
	k := newTestKeys(t, wire.Version1, tls.TLS_AES_128_GCM_SHA256)
	for _, pn := range []uint64{6, 8, 7 + 1<<32, wire.MaxVarint} {
		plain, pnOffset := packet(false, 7, 1, 20)
		sealed := k.Seal(plain, pnOffset, 1, 7)
		k.Unprotect(sealed, pnOffset)
		if _, err := k.Open(sealed, pnOffset+1, pn); err != ErrDecrypt {
			t.Errorf("packet 7 opened as %d: %v, want %v", pn, err, ErrDecrypt)
		}
	}
}

func TestPacketWithoutRoomForASampleIsLeftAlone(t *testing.T) {
	k := newTestKeys(t, wire.Version1, tls.TLS_AES_128_GCM_SHA256)
	for n := range 5 + 4 + sampleSize {
		pkt := bytes.Repeat([]byte{0x41}, n)
		if _, _, ok := k.Unprotect(pkt, 5); ok || !bytes.Equal(pkt, bytes.Repeat([]byte{0x41}, n)) {
			t.Errorf("%d bytes with the number at 5: ok %v, packet %x, want it refused and unchanged", n, ok, pkt)
		}
	}
	if _, _, ok := k.Unprotect(make([]byte, 5+4+sampleSize), 5); !ok {
		t.Error("a packet that just holds a sample is refused")
	}
}

func TestHeaderProtectionCoversTheBitsOfItsHeader(t *testing.T) {
	// RFC 9001 §5.4.1: four bits of a long header, five of a short one.
	for b0, want := range map[byte]byte{0xc0: 0x0f, 0xff: 0x0f, 0x40: 0x1f, 0x7f: 0x1f} {
		if got := firstByteMask(b0); got != want {
			t.Errorf("firstByteMask(%#x) = %#x, want %#x", b0, got, want)
		}
	}
}

func TestKeyUpdatesFollowEachOtherOnBothSides(t *testing.T) {
	testSuites(t, func(t *testing.T, id uint16) {
		send, receive := newTestKeys(t, wire.Version1, id), newTestKeys(t, wire.Version1, id)
		var old []*Keys
		for phase := range 5 {
			for i, k := range append(old, receive) {
				plain, pnOffset := packet(false, 9, 2, 30)
				sealed := send.Seal(plain, pnOffset, 2, 9)
				// RFC 9001 §6.1: header protection does not change.
				if truncated, n, ok := k.Unprotect(sealed, pnOffset); !ok || n != 2 || truncated != 9 {
					t.Fatalf("phase %d: the keys of phase %d read number %d of %d bytes", phase, i, truncated, n)
				}
				_, err := k.Open(sealed, pnOffset+2, 9)
				if opens := i == phase; opens != (err == nil) {
					t.Errorf("phase %d under the keys of phase %d: %v", phase, i, err)
				}
			}
			old = append(old, receive)
			send, receive = send.Next(), receive.Next()
		}
	})
}

func TestVersionsDoNotShareKeys(t *testing.T) {
	a, b := newTestKeys(t, wire.Version1, tls.TLS_AES_128_GCM_SHA256), newTestKeys(t, wire.Version2, tls.TLS_AES_128_GCM_SHA256)
	if a.iv == b.iv || bytes.Equal(a.Next().secret, b.Next().secret) {
		t.Error("the same secret gives the same keys in both versions, want other labels (RFC 9369 §3.3.2)")
	}
}

func TestKeysCopyTheirSecret(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, 32)
	k, err := New(wire.Version1, tls.TLS_AES_128_GCM_SHA256, secret)
	if err != nil {
		t.Fatal(err)
	}
	want := k.Next().secret
	clear(secret)
	if !bytes.Equal(k.Next().secret, want) {
		t.Error("clearing the caller's secret changed the next keys")
	}
}

func TestSuitesThatQUICCannotUseAreRefused(t *testing.T) {
	const aes128ccm8 = 0x1305 // RFC 9001 §5.3 names it
	for _, id := range []uint16{0, aes128ccm8, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} {
		if _, err := New(wire.Version1, id, make([]byte, 32)); err == nil {
			t.Errorf("New(suite %#04x) succeeds, want an error", id)
		}
	}
}

func TestLimitsOfTheSuites(t *testing.T) {
	// RFC 9001 §6.6.
	for id, want := range map[uint16][2]uint64{
		tls.TLS_AES_128_GCM_SHA256:       {1 << 23, 1 << 52},
		tls.TLS_AES_256_GCM_SHA384:       {1 << 23, 1 << 52},
		tls.TLS_CHACHA20_POLY1305_SHA256: {1 << 62, 1 << 36},
	} {
		k := newTestKeys(t, wire.Version1, id)
		if got := [2]uint64{k.ConfidentialityLimit(), k.IntegrityLimit()}; got != want {
			t.Errorf("limits of suite %#04x = %v, want %v", id, got, want)
		}
	}
}

func TestProtectionDoesNotAllocate(t *testing.T) {
	testSuites(t, func(t *testing.T, id uint16) {
		k := newTestKeys(t, wire.Version1, id)
		plain, pnOffset := packet(false, 9, 2, 1200)
		sealed := k.Seal(append(make([]byte, 0, 2000), plain...), pnOffset, 2, 9)
		buf := make([]byte, 0, 2000)
		if avg := testing.AllocsPerRun(100, func() { k.Seal(append(buf, plain...), pnOffset, 2, 9) }); avg != 0 {
			t.Errorf("Seal allocates %v times, want 0", avg)
		}
		if avg := testing.AllocsPerRun(100, func() {
			pkt := append(buf, sealed...)
			k.Unprotect(pkt, pnOffset)
			if _, err := k.Open(pkt, pnOffset+2, 9); err != nil {
				t.Fatal(err)
			}
		}); avg != 0 {
			t.Errorf("Unprotect and Open allocate %v times, want 0", avg)
		}
		if avg := testing.AllocsPerRun(100, func() { _, _ = k.Open(append(buf, sealed...), pnOffset+2, 10) }); avg != 0 {
			t.Errorf("an Open that fails allocates %v times, want 0", avg)
		}
	})
}

// FuzzUnprotectOpen gives keys bytes that they never sealed, and then what they did.
func FuzzUnprotectOpen(f *testing.F) {
	f.Add([]byte("a packet of some forty bytes, header and all"), uint64(1), 5, uint8(0), uint8(0))
	f.Add([]byte{}, uint64(0), 0, uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, pn uint64, pnOffset int, suite, pnLen uint8) {
		k := newTestKeys(t, wire.Version1, suites[int(suite)%len(suites)].id)
		pn &= wire.MaxVarint
		if pnOffset >= 1 && pnOffset <= len(b) {
			pkt := bytes.Clone(b)
			if truncated, n, ok := k.Unprotect(pkt, pnOffset); ok {
				if plain, err := k.Open(pkt, pnOffset+n, wire.DecodePacketNumber(int64(pn), truncated, n)); err == nil {
					t.Fatalf("a forged packet opens as %x", plain)
				}
			} else if !bytes.Equal(pkt, b) {
				t.Fatal("a packet that is too short was changed")
			}
		}
		n := 1 + int(pnLen)%4
		header := wire.AppendShort(nil, b[:min(len(b), 20)], pn, n, pn&1 == 1, pn&2 == 2)
		body := append(bytes.Clone(b), make([]byte, 4)...)
		pkt := append(make([]byte, 0, len(header)+len(body)+TagSize), header...)
		pkt = k.Seal(append(pkt, body...), len(header)-n, n, pn)
		if _, got, ok := k.Unprotect(pkt, len(header)-n); !ok || got != n {
			t.Fatalf("own packet: number of %d bytes, %v, want %d", got, ok, n)
		}
		if plain, err := k.Open(pkt, len(header), pn); err != nil || !bytes.Equal(plain, body) {
			t.Fatalf("own packet: %x, %v, want %x", plain, err, body)
		}
	})
}

func benchmarkSuites(b *testing.B, body func(b *testing.B, k *Keys, plain []byte, pnOffset int)) {
	for _, s := range suites {
		for _, size := range []int{64, 1200} {
			b.Run(fmt.Sprintf("%s/size=%d", s.name, size), func(b *testing.B) {
				plain, pnOffset := packet(false, 9, 2, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				body(b, newTestKeys(b, wire.Version1, s.id), plain, pnOffset)
			})
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	benchmarkSuites(b, func(b *testing.B, k *Keys, plain []byte, pnOffset int) {
		buf := make([]byte, 0, 2000)
		for b.Loop() {
			k.Seal(append(buf, plain...), pnOffset, 2, 9)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	benchmarkSuites(b, func(b *testing.B, k *Keys, plain []byte, pnOffset int) {
		sealed := k.Seal(append(make([]byte, 0, 2000), plain...), pnOffset, 2, 9)
		buf := make([]byte, 0, 2000)
		for b.Loop() {
			pkt := append(buf, sealed...)
			k.Unprotect(pkt, pnOffset)
			if _, err := k.Open(pkt, pnOffset+2, 9); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestKeysAtRestDoAllThatOthersDo(t *testing.T) {
	testSuites(t, func(t *testing.T, id uint16) {
		fresh, rested := newTestKeys(t, wire.Version1, id), newTestKeys(t, wire.Version1, id)
		for update := range 3 {
			pkt, pnOffset := packet(false, 7, 2, 100)
			want := fresh.Seal(append(make([]byte, 0, cap(pkt)), pkt...), pnOffset, 2, 7)
			rested.Rest()
			if got := rested.Seal(append(make([]byte, 0, cap(pkt)), pkt...), pnOffset, 2, 7); !bytes.Equal(got, want) {
				t.Fatalf("update %d: sealed as %x, want %x", update, got, want)
			}
			sealed := bytes.Clone(want)
			rested.Rest()
			if pn, n, ok := rested.Unprotect(sealed, pnOffset); pn != 7 || n != 2 || !ok {
				t.Fatalf("update %d: Unprotect = %d, %d, %v, want 7, 2, true", update, pn, n, ok)
			}
			rested.Rest()
			if !rested.Opens(make([]byte, 0, len(sealed)), sealed, pnOffset+2, 7) {
				t.Errorf("update %d: Opens reports false", update)
			}
			rested.Rest()
			if plain, err := rested.Open(sealed, pnOffset+2, 7); err != nil || !bytes.Equal(plain, pkt[pnOffset+2:]) {
				t.Errorf("update %d: Open = %x, %v, want %x", update, plain, err, pkt[pnOffset+2:])
			}
			rested.Rest()
			fresh, rested = fresh.Next(), rested.Next()
		}
	})
}
