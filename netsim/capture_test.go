package netsim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/seed51309289/quiver/internal/need"
)

// traced is one packet of a trace as pcapgo reads it back.
type traced struct {
	at    time.Time
	frame []byte
	notes []string
}

func readTrace(t *testing.T, path string) []traced {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var list []traced
	for {
		frame, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("packet %d of %s: %v", len(list)+1, path, err)
		}
		list = append(list, traced{info.Timestamp, frame, options.Comments})
	}
}

func notes(list []traced) (all []string) {
	for _, p := range list {
		all = append(all, string(p.frame)+strings.Join(p.notes, ","))
	}
	return all
}

func TestCaptureKeepsOrderTimeAndNotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	c, err := NewCapture(path, "left", "scenario: none; seed: 1")
	check(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	first := c.Hold(at, []byte("a"), []byte("bc"))
	second := c.Hold(at.Add(1), []byte("d"), nil)
	c.Write(at.Add(2), []byte("e"), []byte("f"))
	c.Decide(second, "dropped: queue full")
	c.Decide(first, "")
	c.Hold(at.Add(3), []byte("g"), nil) // never decided
	check(t, c.Close())
	list := readTrace(t, path)
	if got, want := notes(list), []string{"abc", "ddropped: queue full", "ef", "g"}; !slices.Equal(got, want) {
		t.Errorf("trace holds %q, want %q", got, want)
	}
	if !list[0].at.Equal(at) || !list[2].at.Equal(at.Add(2)) {
		t.Errorf("times %v, %v: want nanoseconds kept", list[0].at, list[2].at)
	}
}

func TestCaptureIsOnDiskAfterASecondWithoutClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	c, err := NewCapture(path, "left", "")
	check(t, err)
	defer c.Close()
	at := Epoch
	c.Tick(at)
	c.Write(at, []byte("a"), nil)
	c.Hold(at, []byte("b"), nil)
	c.Write(at, []byte("c"), nil)
	c.Tick(at.Add(flushEvery))
	if got := notes(readTrace(t, path)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after a second the file holds %q, want the first frame", got)
	}
	c.Tick(at.Add(maxUndecided + flushEvery))
	if got := notes(readTrace(t, path)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("after the longest wait the file holds %q, want all", got)
	}
}

func TestCaptureHoldsABoundedNumberOfFrames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	c, err := NewCapture(path, "left", "")
	check(t, err)
	first := c.Hold(Epoch, []byte("first"), nil)
	for range maxPending + 10 {
		c.Hold(Epoch, []byte("x"), nil)
	}
	if n := len(c.pending) - c.head; n > maxPending {
		t.Errorf("%d frames are held, want at most %d", n, maxPending)
	}
	c.Decide(first, "too late")
	check(t, c.Close())
	if list := readTrace(t, path); len(list) != maxPending+11 || list[0].notes != nil {
		t.Errorf("trace has %d frames, the first with notes %q; want all, none", len(list), list[0].notes)
	}
}

func TestNilCaptureTakesEverything(t *testing.T) {
	var c *Capture
	c.Decide(c.Hold(Epoch, nil, nil), "")
	c.Write(Epoch, nil, nil)
	c.Tick(Epoch)
	check(t, c.Close())
}

func TestEmbedSecretsPutsTheKeyLogBeforeThePackets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	c, err := NewCapture(path, "left", "a comment")
	check(t, err)
	ip := AppendUDP(nil, clientAP, serverAP, 0, 64, []byte("payload"))
	c.Write(Epoch, newWires(clientMAC, routerMAC, false).in, ip)
	check(t, c.Close())
	plain, err := os.ReadFile(path)
	check(t, err)
	for _, keylog := range []string{"SERVER_HANDSHAKE_TRAFFIC_SECRET 00 11\n", "CLIENT_RANDOM 22 33\nx\n"} { // the second replaces the first
		check(t, EmbedSecrets(path, []byte(keylog)))
		got, err := os.ReadFile(path)
		check(t, err)
		at := bytes.Index(got, []byte(keylog))
		if at < 0 || at > bytes.Index(got, []byte("payload")) || len(got) != len(plain)+20+(len(keylog)+3)/4*4 {
			t.Fatalf("key log at %d of %d bytes, want it before the packets", at, len(got))
		}
		if list := readTrace(t, path); len(list) != 1 || !bytes.Equal(list[0].frame[etherHeaderLen:], ip) {
			t.Errorf("trace reads back %d packets, want 1", len(list))
		}
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files are left, want the trace alone", len(names))
	}
	out, err := exec.Command(need.Tool(t, "tshark"), "-r", path, "-T", "fields", "-e", "ip.src", "-e", "udp.dstport", "-e", "frame.number").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "193.167.0.100\t443\t1") {
		t.Errorf("tshark: %v\n%s", err, out)
	}
}

func TestEmbedSecretsLeavesWhatIsNoTraceAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	for _, content := range []string{"", "this is no trace", "\x0a\x0d\x0d\x0a\xff\xff\xff\xff\x4d\x3c\x2b\x1a"} {
		check(t, os.WriteFile(path, []byte(content), 0o600))
		if err := EmbedSecrets(path, []byte("x")); err == nil {
			t.Errorf("EmbedSecrets of %q has no error", content)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("file is changed from %q to %q", content, got)
		}
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files are left, want one", len(names))
	}
}
