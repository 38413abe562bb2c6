package wire

import (
	"bytes"
	"testing"
)

func TestVersionNegotiationComesBackWithItsIDsSwapped(t *testing.T) {
	dcid, scid := bytes.Repeat([]byte{7}, 255), []byte{} // RFC 8999 §5.1: IDs of any size
	list := []Version{Version1, 0x1a2a3a4a, Version2}
	b := AppendVersionNegotiation(nil, 0xff, dcid, scid, list)
	if !IsLongHeader(b[0]) || b[0]&0x40 == 0 {
		t.Errorf("first byte %#x, want the long header and fixed bits set", b[0])
	}
	gotD, gotS, got, ok := ParseVersionNegotiation(b)
	if !ok || !bytes.Equal(gotD, scid) || !bytes.Equal(gotS, dcid) || got.Len() != 3 {
		t.Fatalf("ParseVersionNegotiation = %x, %x, %d versions, %v", gotD, gotS, got.Len(), ok)
	}
	for i, v := range list {
		if got.At(i) != v || !got.Contains(v) {
			t.Errorf("version %d = %v, want %v, and contained", i, got.At(i), v)
		}
	}
	if got.Contains(0x99) {
		t.Error("the list contains a version that was not put in")
	}
	var h Header
	if !ParseLong(b, &h) || h.Type != PacketVersionNegotiation || h.Length != len(b) {
		t.Errorf("ParseLong = type %v, length %d, want a Version Negotiation packet of %d", h.Type, h.Length, len(b))
	}
}

func TestVersionNegotiationRefusesWhatIsNotWhole(t *testing.T) {
	whole := AppendVersionNegotiation(nil, 0, []byte{1, 2}, []byte{3}, []Version{Version1, Version2})
	for _, tc := range []struct {
		name string
		in   []byte
	}{
		{"no version", whole[:len(whole)-8]},
		{"half a version", whole[:len(whole)-2]},
		{"another version", append([]byte{0xc0, 0, 0, 0, 1}, whole[5:]...)},
		{"short header", append([]byte{0x40}, whole[1:]...)},
	} {
		if _, _, _, ok := ParseVersionNegotiation(tc.in); ok {
			t.Errorf("%s: accepted, want refused", tc.name)
		}
	}
}

func TestReservedVersions(t *testing.T) {
	for v, want := range map[Version]bool{0x1a2a3a4a: true, 0x0a0a0a0a: true, 0xfafafafa: true, Version1: false, Version2: false, 0: false, 0x1a2a3a4b: false} {
		if v.Reserved() != want {
			t.Errorf("Reserved(%v) = %v, want %v", v, !want, want)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Version1.String(): "v1", Version2.String(): "v2", Version(0xff).String(): "0x000000ff",
		PacketInitial.String(): "initial", Packet0RTT.String(): "0RTT", Packet1RTT.String(): "1RTT", PacketType(99).String(): "unknown",
		FrameStream.String(): "STREAM", FrameType(0x0f).String(): "STREAM", FrameHandshakeDone.String(): "HANDSHAKE_DONE", FrameType(0x20).String(): "frame 0x20",
		FrameImmediateAck.String(): "IMMEDIATE_ACK", FrameResetStreamAt.String(): "RESET_STREAM_AT", FrameDatagram.String(): "DATAGRAM", FrameAckFrequency.String(): "ACK_FREQUENCY",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}
