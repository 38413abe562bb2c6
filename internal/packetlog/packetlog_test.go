package packetlog

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/wire"
)

// talk is a log with an exchange of a plugin, and two of its frames.
func talk(w *bytes.Buffer) []byte {
	l := qlog.New(w, qlog.Header{Vantage: "client"})
	payload := func(frames ...wire.Frame) []byte {
		var b []byte
		for i := range frames {
			b = wire.AppendFrame(b, &frames[i])
		}
		return b
	}
	info := func(pn uint64, size int) qlog.PacketInfo {
		return qlog.PacketInfo{Type: wire.Packet1RTT, Number: pn, HasNumber: true, Size: size}
	}
	ms := func(n int) hook.Instant { return hook.Instant(time.Duration(n) * time.Millisecond) }
	l.PacketReceived(ms(1), info(3, 300), payload(wire.Frame{Type: wire.FramePluginOffer, Local: 1, Data: wire.AppendPluginOffer(nil, &wire.PluginOffer{
		ID: []byte("org.example.fec"), Version: []byte("1.0.0"), Frames: 2, TypeBase: 0x3a80})}))
	l.PacketSent(ms(2), info(0, 60), payload(wire.Frame{Type: wire.FramePluginAnswer, Local: 1, Status: 2, Code: 3, Data: []byte("unsigned")}))
	l.PluginAttached(ms(3), &hook.Info{ID: "org.example.fec", Version: "1.0.0", Digest: [32]byte{0xab, 0xcd}, Frames: []hook.FrameDecl{{Name: "SOURCE"}, {Name: "REPAIR"}}}, 0x3a80)
	symbols := payload(wire.Frame{Type: 0x3a80, Data: []byte{1, 2}}, wire.Frame{Type: 0x3a81, Data: make([]byte, 900)}, wire.Frame{Type: 0x3a82, Data: nil})
	l.PacketReceived(ms(4), info(4, 1200), append(append(wire.AppendStreamHeader(nil, 4, 10, 3, true), "abc"...), symbols...))
	l.PacketSent(ms(5), info(1, 40), wire.AppendAck(nil, 40, []wire.AckRange{{Smallest: 3, Largest: 4}, {Smallest: 0, Largest: 0}}, 0, nil))
	l.PacketLost(ms(6), wire.Packet1RTT, 1, "")
	l.PluginDetached(ms(7), &hook.ExtensionStats{ID: "org.example.fec", Why: hook.DetachFault, Err: fmt.Errorf("ran out of fuel")})
	return w.Bytes()
}

const lines = `#    1.000ms ← 1RTT 3           300B  plugin_offer 1 fec 1.0.0
#    2.000ms → 1RTT 0            60B  plugin_answer 1 refused: unsigned
#    3.000ms + fec 1.0.0 attached, abcd000000000000, frames 0x3a80 SOURCE REPAIR
#    4.000ms ← 1RTT 4          1200B  stream 4 @10+3 fin · fec SOURCE 2B · fec REPAIR 900B · plugin 0x3a82 0B
#    5.000ms → 1RTT 1            40B  ack 3-4 and 1 more
#    6.000ms ✗ 1RTT 1 lost
#    7.000ms - fec detached: plugin failed: ran out of fuel
`

func TestPacketsBecomeLines(t *testing.T) {
	log := talk(new(bytes.Buffer))
	for _, piece := range []int{1, 7, len(log)} {
		var out strings.Builder
		p := New(&out, new(sync.Mutex), "#", false)
		for rest := log; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			if _, err := p.Write(rest[:min(piece, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != lines {
			t.Errorf("in pieces of %d:\n%swant\n%s", piece, out.String(), lines)
		}
	}
}

// TestWordsOfAPeerStayWithinTheirLine: in an offer and in a refusal the peer may write what it likes.
func TestWordsOfAPeerStayWithinTheirLine(t *testing.T) {
	var log bytes.Buffer
	l := qlog.New(&log, qlog.Header{Vantage: "client"})
	evil := []byte("\x1b[2J\r\nall is well")
	info := qlog.PacketInfo{Type: wire.Packet1RTT, HasNumber: true, Size: 100}
	for _, f := range []wire.Frame{
		{Type: wire.FramePluginOffer, Local: 1, Data: wire.AppendPluginOffer(nil, &wire.PluginOffer{ID: evil, Version: evil, Frames: 1, TypeBase: 0x3a80})},
		{Type: wire.FramePluginAnswer, Local: 2, Status: 2, Data: evil},
		{Type: wire.FramePluginDetach, Local: 1, Data: evil},
	} {
		l.PacketReceived(1, info, wire.AppendFrame(nil, &f))
	}
	var out strings.Builder
	New(&out, new(sync.Mutex), "", false).Write(log.Bytes())
	if got := out.String(); strings.Count(got, "\n") != 3 || strings.ContainsAny(got, "\x1b\r") || !strings.Contains(got, "all is well") {
		t.Errorf("%q, want three lines without control characters", got)
	}
}

func TestOnlyPacketsOfPluginsAreShownOnRequest(t *testing.T) {
	var out strings.Builder
	New(&out, new(sync.Mutex), "#", true).Write(talk(new(bytes.Buffer)))
	for _, line := range strings.Split(lines, "\n") {
		want := line != "" && !strings.Contains(line, "ack 3-4") && !strings.Contains(line, "lost")
		if line != "" && strings.Contains(out.String(), line) != want {
			t.Errorf("shown: %v, want %v: %s", !want, want, line)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var out strings.Builder
	p := New(&out, new(sync.Mutex), "", false)
	p.Write(bytes.Repeat([]byte{'x'}, maxRecord))
	p.Write(bytes.Repeat([]byte{'x'}, maxRecord))
	if len(p.part) > maxRecord {
		t.Errorf("%d bytes are kept, want at most maxRecord = %d", len(p.part), maxRecord)
	}
	p.Write([]byte("\n"))
	for i := range 2 * maxNames {
		fmt.Fprintf(p, `{"name":"plugin:attached","data":{"plugin":"a.b","first_frame_type":%d,"frames":["x"]}}`+"\n", i)
	}
	if len(p.reader.names) > maxNames {
		t.Errorf("%d names are kept, want at most maxNames = %d", len(p.reader.names), maxNames)
	}
	out.Reset()
	frames := strings.TrimSuffix(strings.Repeat(`{"frame_type":"ping"},`, 3*maxFrames), ",")
	fmt.Fprintf(p, `{"name":"quic:packet_sent","data":{"header":{"packet_type":"1RTT"},"frames":[%s]}}`+"\n", frames)
	if n := strings.Count(out.String(), "ping"); n != maxFrames || !strings.Contains(out.String(), fmt.Sprintf("and %d more", 2*maxFrames)) {
		t.Errorf("%d frames are named, want maxFrames = %d: %s", n, maxFrames, out.String())
	}
}

func FuzzPrinter(f *testing.F) {
	f.Add(talk(new(bytes.Buffer)))
	f.Add([]byte(`{"name":"quic:packet_sent","data":{"frames":[{"frame_type":"ack","acked_ranges":[[],[1]]}]}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		New(new(strings.Builder), new(sync.Mutex), "", false).Write(b)
	})
}
