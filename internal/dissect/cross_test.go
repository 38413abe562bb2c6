package dissect

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/seed51309289/quiver/internal/wire"
)

// recorded are the traces of testdata.
var recorded = []string{
	"quicgo_transfer.pcapng", "quicgo_retry.pcap", "quicgo_keyupdate.pcapng", "quicgo_chacha20.pcapng", "xnet_transfer.pcapng",
}

func keysOf(trace string) string {
	return filepath.Join("testdata", strings.TrimSuffix(trace, filepath.Ext(trace))+".keys")
}

func openRecorded(t testing.TB, name string) *Trace {
	t.Helper()
	var o Options
	if log, err := os.ReadFile(keysOf(name)); err == nil {
		o.KeyLogs = [][]byte{log}
	}
	trace, err := Open(filepath.Join("testdata", name), o)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// crossFields are tshark's fields and what we have for them, one list per frame of the file.
var crossFields = []struct {
	field string
	of    func(p *Packet) []string
}{
	{"quic.long.packet_type", func(p *Packet) []string {
		if p.Type == wire.Packet1RTT {
			return nil
		}
		return []string{fmt.Sprint(int(p.Type))} // version 1 numbers them as package wire does
	}},
	{"quic.version", func(p *Packet) []string {
		if p.Type == wire.Packet1RTT {
			return nil
		}
		return []string{fmt.Sprintf("0x%08x", uint32(p.Version))}
	}},
	{"quic.packet_number", func(p *Packet) []string {
		if p.Number < 0 {
			return nil
		}
		return []string{fmt.Sprint(p.Number)}
	}},
	{"quic.key_phase", func(p *Packet) []string {
		if p.Type != wire.Packet1RTT {
			return nil
		}
		return []string{map[bool]string{false: "0", true: "1"}[p.KeyPhase]}
	}},
	{"quic.dcid", func(p *Packet) []string { return hexes(p.DCID) }},
	{"quic.scid", func(p *Packet) []string { return hexes(p.SCID) }},
	{"quic.token", func(p *Packet) []string {
		if p.Type != wire.PacketInitial {
			return nil
		}
		return hexes(p.Token)
	}},
	{"quic.retry_token", func(p *Packet) []string {
		if p.Type != wire.PacketRetry {
			return nil
		}
		return hexes(p.Token)
	}},
	{"quic.frame_type", perFrame(func(f *Frame) []string { return []string{fmt.Sprint(uint64(f.Type))} })},
	{"quic.stream.stream_id", streams(0, func(f *Frame) uint64 { return f.StreamID })},
	{"quic.stream.offset", streams(4, func(f *Frame) uint64 { return f.Offset })},
	{"quic.stream.length", streams(2, func(f *Frame) uint64 { return uint64(f.Length) })},
	{"quic.crypto.offset", ofType(wire.FrameCrypto, func(f *Frame) string { return fmt.Sprint(f.Offset) })},
	{"quic.crypto.length", ofType(wire.FrameCrypto, func(f *Frame) string { return fmt.Sprint(f.Length) })},
	{"quic.padding_length", ofType(wire.FramePadding, func(f *Frame) string { return fmt.Sprint(f.Length) })},
	{"quic.nci.sequence", ofType(wire.FrameNewConnectionID, func(f *Frame) string { return fmt.Sprint(f.Sequence) })},
	{"quic.nci.connection_id", ofType(wire.FrameNewConnectionID, func(f *Frame) string { return fmt.Sprintf("%x", f.Data) })},
	{"quic.rci.sequence", ofType(wire.FrameRetireConnectionID, func(f *Frame) string { return fmt.Sprint(f.Sequence) })},
	{"quic.md.maximum_data", ofType(wire.FrameMaxData, func(f *Frame) string { return fmt.Sprint(f.Limit) })},
	{"quic.msd.maximum_stream_data", ofType(wire.FrameMaxStreamData, func(f *Frame) string { return fmt.Sprint(f.Limit) })},
	{"quic.ack.largest_acknowledged", acks(func(a *Ack) uint64 { return a.Ranges[0].Largest })},
	{"quic.ack.ack_range_count", acks(func(a *Ack) uint64 { return uint64(len(a.Ranges) - 1) })},
	{"quic.ack.first_ack_range", acks(func(a *Ack) uint64 { return a.Ranges[0].Largest - a.Ranges[0].Smallest })},
}

func hexes(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%x", b)}
}

func perFrame(of func(f *Frame) []string) func(p *Packet) []string {
	return func(p *Packet) (all []string) {
		for i := range p.Frames {
			all = append(all, of(&p.Frames[i])...)
		}
		return all
	}
}

func ofType(t wire.FrameType, of func(f *Frame) string) func(p *Packet) []string {
	return perFrame(func(f *Frame) []string {
		if f.Type != t {
			return nil
		}
		return []string{of(f)}
	})
}

// streams picks STREAM frames that have a flag bit.
func streams(flag wire.FrameType, of func(f *Frame) uint64) func(p *Packet) []string {
	return perFrame(func(f *Frame) []string {
		if !f.Type.IsStream() || f.Type&flag != flag {
			return nil
		}
		return []string{fmt.Sprint(of(f))}
	})
}

func acks(of func(a *Ack) uint64) func(p *Packet) []string {
	return perFrame(func(f *Frame) []string {
		if f.Ack == nil {
			return nil
		}
		return []string{fmt.Sprint(of(f.Ack))}
	})
}

// TestDissectAgreesWithTshark compares every packet of the recorded traces with a second, independent dissector.
func TestDissectAgreesWithTshark(t *testing.T) {
	need.Tool(t, "tshark")
	for _, name := range recorded {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := tsharkFields(t, name)
			trace := openRecorded(t, name)
			if len(trace.Datagrams) != len(theirs) {
				t.Fatalf("we see %d datagrams, tshark %d", len(trace.Datagrams), len(theirs))
			}
			for i := range trace.Datagrams {
				compareFrame(t, &trace.Datagrams[i], theirs[i])
			}
		})
	}
}

func compareFrame(t *testing.T, d *Datagram, theirs []string) {
	t.Helper()
	for n, c := range crossFields {
		var ours []string
		for i := range d.Packets {
			ours = append(ours, c.of(&d.Packets[i])...)
		}
		if got, want := strings.Join(ours, ","), strings.Trim(theirs[n], ","); got != want {
			t.Errorf("frame %d: %s = %q, tshark says %q\n%s", d.Frame, c.field, got, want, d.Line(0))
		}
	}
}

// tsharkFields returns the values of crossFields for each frame of a trace.
func tsharkFields(t *testing.T, name string) (frames [][]string) {
	t.Helper()
	args := []string{"-r", filepath.Join("testdata", name), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,", "-E", "separator=|"}
	if _, err := os.Stat(keysOf(name)); err == nil {
		args = append(args, "-o", "tls.keylog_file:"+keysOf(name))
	}
	for _, c := range crossFields {
		args = append(args, "-e", c.field)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir()) // not the user's preferences
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		frames = append(frames, strings.Split(strings.TrimRight(line, "\n"), "|"))
	}
	return frames
}
