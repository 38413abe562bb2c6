package qlog

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed51309289/quiver/internal/wire"
)

// maxRecord is what no record exceeds: the frames that fit, one more, and what stands around them.
const maxRecord = maxEvent + 2*maxFrame

func TestStringsOfThePeerStayInsideTheirRecord(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
	}{
		{name: "quotes and backslashes", in: `"},"x":{"\`, want: `"},"x":{"\`},
		{name: "record separator and line feed", in: "a\x1e\n\r\x00\x7fb", want: "a\x1e\n\r\x00\x7fb"},
		{name: "not UTF-8", in: "a\xffb\xc3", want: "a�b�"},
		{name: "surrogate half", in: "\xed\xa0\x80", want: "���"},
		{name: "script end", in: "</script>\u2028", want: "</script>\u2028"},
		{name: "as long as allowed", in: strings.Repeat("x", maxString), want: strings.Repeat("x", maxString)},
		{name: "longer than allowed", in: strings.Repeat("x", maxString+1), want: strings.Repeat("x", maxString) + "…"},
		{name: "cut inside a character", in: strings.Repeat("x", maxString-1) + "é", want: strings.Repeat("x", maxString-1) + "�…"},
		{name: "empty", in: "", want: ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			newLog(&b).ConnectionClosed(1, ConnectionClose{Owner: "remote", Reason: tc.in + " ", Trigger: tc.in})
			got := records(t, b.Bytes())
			if len(got) != 2 {
				t.Fatalf("%d records, want the header and one event", len(got))
			}
			if trigger, _ := got[1].Data["trigger"].(string); trigger != tc.want {
				t.Errorf("logged %q, want %q", trigger, tc.want)
			}
		})
	}
}

func TestOneFrameNeverExceedsItsBound(t *testing.T) {
	ranges := make([]wire.AckRange, 60)
	for i := range ranges {
		at := uint64(wire.MaxVarint - 1e6*uint64(i))
		ranges[i] = wire.AckRange{Smallest: at - 1e5, Largest: at}
	}
	control := bytes.Repeat([]byte{1}, 4000)
	for name, f := range map[string][]byte{
		"ACK with many ranges":      wire.AppendAck(nil, 1<<12, ranges, wire.MaxVarint, &wire.ECNCounts{ECT0: wire.MaxVarint, ECT1: wire.MaxVarint, CE: wire.MaxVarint}),
		"reason of control bytes":   wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameConnectionClose, Code: wire.MaxVarint, Culprit: wire.MaxVarint, Data: control}),
		"reason that is no text":    wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameConnectionClose, Data: bytes.Repeat([]byte{0xff}, 4000)}),
		"reason of the application": wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameApplicationClose, Code: wire.MaxVarint, Data: control}),
		"long token":                wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameNewToken, Data: control}),
		"longest connection ID":     wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameNewConnectionID, Sequence: wire.MaxVarint, RetirePriorTo: wire.MaxVarint, ConnID: make([]byte, 20)}),
	} {
		t.Run(name, func(t *testing.T) {
			var one, two bytes.Buffer
			newLog(&one).PacketReceived(1, PacketInfo{}, f)
			newLog(&two).PacketReceived(1, PacketInfo{}, append(f[:len(f):len(f)], f...))
			records(t, two.Bytes())
			if size := two.Len() - one.Len(); size > maxFrame {
				t.Errorf("frame takes %d bytes of log, want at most maxFrame = %d", size, maxFrame)
			}
		})
	}
}

func TestAckListsNoMoreRangesThanItsLimit(t *testing.T) {
	ranges := make([]wire.AckRange, maxAckRanges+5)
	for i := range ranges {
		ranges[i] = wire.AckRange{Smallest: uint64(1000 - 2*i), Largest: uint64(1000 - 2*i)}
	}
	var b bytes.Buffer
	newLog(&b).PacketReceived(1, PacketInfo{}, wire.AppendAck(nil, 1<<12, ranges, 0, nil))
	f := records(t, b.Bytes())[1].Data["frames"].([]any)[0].(map[string]any)
	if n := len(f["acked_ranges"].([]any)); n != maxAckRanges {
		t.Errorf("%d ranges listed, want the limit of %d", n, maxAckRanges)
	}
}

func TestPacketListsNoMoreFramesThanItsLimits(t *testing.T) {
	// A close with a reason of control bytes is the frame that grows most: few
	// of them pass maxEvent, while of PINGs only maxFrames are listed.
	reason := wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameApplicationClose, Data: bytes.Repeat([]byte{1}, maxString)})
	for _, tc := range []struct {
		name      string
		payload   []byte
		frames    int
		truncated bool
	}{
		{"at the limit", bytes.Repeat([]byte{1}, maxFrames), maxFrames, false},
		{"one more", bytes.Repeat([]byte{1}, maxFrames+1), maxFrames, true},
		{"a packet of PINGs", bytes.Repeat([]byte{1}, 65000), maxFrames, true},
		{"reasons fill the event first", bytes.Repeat(reason, 60), 10, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			newLog(&b).PacketReceived(1, PacketInfo{Type: wire.Packet1RTT}, tc.payload)
			data := records(t, b.Bytes())[1].Data
			if n := len(data["frames"].([]any)); n != tc.frames {
				t.Errorf("%d frames listed, want %d", n, tc.frames)
			}
			if got := data["frames_truncated"] == true; got != tc.truncated {
				t.Errorf("frames_truncated = %v, want %v", got, tc.truncated)
			}
			if b.Len() > maxRecord {
				t.Errorf("log takes %d bytes, want at most %d", b.Len(), maxRecord)
			}
		})
	}
}

func TestLongTokensAndConnectionIDsAreCut(t *testing.T) {
	var b bytes.Buffer
	long := bytes.Repeat([]byte{0xab}, 255)
	newLog(&b).PacketReceived(1, PacketInfo{Type: wire.PacketInitial, DCID: long, Token: long}, nil)
	h := records(t, b.Bytes())[1].Data["header"].(map[string]any)
	if h["dcid"] != strings.Repeat("ab", maxHex) || h["dcil"] != 255.0 {
		t.Errorf("dcid = %v of %v bytes, want the first %d of 255", h["dcid"], h["dcil"], maxHex)
	}
	raw := h["token"].(map[string]any)["raw"].(map[string]any)
	if raw["data"] != strings.Repeat("ab", maxHex) || raw["length"] != 255.0 {
		t.Errorf("token = %v, want the first %d of 255 bytes", raw, maxHex)
	}
}

func TestVersionListsStopAtTheirLimit(t *testing.T) {
	var b bytes.Buffer
	l := newLog(&b)
	l.PacketReceived(1, PacketInfo{Type: wire.PacketVersionNegotiation}, bytes.Repeat([]byte{0x1a, 0x2a, 0x3a, 0x4a}, 1000))
	l.VersionInformation(1, nil, make([]wire.Version, 1000), 0)
	l.PacketReceived(1, PacketInfo{Type: wire.PacketVersionNegotiation}, nil)
	got := records(t, b.Bytes())
	if n := len(got[1].Data["supported_versions"].([]any)); n != maxVersions {
		t.Errorf("packet lists %d versions, want %d", n, maxVersions)
	}
	if n := len(got[2].Data["server_versions"].([]any)); n != maxVersions {
		t.Errorf("event lists %d versions, want %d", n, maxVersions)
	}
	if list, ok := got[3].Data["supported_versions"]; ok {
		t.Errorf("an empty list is written as %v, want it left out", list)
	}
}

// TestParametersOfThePeerAreBounded is CVE-2026-40170 of another stack: the
// largest parameters that parse must fit.
func TestParametersOfThePeerAreBounded(t *testing.T) {
	p := remoteParams()
	p.OriginalDCID, p.InitialSCID, p.RetrySCID = make([]byte, 20), make([]byte, 20), make([]byte, 20)
	p.MaxIdleTimeout, p.MaxAckDelay = 1<<40*time.Millisecond, 1<<14*time.Millisecond
	for _, v := range []*uint64{&p.MaxUDPPayload, &p.MaxData, &p.MaxStreamLocal, &p.MaxStreamRemote, &p.MaxStreamUni, &p.MaxStreamsBidi, &p.MaxStreamsUni, &p.ActiveConnIDLimit} {
		*v = wire.MaxVarint
	}
	p.Preferred.V6 = netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	p.Preferred.ConnID = make([]byte, 20)
	var b bytes.Buffer
	newLog(&b).ParametersSet(1, "remote", p)
	records(t, b.Bytes())
	if b.Len() > maxRecord {
		t.Errorf("log takes %d bytes, want at most %d", b.Len(), maxRecord)
	}
}

func TestEventsDoNotAllocate(t *testing.T) {
	l := newLog(io.Discard)
	payload, n := everyFrame(), 0
	for name, event := range map[string]func(){
		"packet sent":     func() { l.PacketSent(1, PacketInfo{Type: wire.Packet1RTT, HasNumber: true, Number: 5}, payload) },
		"packet received": func() { l.PacketReceived(1, PacketInfo{Type: wire.PacketInitial, Token: payload}, payload) },
		"metrics":         func() { n++; l.MetricsUpdated(1, Metrics{BytesInFlight: n, SmoothedRTT: time.Duration(n)}) },
		"packet lost":     func() { l.PacketLost(1, wire.Packet1RTT, 5, "time_threshold") },
		"packet dropped":  func() { l.PacketDropped(1, UnknownPacket, 5, "duplicate") },
		"timer":           func() { l.LossTimer(1, "pto", "set", time.Second) },
	} {
		if avg := testing.AllocsPerRun(100, event); avg != 0 {
			t.Errorf("%s allocates %v times an event, want 0", name, avg)
		}
	}
}

// FuzzPacket feeds what a peer may put into a packet, and asks of the log what
// every reader needs: one bounded JSON object a record.
func FuzzPacket(f *testing.F) {
	f.Add(everyFrame(), []byte("token"), "reason", uint8(5))
	f.Add([]byte{0xff}, []byte{}, "\x1e\xff\"", uint8(0))
	f.Add([]byte{0, 0, 0, 1, 2}, []byte{1}, "", uint8(4))
	f.Fuzz(func(t *testing.T, payload, id []byte, text string, kind uint8) {
		var b bytes.Buffer
		l := newLog(&b)
		header := b.Len()
		l.PacketReceived(1, PacketInfo{Type: wire.PacketType(kind), DCID: id, SCID: id, Token: id}, payload)
		if size := b.Len() - header; size > maxRecord {
			t.Errorf("packet takes %d bytes, want at most %d", size, maxRecord)
		}
		l.ConnectionClosed(2, ConnectionClose{Reason: text, Trigger: text, Code: uint64(kind)})
		l.ALPN(3, text)
		if got := records(t, b.Bytes()); len(got) != 4 {
			t.Errorf("%d records, want 4", len(got))
		}
		if !utf8.Valid(b.Bytes()) {
			t.Error("log is not UTF-8")
		}
		if !json.Valid(bytes.TrimPrefix(b.Bytes()[:header], []byte{0x1e})) {
			t.Error("header changed")
		}
	})
}

func BenchmarkPacketSent(b *testing.B) {
	stream := append(wire.AppendStreamHeader(nil, 0, 1<<20, 1200, false), make([]byte, 1200)...)
	for name, payload := range map[string][]byte{"stream": stream, "every": everyFrame()} {
		b.Run(name, func(b *testing.B) {
			l := newLog(io.Discard)
			b.ReportAllocs()
			for b.Loop() {
				l.PacketSent(1, PacketInfo{Type: wire.Packet1RTT, Number: 1 << 20, HasNumber: true, Size: 1252}, payload)
			}
		})
	}
}
