package wire

import (
	"bytes"
	"testing"
)

var (
	tenID  = []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	fourID = []byte{0xa1, 0xa2, 0xa3, 0xa4}
)

// longSample is a whole packet with a payload of n bytes.
func longSample(typ PacketType, v Version, token []byte, n int) []byte {
	b, at := AppendLong(nil, typ, v, tenID, fourID, token, 0x1234, 2)
	PutVarint2(b[at:], uint64(2+n))
	return append(b, make([]byte, n)...)
}

func TestLongHeaderComesBackAsItWasWritten(t *testing.T) {
	for _, v := range []Version{Version1, Version2} {
		for _, typ := range []PacketType{PacketInitial, Packet0RTT, PacketHandshake} {
			for _, token := range [][]byte{nil, bytes.Repeat([]byte{9}, 70)} {
				if typ != PacketInitial && token != nil {
					continue
				}
				b := longSample(typ, v, token, 30)
				datagram := append(b[:len(b):len(b)], 0xee, 0xee) // another packet follows
				var h Header
				if !ParseLong(datagram, &h) {
					t.Errorf("%v %v: refused", v, typ)
					continue
				}
				if h.Type != typ || h.Version != v || !bytes.Equal(h.DCID, tenID) || !bytes.Equal(h.SCID, fourID) || !bytes.Equal(h.Token, token) {
					t.Errorf("%v %v: header = %+v", v, typ, h)
				}
				if h.Length != len(b) || h.PNOffset != len(b)-32 {
					t.Errorf("%v %v: length %d, number at %d, want %d and %d", v, typ, h.Length, h.PNOffset, len(b), len(b)-32)
				}
			}
		}
	}
}

// TestLongTypeBits holds the code points of RFC 9000 §17.2 and RFC 9369 §3.2.
func TestLongTypeBits(t *testing.T) {
	for _, tc := range []struct {
		v    Version
		typ  PacketType
		want byte
	}{
		{Version1, PacketInitial, 0xc0}, {Version1, Packet0RTT, 0xd0}, {Version1, PacketHandshake, 0xe0}, {Version1, PacketRetry, 0xf0},
		{Version2, PacketInitial, 0xd0}, {Version2, Packet0RTT, 0xe0}, {Version2, PacketHandshake, 0xf0}, {Version2, PacketRetry, 0xc0},
	} {
		if got := longTypeByte(tc.v, tc.typ); got != tc.want {
			t.Errorf("%v %v: first byte %#x, want %#x", tc.v, tc.typ, got, tc.want)
		}
		if typ, ok := longType(tc.v, tc.want); !ok || typ != tc.typ {
			t.Errorf("%v %#x: type %v, want %v", tc.v, tc.want, typ, tc.typ)
		}
	}
}

func TestRetryComesBackAsItWasWritten(t *testing.T) {
	for _, v := range []Version{Version1, Version2} {
		b := AppendRetry(nil, v, 0xff, tenID, fourID, []byte("token"))
		b = append(b, bytes.Repeat([]byte{0xcc}, 16)...)
		var h Header
		if !ParseLong(b, &h) || h.Type != PacketRetry || string(h.Token) != "token" || len(h.Integrity) != 16 || h.Length != len(b) || h.PNOffset != 0 {
			t.Errorf("%v: header = %+v", v, h)
		}
		if ParseLong(b[:len(b)-6], &h) {
			t.Errorf("%v: a Retry without room for its tag is accepted", v)
		}
	}
}

func TestShortHeaderComesBackAsItWasWritten(t *testing.T) {
	for _, id := range [][]byte{nil, fourID, bytes.Repeat([]byte{5}, 20)} {
		b := AppendShort(nil, id, 0x123456, 3, true, true)
		if b[0] != ShortFixedBit|ShortSpinBit|ShortKeyPhase|2 {
			t.Errorf("first byte %#x", b[0])
		}
		if b0 := AppendShort(nil, id, 0, 1, false, false)[0]; b0 != ShortFixedBit {
			t.Errorf("first byte %#x, want the fixed bit alone", b0)
		}
		var h Header
		if !ParseShort(b, len(id), &h) || h.Type != Packet1RTT || !bytes.Equal(h.DCID, id) || h.PNOffset != 1+len(id) || h.Length != len(b) {
			t.Errorf("ID of %d bytes: header = %+v", len(id), h)
		}
		if !bytes.Equal(b[h.PNOffset:], []byte{0x12, 0x34, 0x56}) {
			t.Errorf("packet number %x, want 123456", b[h.PNOffset:])
		}
		if ParseShort(b[:len(id)], len(id), &h) {
			t.Errorf("ID of %d bytes: accepted though it is cut", len(id))
		}
	}
}

func TestLongHeaderRefuses(t *testing.T) {
	long := longSample(PacketInitial, Version1, nil, 30)
	with := func(at int, v ...byte) []byte {
		b := append([]byte{}, long...)
		copy(b[at:], v)
		return b
	}
	id21 := append([]byte{0xc0, 0, 0, 0, 1, 21}, make([]byte, 60)...)
	for name, in := range map[string][]byte{
		"nothing":                    {},
		"a short header":             {0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		"a version nobody knows":     with(1, 0x1a, 0x2a, 0x3a, 0x4a),
		"an ID beyond 20 bytes":      id21,
		"an ID beyond the packet":    with(5, 20, 1, 2)[:15],
		"a length beyond the packet": long[:len(long)-1],
	} {
		var h Header
		if ParseLong(in, &h) {
			t.Errorf("%s: accepted as %+v, want refused", name, h)
		}
	}
}

func headerSamples(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"initial v1":          longSample(PacketInitial, Version1, []byte("tok"), 30),
		"initial v2":          longSample(PacketInitial, Version2, nil, 30),
		"0-RTT":               longSample(Packet0RTT, Version1, nil, 30),
		"handshake":           longSample(PacketHandshake, Version2, nil, 30),
		"retry":               append(AppendRetry(nil, Version1, 3, tenID, fourID, []byte("token")), make([]byte, 16)...),
		"version negotiation": AppendVersionNegotiation(nil, 1, tenID, fourID, []Version{Version1, Version2}),
		"1-RTT":               append(AppendShort(nil, fourID, 77, 2, true, false), make([]byte, 25)...),
		"RFC 9001 A.2 header": append(unhex(t, "c3 00000001 08 8394c8f03e515708 00 00 449e 00000002"), make([]byte, 1178)...),
	}
}

// checkHeader parses b in every way and holds the promises of the result.
func checkHeader(t *testing.T, b []byte) {
	t.Helper()
	var h Header
	if ParseLong(b, &h) {
		if h.Length > len(b) || h.PNOffset > h.Length || len(h.DCID)+len(h.SCID)+len(h.Token) > len(b) {
			t.Errorf("ParseLong(%x) = %+v, which leaves the packet", b, h)
		}
		if h.Type == PacketRetry && len(h.Integrity) != 16 {
			t.Errorf("ParseLong(%x): a Retry with a tag of %d bytes", b, len(h.Integrity))
		}
		if h.Type <= PacketHandshake && h.PNOffset == 0 {
			t.Errorf("ParseLong(%x): %v without a packet number", b, h.Type)
		}
		if _, ok := ParseInvariant(b); !ok {
			t.Errorf("ParseLong(%x) accepts what ParseInvariant refuses", b)
		}
	}
	for idLen := range MaxConnIDLen + 1 {
		if ParseShort(b, idLen, &h) && (h.Length != len(b) || len(h.DCID) != idLen || h.PNOffset > len(b)) {
			t.Errorf("ParseShort(%x, %d) = %+v, which leaves the packet", b, idLen, h)
		}
	}
	if _, _, list, ok := ParseVersionNegotiation(b); ok && (list.Len() == 0 || len(list)%4 != 0) {
		t.Errorf("ParseVersionNegotiation(%x) has %d versions in %d bytes", b, list.Len(), len(list))
	}
}

func TestHeaderCutAnywhereIsRefusedOrWhole(t *testing.T) {
	for name, b := range headerSamples(t) {
		var whole Header
		long := ParseLong(b, &whole)
		cut(b, func(prefix []byte) {
			checkHeader(t, prefix)
			var h Header
			if long && whole.PNOffset != 0 && ParseLong(prefix, &h) {
				t.Errorf("%s: cut to %d of %d bytes and still accepted", name, len(prefix), len(b))
			}
		})
	}
}

func TestHeaderWithAnyBitFlippedStaysInItsPacket(t *testing.T) {
	for _, b := range headerSamples(t) {
		flip(b[:min(len(b), 64)], func(_ int, changed []byte) {
			checkHeader(t, append(changed, b[min(len(b), 64):]...))
		})
	}
}

func TestHeadersDoNotAllocate(t *testing.T) {
	long, short := longSample(PacketInitial, Version1, nil, 30), AppendShort(make([]byte, 0, 64), fourID, 1, 1, false, false)
	var h Header
	buf := make([]byte, 0, 64)
	if avg := testing.AllocsPerRun(100, func() {
		ParseLong(long, &h)
		ParseShort(short, 4, &h)
		AppendShort(buf, fourID, 1, 2, true, true)
	}); avg != 0 {
		t.Errorf("headers allocate %v times, want 0", avg)
	}
}
