package qlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// t0 is the wall clock at instant 0 of every log of these tests.
var t0 = time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)

func newLog(w io.Writer) *Log {
	return New(w, Header{Vantage: "client", ODCID: []byte{0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}, Epoch: t0, Title: "one request"})
}

const ms = hook.Instant(time.Millisecond)

// handshake logs one event of every kind, as a short connection would.
func handshake(l *Log) {
	local, remote := netip.MustParseAddrPort("192.0.2.7:50001"), netip.MustParseAddrPort("[2001:db8::1]:443")
	src, dst := []byte{1, 2, 3, 4}, []byte{0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}
	initial := PacketInfo{Type: wire.PacketInitial, HasNumber: true, DCID: dst, SCID: src, Token: []byte("token"), Version: wire.Version1, Size: 1200, ECN: 2, DatagramID: 1}
	l.ConnectionStarted(1*ms/8, local, remote, src, dst)
	l.VersionInformation(1*ms, []wire.Version{wire.Version1, wire.Version2}, nil, wire.Version1)
	l.ParametersSet(1*ms, "local", &wire.Params{InitialSCID: src, MaxIdleTimeout: 30 * time.Second, MaxUDPPayload: 1452, AckDelayExponent: 3, MaxAckDelay: 25 * time.Millisecond, ActiveConnIDLimit: 4, MaxData: 1 << 20})
	l.PacketSent(2*ms, initial, appendFrames(wire.AppendCryptoHeader(nil, 0, 3), []byte{1, 2, 3, 0, 0, 0, 0}))
	l.PacketReceived(3*ms, PacketInfo{Type: wire.PacketVersionNegotiation, DCID: src, SCID: dst, Size: 23}, []byte{0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf})
	l.PacketReceived(4*ms, PacketInfo{Type: wire.PacketRetry, Version: wire.Version1, DCID: src, SCID: []byte{}, Token: bytes.Repeat([]byte{0xab}, 80), Size: 100}, nil)
	l.PacketBuffered(5*ms, wire.Packet1RTT, 77, "keys_unavailable")
	l.PacketDropped(5*ms, UnknownPacket, 12, "invalid")
	l.KeyUpdated(6*ms, "server_handshake_secret", 0)
	l.ParametersSet(7*ms, "remote", remoteParams())
	l.ALPN(7*ms, "h3")
	l.PacketReceived(8*ms, PacketInfo{Type: wire.Packet1RTT, Number: 7, HasNumber: true, Size: 1452, KeyPhase: true}, everyFrame())
	l.MetricsUpdated(9*ms, Metrics{MinRTT: 31 * time.Millisecond, SmoothedRTT: 31500 * time.Microsecond, LatestRTT: 32 * time.Millisecond, RTTVar: 15250 * time.Microsecond, CongestionWindow: 14720, BytesInFlight: 1200, SSThresh: -1})
	l.MetricsUpdated(9*ms, Metrics{MinRTT: 31 * time.Millisecond, SmoothedRTT: 31500 * time.Microsecond, LatestRTT: 32 * time.Millisecond, RTTVar: 15250 * time.Microsecond, CongestionWindow: 7360, SSThresh: 7360, PTOCount: 1, PacingRate: 1000})
	l.CongestionStateUpdated(10*ms, "recovery")
	l.PacketLost(10*ms, wire.Packet1RTT, 41, "reordering_threshold")
	l.LossTimer(11*ms, "pto", "set", 99*time.Millisecond)
	l.LossTimer(11*ms, "ack", "cancelled", 0)
	l.ECNState(11*ms, "capable")
	l.SpinBit(11*ms, true)
	l.RecoveryParameters(11*ms, Parameters{ReorderingThreshold: 3, TimeThreshold: 1.125, TimerGranularity: time.Millisecond, InitialRTT: 333 * time.Millisecond, MaxDatagramSize: 1200, InitialWindow: 12000, MinimumWindow: 2400})
	l.TupleAssigned(11*ms, "1", local, remote)
	l.MigrationState(11*ms, "probing_started", "1")
	l.MTUUpdated(12*ms, 1200, 1452, true)
	l.PacketSent(12*ms, PacketInfo{Type: wire.Packet1RTT, Number: 8, HasNumber: true, Size: 1500, MTUProbe: true}, []byte{1, 0, 0})
	l.KeyUpdated(13*ms, "client_1rtt_secret", 1)
	l.KeyDiscarded(13*ms, "server_1rtt_secret", 0)
	l.ConnectionClosed(14*ms, ConnectionClose{Owner: "remote", App: true, Code: 0x100, Reason: "bye", Trigger: "application"})
	l.ConnectionClosed(14*ms, ConnectionClose{Owner: "local", Code: 0x128, Trigger: "error"})
	l.ConnectionClosed(14*ms, ConnectionClose{Trigger: "idle_timeout"})
}

func remoteParams() *wire.Params {
	p := wire.DefaultParams()
	p.OriginalDCID, p.RetrySCID, p.InitialSCID = []byte{0x83, 0x94}, []byte{5}, []byte{}
	p.ResetToken = &[16]byte{15: 1}
	p.AckDelayExponent = 10
	p.Preferred = &wire.PreferredAddress{V4: netip.MustParseAddrPort("198.51.100.1:4433"), ConnID: []byte{9}}
	p.DisableMigration = true
	p.MaxDatagramFrame, p.ResetStreamAt, p.MinAckDelay = 65535, true, time.Millisecond
	return &p
}

func appendFrames(b []byte, more ...[]byte) []byte { return append(b, bytes.Join(more, nil)...) }

// everyFrame is a payload with a frame of every type, and one that is none.
func everyFrame() []byte {
	b := wire.AppendAck(nil, 100, []wire.AckRange{{Smallest: 10, Largest: 12}, {Smallest: 5, Largest: 5}}, 2, &wire.ECNCounts{ECT0: 4, CE: 1})
	b = append(wire.AppendStreamHeader(b, 4, 1000, 2, true), "hi"...)
	b = append(wire.AppendCryptoHeader(b, 9, 1), 'x')
	for _, f := range []wire.Frame{
		{Type: wire.FramePing},
		{Type: wire.FrameResetStream, StreamID: 4, Code: 3, FinalSize: 1002},
		{Type: wire.FrameStopSending, StreamID: 8, Code: 3},
		{Type: wire.FrameNewToken, Data: []byte("again")},
		{Type: wire.FrameMaxData, Limit: 1 << 30},
		{Type: wire.FrameMaxStreamData, StreamID: 4, Limit: 1 << 20},
		{Type: wire.FrameMaxStreamsBidi, Limit: 100},
		{Type: wire.FrameMaxStreamsUni, Limit: 3},
		{Type: wire.FrameDataBlocked, Limit: 5},
		{Type: wire.FrameStreamDataBlocked, StreamID: 4, Limit: 5},
		{Type: wire.FrameStreamsBlockedBidi, Limit: 100},
		{Type: wire.FrameStreamsBlockedUni, Limit: 3},
		{Type: wire.FrameNewConnectionID, Sequence: 2, RetirePriorTo: 1, ConnID: []byte{1, 2}, ResetToken: [16]byte{1}},
		{Type: wire.FrameRetireConnectionID, Sequence: 1},
		{Type: wire.FramePathChallenge, Path: [8]byte{1}},
		{Type: wire.FramePathResponse, Path: [8]byte{2}},
		{Type: wire.FrameHandshakeDone},
		{Type: wire.FrameImmediateAck},
		{Type: wire.FrameResetStreamAt, StreamID: 4, Code: 3, FinalSize: 1002, Reliable: 7},
		{Type: wire.FrameAckFrequency, Sequence: 1, Threshold: 9, MaxDelay: 12500, Reordering: 3},
		{Type: wire.FramePluginOffer, Sequence: 1, Local: 2, Data: wire.AppendPluginOffer(nil, &wire.PluginOffer{
			Digest: [32]byte{1}, ID: []byte("org.example.fec"), Version: []byte("1.0.0"), Size: 9000, Packed: 4000, Mode: 1, Frames: 2, TypeBase: 0x3a00, Config: []byte("{}")})},
		{Type: wire.FramePluginAnswer, Sequence: 1, Local: 2, Status: 1},
		{Type: wire.FramePluginAnswer, Sequence: 2, Local: 4, Status: 2, Code: 3, Data: []byte("unsigned")},
		{Type: wire.FramePluginData, Local: 2, Offset: 1000, Data: []byte("code"), Fin: true},
		{Type: wire.FramePluginMaxData, Local: 2, Limit: 1 << 17},
		{Type: wire.FramePluginReady, Sequence: 3, Local: 2},
		{Type: wire.FramePluginDetach, Sequence: 4, Local: 2, Code: 3, Data: []byte("it failed")},
		{Type: wire.FramePluginEvent, Sequence: 5, Local: 2, Data: []byte("hello")},
		{Type: wire.FramePluginKeep, Sequence: 6, Data: []byte{2}},
		{Type: wire.FramePlugin + 1, Data: []byte("repair")},
		{Type: wire.FrameConnectionClose, Code: wire.PluginError, Culprit: wire.FramePluginData},
		{Type: wire.FrameConnectionClose, Code: 0x17e, Culprit: wire.FrameCrypto, Data: []byte("bad \"finished\"")},
		{Type: wire.FrameConnectionClose, Code: 0x7777, Data: []byte{0xff, 0xfe}},
		{Type: wire.FrameApplicationClose, Code: 0x101},
	} {
		b = wire.AppendFrame(b, &f)
	}
	b = wire.AppendDatagram(b, []byte("unreliable"))
	return append(b, 0, 0, 0, 0x40, 0x52)
}

// record is one parsed event, or the header when Name is empty.
type record struct {
	Time float64
	Name string
	Data map[string]any
}

// records splits a log as RFC 7464 §2.1 says and fails on anything that is not one JSON object a record.
func records(t *testing.T, log []byte) []record {
	t.Helper()
	if len(log) == 0 || log[0] != 0x1e {
		t.Fatalf("log starts with %.10q, want the record separator", log)
	}
	var out []record
	for _, text := range bytes.Split(log[1:], []byte{0x1e}) {
		if len(text) == 0 || text[len(text)-1] != '\n' || bytes.IndexByte(text, '\n') != len(text)-1 {
			t.Fatalf("record %.200q, want one line that ends in a line feed", text)
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("record does not parse: %v\n%s", err, text)
		}
		out = append(out, r)
	}
	return out
}

func TestLogIsTheGoldenFile(t *testing.T) {
	var got bytes.Buffer
	l := newLog(&got)
	handshake(l)
	if err := l.Err(); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/connection.sqlog"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("record %d differs from %s (-update rewrites it)\ngot  %s\nwant %s", i, golden, at(gotLines, i), at(wantLines, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

func TestHeaderNamesItsSchemasAndIsKnownToQvis(t *testing.T) {
	var b bytes.Buffer
	newLog(&b)
	var h map[string]any
	if err := json.Unmarshal(b.Bytes()[1:], &h); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"file_schema":                     "urn:ietf:params:qlog:file:sequential",
		"serialization_format":            "application/qlog+json-seq",
		"qlog_version":                    "0.3",
		"qlog_format":                     "JSON-SEQ",
		"title":                           "one request",
		"trace.vantage_point.type":        "client",
		"trace.common_fields.group_id":    "8394c8f03e515708",
		"trace.common_fields.time_format": "relative_to_epoch",
		"trace.common_fields.reference_time.clock_type":      "monotonic",
		"trace.common_fields.reference_time.epoch":           "unknown",
		"trace.common_fields.reference_time.wall_clock_time": "2026-03-14T09:26:53.589793Z",
	} {
		var got any = h
		for _, k := range strings.Split(path, ".") {
			m, _ := got.(map[string]any)
			got = m[k]
		}
		if got != want {
			t.Errorf("header %s = %v, want %v", path, got, want)
		}
	}
}

func TestEveryEventHasTheMembersOfTheDraft(t *testing.T) {
	var b bytes.Buffer
	handshake(newLog(&b))
	seen := map[string]bool{}
	for _, r := range records(t, b.Bytes())[1:] {
		name, ok := strings.CutPrefix(r.Name, "quic:")
		s, known := schema[name]
		if !ok || !known {
			t.Errorf("event %q is not in the draft", r.Name)
			continue
		}
		seen[name] = true
		s.check(t, r.Name, r.Data)
		if frames, ok := r.Data["frames"].([]any); ok {
			for _, f := range frames {
				checkFrame(t, f.(map[string]any), seen)
			}
		}
	}
	for name := range schema {
		if !seen[name] {
			t.Errorf("no event quic:%s was logged; the test calls every method", name)
		}
	}
	for name := range frameSchema {
		if !seen["frame "+name] {
			t.Errorf("no frame %s was logged; the test has one of every type", name)
		}
	}
}

func checkFrame(t *testing.T, f map[string]any, seen map[string]bool) {
	t.Helper()
	name, _ := f["frame_type"].(string)
	s, known := frameSchema[name]
	if !known {
		t.Errorf("frame_type %q is not in the draft", name)
		return
	}
	seen["frame "+name] = true
	s.check(t, "frame "+name, f)
}

func TestNilLogDoesNothing(t *testing.T) {
	var l *Log
	handshake(l)
	if err := l.Err(); err != nil {
		t.Errorf("Err of a nil log = %v, want nil", err)
	}
}

// failing fails from a given write on.
type failing struct {
	good   int
	writes int
	short  bool
}

var errFull = errors.New("disk full")

func (w *failing) Write(b []byte) (int, error) {
	w.writes++
	switch {
	case w.writes <= w.good:
		return len(b), nil
	case w.short:
		return len(b) - 1, nil
	}
	return 0, errFull
}

func TestLogStopsAtTheFirstErrorOfItsWriter(t *testing.T) {
	for _, tc := range []struct {
		name string
		w    failing
		want error
	}{
		{name: "header fails", w: failing{}, want: errFull},
		{name: "third event fails", w: failing{good: 3}, want: errFull},
		{name: "write is short", w: failing{good: 1, short: true}, want: io.ErrShortWrite},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLog(&tc.w)
			handshake(l)
			if err := l.Err(); err != tc.want {
				t.Errorf("Err = %v, want %v", err, tc.want)
			}
			if tc.w.writes != tc.w.good+1 {
				t.Errorf("%d writes, want none after the first that failed, %d", tc.w.writes, tc.w.good+1)
			}
		})
	}
}

func TestMetricsAreWrittenOnlyWhenTheyChange(t *testing.T) {
	var b bytes.Buffer
	l := newLog(&b)
	m := Metrics{MinRTT: time.Millisecond, CongestionWindow: 12000, SSThresh: math.MaxInt}
	l.MetricsUpdated(1, m)
	l.MetricsUpdated(2, m)
	m.CongestionWindow = 13000
	l.MetricsUpdated(3, m)
	m.SSThresh = -1
	l.MetricsUpdated(4, m)
	got := records(t, b.Bytes())[1:]
	if len(got) != 2 {
		t.Fatalf("%d events, want 2: the second and fourth calls changed nothing that is written", len(got))
	}
	if len(got[0].Data) != 2 || got[0].Data["congestion_window"] != 12000.0 || got[0].Data["min_rtt"] != 1.0 {
		t.Errorf("first event = %v, want min_rtt and congestion_window alone", got[0].Data)
	}
	if len(got[1].Data) != 1 || got[1].Data["congestion_window"] != 13000.0 {
		t.Errorf("second event = %v, want congestion_window alone", got[1].Data)
	}
}

func TestAckDelayIsScaledByTheExponentOfItsSender(t *testing.T) {
	ack := wire.AppendAck(nil, 100, []wire.AckRange{{Smallest: 1, Largest: 1}}, 1000, nil)
	huge := wire.AppendAck(nil, 100, []wire.AckRange{{Smallest: 1, Largest: 1}}, wire.MaxVarint, nil)
	for _, tc := range []struct {
		name string
		log  func(l *Log)
		want float64
	}{
		{"before parameters", func(l *Log) { l.PacketReceived(1, PacketInfo{Type: wire.Packet1RTT}, ack) }, 8},
		{"received, 1-RTT", func(l *Log) {
			l.ParametersSet(1, "remote", remoteParams())
			l.PacketReceived(1, PacketInfo{Type: wire.Packet1RTT}, ack)
		}, 1024},
		{"received, Handshake", func(l *Log) {
			l.ParametersSet(1, "remote", remoteParams())
			l.PacketReceived(1, PacketInfo{Type: wire.PacketHandshake}, ack)
		}, 8},
		{"sent, 1-RTT", func(l *Log) {
			l.ParametersSet(1, "remote", remoteParams())
			l.PacketSent(1, PacketInfo{Type: wire.Packet1RTT}, ack)
		}, 8},
		{"longer than any clock", func(l *Log) { l.PacketReceived(1, PacketInfo{Type: wire.Packet1RTT}, huge) }, 9223372036854.775},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			tc.log(newLog(&b))
			all := records(t, b.Bytes())
			f := all[len(all)-1].Data["frames"].([]any)[0].(map[string]any)
			if f["ack_delay"] != tc.want {
				t.Errorf("ack_delay = %v ms, want %v", f["ack_delay"], tc.want)
			}
		})
	}
}

func TestMillisAreExactToTheMicrosecond(t *testing.T) {
	for _, tc := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0"}, {999, "0"}, {time.Microsecond, "0.001"}, {10 * time.Microsecond, "0.01"}, {100 * time.Microsecond, "0.1"},
		{1234567 * time.Nanosecond, "1.234"}, {time.Second, "1000"}, {-1500 * time.Microsecond, "-1.5"},
		{math.MaxInt64, "9223372036854.775"}, {math.MinInt64, "-9223372036854.775"},
	} {
		if got := string(appendMillis(nil, tc.in)); got != tc.want {
			t.Errorf("appendMillis(%d ns) = %s, want %s", tc.in, got, tc.want)
		}
	}
}
