package dissect

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden transcripts")

// TestRecordedTracesReadAsTheirTranscripts shows every packet of the recorded traces.
func TestRecordedTracesReadAsTheirTranscripts(t *testing.T) {
	for _, name := range recorded {
		var b strings.Builder
		trace := openRecorded(t, name)
		for i := range trace.Datagrams {
			d := &trace.Datagrams[i]
			for j := range d.Packets {
				fmt.Fprintf(&b, "%3d  %s\n", d.Frame, d.Line(j))
			}
			if d.Note != "" {
				fmt.Fprintf(&b, "     %d bytes: %s\n", d.Trailing, d.Note)
			}
		}
		golden := filepath.Join("testdata", strings.TrimSuffix(name, filepath.Ext(name))+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s reads otherwise than %s; rewrite it with -update and look at the difference", name, golden)
		}
	}
}

func TestRecordedTracesAreDecryptedCompletely(t *testing.T) {
	for _, name := range recorded {
		k := &talk{t: t, trace: openRecorded(t, name)}
		k.wantOpen()
		if len(k.trace.Conns) != 1 || len(k.trace.Warnings) > 0 || !k.trace.Conns[0].HasSecrets {
			t.Errorf("%s: %d connections, warnings %v, want one connection with secrets", name, len(k.trace.Conns), k.trace.Warnings)
		}
	}
}

func TestHandshakeMessagesAreRead(t *testing.T) {
	config := kit.DefaultConfig()
	config.PostQuantum = true
	config.Params[kit.Server].MaxStreamsBidi = 1234
	k := newTalk(t, config)
	k.handshake()
	c := k.dissect().Conns[0]
	k.wantOpen()
	if h := c.ClientHello; h == nil || h.SNI != "server4" || !slices.Equal(h.ALPN, []string{"hq-interop"}) || h.Random != k.c.H.Random ||
		h.Frame != 2 || len(h.Suites) != 3 {
		t.Errorf("ClientHello = %+v, want what the client offered, whole in frame 2", h)
	}
	if h := c.ServerHello; h == nil || h.Suite != k.c.H.Suite || h.Frame != 3 {
		t.Errorf("ServerHello = %+v, want suite %#x in frame 3", h, k.c.H.Suite)
	}
	e := c.EncryptedExtensions
	if e == nil || e.ALPN != "hq-interop" || e.Params.Err != nil {
		t.Fatalf("EncryptedExtensions = %+v, want the ALPN and valid parameters", e)
	}
	if n, ok := e.Params.Int(ParamInitialMaxStreamsBidi); !ok || n != 1234 {
		t.Errorf("initial_max_streams_bidi = %d, %v, want 1234", n, ok)
	}
	for _, want := range []struct {
		fromClient bool
		kind       uint8
	}{{true, TLSClientHello}, {false, TLSServerHello}, {false, TLSEncryptedExtensions}, {false, TLSCertificate}, {false, TLSFinished}, {true, TLSFinished}} {
		if c.Message(want.fromClient, want.kind) == nil {
			t.Errorf("no message of type %d, client %v", want.kind, want.fromClient)
		}
	}
	if c.Message(true, TLSCertificate) != nil {
		t.Error("the client sent no certificate, but one was found")
	}
}

func TestVersion2IsDecrypted(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.c.Version = wire.Version2
	k.handshake()
	k.stream(kit.Server, 2)
	k.dissect()
	k.wantOpen()
	if v := k.trace.Conns[0].Version; v != wire.Version2 {
		t.Errorf("version of the connection = %v, want v2", v)
	}
}

// TestCompatibleVersionNegotiationIsFollowed has a client that begins in v1 and a server that answers in v2 (RFC 9369 §4).
func TestCompatibleVersionNegotiationIsFollowed(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	k.c.Version = wire.Version2
	k.handshake()
	k.datagrams = slices.Delete(k.datagrams, 1, 2) // the second ClientHello
	k.stream(kit.Client, 1)
	k.dissect()
	k.wantOpen()
}

func TestLatePacketOfTheOldVersionChangesNothing(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	late := k.c.Packet(kit.Server, wire.PacketInitial, kit.Ack(0))
	k.c.Version = wire.Version2
	k.handshake()
	k.datagrams = slices.Delete(k.datagrams, 1, 2) // the second ClientHello
	k.send(late)
	k.stream(kit.Client, 1)
	for range 3 {
		k.c.Update(kit.Server)
		k.stream(kit.Server, 2)
		k.c.Update(kit.Client)
		k.stream(kit.Client, 2)
	}
	k.dissect()
	k.wantOpen()
	if v := k.trace.Conns[0].Version; v != wire.Version2 || len(k.trace.Conns) != 1 {
		t.Errorf("version %v in %d connections, want v2 in one", v, len(k.trace.Conns))
	}
}

func TestRetryChangesInitialKeys(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	k.send(k.c.Retry([]byte{7, 7, 7, 7, 7}, []byte("token")))
	k.handshake()
	trace := k.dissect()
	k.wantOpen()
	k.wantLine(1, 0, "S>C  retry  scid=0707070707  token of 5 bytes")
	if c := trace.Conns; len(c) != 1 || len(c[0].RetrySCIDs) != 1 {
		t.Errorf("%d connections, want one that knows of its Retry", len(c))
	}
	if f := trace.Datagrams[2].Packets[0].Frames[0]; f.Seen != f.Length {
		t.Errorf("the ClientHello after the Retry repeats %d of %d bytes, want all", f.Seen, f.Length)
	}
}

func TestRetryWithWrongTagIsNotBelieved(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	retry := k.c.Retry([]byte{7, 7, 7, 7, 7}, []byte("token"))
	retry.Raw[len(retry.Raw)-1] ^= 1
	k.send(retry)
	trace := k.dissect()
	if p := trace.Datagrams[1].Packets[0]; p.Decrypted || !strings.Contains(p.Note, "integrity tag") {
		t.Errorf("Retry is %v with note %q, want it refused", p.Decrypted, p.Note)
	}
}

func TestVersionNegotiationIsListed(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
	raw := wire.AppendVersionNegotiation(nil, 0, k.c.OriginalDCID, k.c.ID[kit.Client], []wire.Version{wire.Version2, 0x1a2a3a4a})
	k.send(&kit.Packet{From: kit.Server, Raw: raw})
	k.dissect()
	k.wantLine(1, 0, "S>C  version_negotiation v2 0x1a2a3a4a")
}

func TestZeroRTTIsDecryptedWithTheEarlySecret(t *testing.T) {
	for _, order := range []string{"in order", "before the Initial"} {
		k := newTalk(t, kit.DefaultConfig())
		k.c.H.EarlySecret = bytes.Repeat([]byte{0xea}, 32)
		k.keyLog = k.c.H.KeyLog()
		k.sendFrom(kit.Client, wire.PacketInitial, kit.Crypto(0, k.c.H.Initial[kit.Client]))
		k.sendFrom(kit.Client, wire.Packet0RTT, kit.Stream(0, 0, []byte("early"), true))
		if order != "in order" {
			slices.Reverse(k.datagrams)
		}
		k.dissect()
		if !t.Run(order, func(t *testing.T) { k.t = t; k.wantOpen() }) {
			return
		}
	}
}

// TestKeyUpdatesAreFollowed has updates by both sides, several of them, and a packet of the old phase that comes late.
func TestKeyUpdatesAreFollowed(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	k.stream(kit.Server, 2)
	late := k.c.Packet(kit.Server, wire.Packet1RTT, kit.Stream(0, 20, []byte("late"), false))
	k.c.Update(kit.Server)
	k.stream(kit.Server, 2)
	k.send(late)
	k.stream(kit.Server, 1)
	k.c.Update(kit.Client)
	k.stream(kit.Client, 1)
	k.c.Update(kit.Server)
	k.stream(kit.Server, 1)
	k.c.Update(kit.Server)
	k.stream(kit.Server, 1)
	trace := k.dissect()
	k.wantOpen()
	var phases []bool
	for i := range trace.Datagrams {
		if p := trace.Datagrams[i].Packets[0]; p.Type == wire.Packet1RTT && !p.FromClient {
			phases = append(phases, p.KeyPhase)
		}
	}
	if want := []bool{false, false, true, true, false, true, false, true}; !slices.Equal(phases, want) {
		t.Errorf("key phases of the server = %v, want %v", phases, want)
	}
}

// TestAnyOrderOfTheCaptureIsDecrypted shuffles what was captured: no packet may stay closed for coming early.
func TestAnyOrderOfTheCaptureIsDecrypted(t *testing.T) {
	config := kit.DefaultConfig()
	config.PostQuantum = true
	for seed := range uint64(50) {
		k := newTalk(t, config)
		k.handshake()
		k.stream(kit.Server, 3)
		k.stream(kit.Client, 3)
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(k.datagrams), func(i, j int) { k.datagrams[i], k.datagrams[j] = k.datagrams[j], k.datagrams[i] })
		k.dissect()
		if k.wantOpen(); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestEachSuiteIsDecrypted(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256} {
		k := newTalk(t, kit.DefaultConfig())
		k.c.H.Offer(suite)
		k.c.H.Choose(suite)
		k.handshake()
		k.stream(kit.Server, 2)
		trace := k.dissect()
		k.wantOpen()
		if got := trace.Conns[0].ClientHello.Suites; !slices.Equal(got, []uint16{suite}) {
			t.Errorf("suites offered = %x, want %x", got, suite)
		}
	}
}

func TestConnectionsWithEmptyClientIDsAreToldApartByAddress(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.c.ID[kit.Client] = nil
	k.handshake()
	k.stream(kit.Server, 2)
	k.dissect()
	k.wantOpen()
	k.wantLine(len(k.datagrams)-1, 0, "S>C  1RTT 1  STREAM 0 @10+10")
}

func TestAnnouncedConnectionIDsLeadToTheirConnection(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	id := []byte{9, 8, 7, 6, 5, 4, 3, 2, 1}
	k.sendFrom(kit.Server, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: id}))
	p := k.c.Packet(kit.Client, wire.Packet1RTT, kit.Frame(wire.Frame{Type: wire.FramePing}))
	p.DCID = id
	raw := p.Seal(nil)
	c := kit.NewCapture()
	for i, d := range k.datagrams {
		src, dst := clientAddr, serverAddr
		if d[0].From == kit.Server {
			src, dst = dst, src
		}
		c.UDP(time.Duration(i), src, dst, 0, seal(d))
	}
	moved := netip.AddrPortFrom(clientAddr.Addr(), 60000)
	c.UDP(time.Second, moved, serverAddr, 0, raw)
	trace, err := Read(c.Bytes(), Options{KeyLogs: [][]byte{k.keyLog}})
	if err != nil {
		t.Fatal(err)
	}
	last := trace.Datagrams[len(trace.Datagrams)-1].Packets[0]
	if !last.Decrypted || !bytes.Equal(last.DCID, id) {
		t.Errorf("packet from the new address is %v with ID %x, want it open with %x", last.Decrypted, last.DCID, id)
	}
}

func TestStatelessResetIsRecognised(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	token := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	f := wire.Frame{Type: wire.FrameNewConnectionID, Sequence: 1, ConnID: []byte{9, 9, 9, 9}, ResetToken: token}
	k.sendFrom(kit.Server, wire.Packet1RTT, kit.Frame(f))
	k.send(&kit.Packet{From: kit.Server, Raw: append(append([]byte{0x41}, bytes.Repeat([]byte{0x5a}, 30)...), token[:]...)})
	trace := k.dissect()
	if p := trace.Datagrams[len(trace.Datagrams)-1].Packets[0]; p.Note != "stateless reset" {
		t.Errorf("note is %q, want a stateless reset", p.Note)
	}
}

func TestWithoutKeysOnlyInitialsAreOpen(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.keyLog = nil
	k.handshake()
	k.stream(kit.Server, 1)
	trace := k.dissect()
	for i := range trace.Datagrams {
		for _, p := range trace.Datagrams[i].Packets {
			if p.Decrypted != (p.Type == wire.PacketInitial) {
				t.Errorf("%v decrypted: %v", p.Type, p.Decrypted)
			}
			if p.Type != wire.PacketInitial && (p.Note != noteNoSecrets || p.Conn == nil) {
				t.Errorf("note of a %v packet is %q, connection %v, want %q", p.Type, p.Note, p.Conn, noteNoSecrets)
			}
		}
	}
	if trace.Conns[0].HasSecrets {
		t.Error("the connection claims to have secrets")
	}
	p := trace.Datagrams[1].Packets[1]
	if want := len(k.c.H.Handshake[kit.Server]) + 4 + 2 + 16; p.PayloadSize != want {
		t.Errorf("payload of the closed Handshake packet = %d, want %d", p.PayloadSize, want)
	}
}

func TestSecretsInTheCaptureAreUsed(t *testing.T) {
	k := newTalk(t, kit.DefaultConfig())
	k.handshake()
	c := kit.NewCapture()
	c.Secrets(k.keyLog)
	for _, d := range k.datagrams {
		c.UDP(0, clientAddr, serverAddr, 0, seal(d))
	}
	trace, err := Read(c.Bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	k.trace = trace
	k.wantOpen()
}
